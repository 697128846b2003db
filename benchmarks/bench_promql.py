"""Range queries through HTTP with JSON, beside an installed Prometheus over the same samples.

``python benchmarks/bench_promql.py [--full] [series …]``: by default 200 and 2,000 series of each of two metrics;
``--full`` adds 20,000, whose samples take a quarter of an hour to make, once. All servers read from disk, in one run,
asked in turns by one client; a ratio is ours / Prometheus, of medians. *disk*: ours decodes every chunk for every
query; that is what the bars are for. *cached*: ours as it comes, with decoded chunks in a cache of 64 MB.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from harness import check_budgets, print_table  # noqa: E402
from promql_data import DAY_MS, HOUR_MS, START_MS, data_folder  # noqa: E402
from promql_servers import Answer, Server, our_server, prometheus  # noqa: E402
from promql_set import SET  # noqa: E402
from promql_share import fair_share  # noqa: E402
from tests.conformance.differential.peer import is_installed  # noqa: E402

Window = tuple[int, int, int]

QUERIES = {
    "topk": "topk(5, sum(rate(agent_tool_calls_total[5m])) by (tool_name))",
    "error share": (
        'sum(rate(agent_tool_calls_total{status="error"}[5m])) by (agent)'
        " / sum(rate(agent_tool_calls_total[5m])) by (agent)"
    ),
    "quantile": "histogram_quantile(0.95, sum(rate(agent_llm_latency_seconds_bucket[5m])) by (le))",
}
HOUR: Window = (START_MS + DAY_MS - HOUR_MS, START_MS + DAY_MS, 15_000)
RANGES: dict[str, Window] = {"1h/15s": HOUR, "24h/60s": (START_MS, START_MS + DAY_MS, 60_000)}
BY_SERIES = "rate(agent_tool_calls_total[5m])"
SET_SIZE = 200
N_SET_RUNS = 5


def n_runs(n: int, range_name: str) -> int:
    """Return how often each server is asked: less where one question takes seconds."""
    if n > 2_000:
        return 3
    return 5 if n > 200 and range_name.startswith("24h") else 11


def in_turns(servers: list[Server], query: str, window: Window, runs: int) -> list[float]:
    """Ask the servers one after the other, again and again; return the median time of each, in ms."""
    _check_alike([server.ask(query, window) for server in servers], query)
    times = [[server.ask(query, window).took_ms for server in servers] for _ in range(runs)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def _check_alike(answers: list[Answer], query: str) -> None:
    """Fail where answers differ in size; values do, and ties, because 2.42 closes windows at both ends."""
    sizes = {answer.n_points for answer in answers}
    assert len(sizes) == 1, f"{query}: the numbers of points differ: {sizes}"


def measure(n: int, ratios: dict[str, float]) -> None:
    """Time the queries at N series; print the times, note the ratios of the bars."""
    data, work = data_folder(n), Path(tempfile.mkdtemp())
    table: list[list[object]] = []
    try:
        with ExitStack() as stack:
            disk = stack.enter_context(our_server(data, work, cached=False))
            cached = stack.enter_context(our_server(data, work, cached=True))
            peer = stack.enter_context(prometheus(data, work))
            servers = [disk, cached, peer]
            for range_name, window in RANGES.items():
                for name, query in QUERIES.items():
                    times = in_turns(servers, query, window, n_runs(n, range_name))
                    ratios[f"{n} series, {range_name}, {name}"] = times[0] / times[2]
                    table.append([f"{range_name} {name}", *times, times[0] / times[2], times[1] / times[2]])
            peaks = [server.peak_mb() for server in servers]
            ratios[f"{n} series, peak memory"] = peaks[1] / peaks[2]
            table.append(["peak memory, MB", *peaks, peaks[0] / peaks[2], peaks[1] / peaks[2]])
            if n == 2_000:
                times = in_turns(servers, BY_SERIES, HOUR, 5)
                ratios[f"{n} series, 1h/15s, each series"] = times[0] / times[2]
                table.append(["1h/15s each series", *times, times[0] / times[2], times[1] / times[2]])
        head = ["median wall ms", "disk", "cached", "Prometheus", "disk / P.", "cached / P."]
        print_table(f"{n} series", head, table)
    finally:
        shutil.rmtree(work)


def measure_set(ratios: dict[str, float]) -> None:
    """Time a query of every function, operator and aggregation; note the slowest ratio."""
    data, work = data_folder(SET_SIZE), Path(tempfile.mkdtemp())
    found: list[tuple[float, str, list[float]]] = []
    try:
        with our_server(data, work, cached=True) as ours, prometheus(data, work) as peer:
            for query in SET:
                times = in_turns([ours, peer], query, HOUR, N_SET_RUNS)
                found.append((times[0] / times[1], query, times))
    finally:
        shutil.rmtree(work)
    found.sort(reverse=True)
    ratios[f"{SET_SIZE} series, slowest of the set"] = found[0][0]
    rows = [[query[:90], *times, ratio] for ratio, query, times in found[:8]]
    middle = statistics.median(ratio for ratio, _, _ in found)
    title = f"{len(SET)} queries over {SET_SIZE} series, 1h/15s: median ratio {middle:.2f}; the slowest"
    print_table(title, ["query", "cached", "Prometheus", "ratio"], rows)


def main(arguments: list[str]) -> int:
    """Measure all sizes; return 1 on a twofold regression."""
    if not is_installed():
        print("skipped: prometheus and promtool are not installed")
        return 0
    sizes = [int(one) for one in arguments if one.isdigit()] or [200, 2_000]
    if "--full" in arguments:
        sizes.append(20_000)
    ratios: dict[str, float] = {}
    for n in sizes:
        measure(n, ratios)
    if SET_SIZE in sizes:
        measure_set(ratios)
    if 2_000 in sizes:
        fair_share(data_folder(2_000), ratios)
    return check_budgets("promql", ratios)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
