"""The three queries of the how-to, through HTTP with JSON, beside an installed Prometheus over the same samples.

``python benchmarks/bench_promql.py [series …]``: by default 200 and 2,000; 20,000 needs 20 GB of text and an hour.
Both servers read from disk, in one run, asked alternately by one client; the ratio is ours / Prometheus, of medians.
The data: a scrape per 15 s for 24 h, two restarts; N tool-call counters and N bucket series of ten bounds.
"""

from __future__ import annotations

import http.client
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import urlencode

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent))

from harness import check_budgets, print_table  # noqa: E402
from tests.conformance.differential.peer import Prometheus, free_port, is_installed  # noqa: E402
from tests.conformance.differential.samples import series_text  # noqa: E402

from agentgauge.database import Database  # noqa: E402
from agentgauge.model.labels import Labels, labels_from_mapping  # noqa: E402
from agentgauge.model.series import Row  # noqa: E402

START_MS = 236_112 * 7_200_000
DAY_MS = 86_400_000
STEP_MS = 15_000
BOUNDS = ("0.1", "0.5", "1", "2", "5", "10", "30", "60", "120", "+Inf")
QUERIES = {
    "topk": "topk(5, sum(rate(agent_tool_calls_total[5m])) by (tool_name))",
    "error share": (
        'sum(rate(agent_tool_calls_total{status="error"}[5m])) by (agent)'
        " / sum(rate(agent_tool_calls_total[5m])) by (agent)"
    ),
    "quantile": "histogram_quantile(0.95, sum(rate(agent_llm_latency_seconds_bucket[5m])) by (le))",
}
RANGES = {
    "1h/15s": (START_MS + DAY_MS - 3_600_000, START_MS + DAY_MS, 15_000),
    "24h/60s": (START_MS, START_MS + DAY_MS, 60_000),
}
N_RUNS = 9


def labels(n: int) -> list[Labels]:
    """Return the label sets of N counters and N bucket series."""
    tools = [
        {
            "__name__": "agent_tool_calls_total",
            "agent": f"agent{i // 20}",
            "tool_name": f"tool{i % 10}",
            "status": ("success", "error")[i // 10 % 2],
        }
        for i in range(n)
    ]
    buckets = [
        {"__name__": "agent_llm_latency_seconds_bucket", "agent": f"agent{i // 10}", "model": "m", "le": BOUNDS[i % 10]}
        for i in range(n)
    ]
    return [labels_from_mapping(one) for one in [*tools, *buckets]]


def rows(n: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the time and the values of every scrape."""
    rng = np.random.default_rng(1)
    total = np.zeros(2 * n)
    n_rows = DAY_MS // STEP_MS
    for i in range(n_rows + 1):
        if i in {n_rows // 3, 2 * n_rows // 3}:
            total[:] = 0
        total[:n] += rng.poisson(0.5, n)
        total[n:] += np.cumsum(rng.poisson(0.2, (n // 10, 10)), axis=1).ravel()
        yield START_MS + i * STEP_MS, total.copy()


def write_ours(path: Path, n: int) -> None:
    """Fill a database file."""
    with Database.open(path, retention_ms=0) as database:
        group, new = database.store.group("bench"), labels(n)
        for t_ms, values in rows(n):
            group.append(Row(t_ms, values, new))
            new = []


def write_text(path: Path, n: int) -> None:
    """Write the same samples as OpenMetrics text."""
    names = [series_text(one) for one in labels(n)]
    with path.open("w") as file:
        for t_ms, values in rows(n):
            seconds = f"{t_ms / 1000:.3f}\n"
            file.writelines(f"{name} {value} {seconds}" for name, value in zip(names, values.tolist(), strict=True))
        file.write("# EOF\n")


class Asker:
    """Asks one server. A connection per question, opened before the clock starts: idle ones may be closed."""

    def __init__(self, port: int) -> None:
        self._port = port

    def ask_ms(self, query: str, window: tuple[int, int, int]) -> float:
        """Return the wall time of a range query, answer read."""
        start, end, step = (time_ms / 1000 for time_ms in window)
        form = urlencode({"query": query, "start": start, "end": end, "step": step})
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)) as connection:
            connection.connect()
            began = time.perf_counter()
            connection.request(
                "POST", "/api/v1/query_range", form, {"Content-Type": "application/x-www-form-urlencoded"}
            )
            answer = connection.getresponse()
            body = answer.read()
            took = (time.perf_counter() - began) * 1e3
        assert answer.status == 200, body[:300]
        assert b'"values"' in body, body[:300]
        return took


@contextmanager
def our_server(path: Path) -> Iterator[int]:
    """Serve a database file; yield the port."""
    port = free_port()
    command = [sys.executable, "-m", "agentgauge", "serve", "--listen", f"127.0.0.1:{port}", "--db", str(path)]
    command += ["--no-discovery", "--no-self-scrape", "--retention", "100y"]
    log = path.with_suffix(".log").open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until_ready(port, process, path.with_suffix(".log"))
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)
        log.close()


def wait_until_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for ``/-/ready``; a minute at most."""
    deadline = time.perf_counter() + 60
    while time.perf_counter() < deadline:
        assert process.poll() is None, log.read_text()[-2000:]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/-/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise TimeoutError("the server did not become ready")


def measure(n: int, folder: Path) -> dict[str, float]:
    """Return the ratio of each query and range at N series; print the times."""
    write_ours(folder / "ours.db", n)
    write_text(folder / "samples.txt", n)
    ratios, table = {}, []
    with ExitStack() as stack:
        peer = stack.enter_context(Prometheus(folder))
        ours = Asker(stack.enter_context(our_server(folder / "ours.db")))
        theirs = Asker(peer.port)
        for range_name, window in RANGES.items():
            for name, query in QUERIES.items():
                runs = [(ours.ask_ms(query, window), theirs.ask_ms(query, window)) for _ in range(N_RUNS)]
                mine, other = (statistics.median(side) for side in zip(*runs, strict=True))
                ratios[f"{n} series, {range_name}, {name}"] = mine / other
                table.append([f"{range_name} {name}", mine, other, mine / other])
    print_table(f"{n} series, median wall ms of {N_RUNS}", ["query", "agentgauge", "Prometheus", "ratio"], table)
    return ratios


def main(sizes: list[int]) -> int:
    """Measure all sizes; return 1 on a twofold regression."""
    if not is_installed():
        print("skipped: prometheus and promtool are not installed")
        return 0
    ratios: dict[str, float] = {}
    for n in sizes:
        folder = Path(tempfile.mkdtemp())
        try:
            ratios |= measure(n, folder)
        finally:
            shutil.rmtree(folder)
    return check_budgets("promql", ratios)


if __name__ == "__main__":
    sys.exit(main([int(arg) for arg in sys.argv[1:]] or [200, 2_000]))
