"""History in and out: import, serve, export, and the field's own tools on what we wrote."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentgauge.model.clock import SystemClock

HOUR_MS = 3_600_000
END_MS = SystemClock.now_ms() // HOUR_MS * HOUR_MS - HOUR_MS
N_TIMES = 300
STEP_MS = 15_000
Run = Callable[..., subprocess.CompletedProcess[str]]


def history(end_ms: int = END_MS, by_time: bool = False) -> str:
    """A counter of two targets, a histogram, a gauge with every odd value, as OpenMetrics."""
    rows: list[tuple[str, str, float]] = []
    chance = random.Random(3)
    start_ms = end_ms - (N_TIMES - 1) * STEP_MS
    for at in range(N_TIMES):
        for host in range(2):
            time = f"{(start_ms + at * STEP_MS + host * 1234) / 1000:.3f}"
            labels = f'instance="h{host}:1",job="j"'
            rows.append((f"a_requests_total{{{labels}}}", repr(float(at * (host + 1) % 170)), float(time)))
            for le, n in (("0.1", at), ("1", 2 * at), ("+Inf", 3 * at)):
                rows.append((f'b_seconds_bucket{{le="{le}",{labels}}}', repr(float(n)), float(time)))
            rows.append((f"b_seconds_count{{{labels}}}", repr(float(3 * at)), float(time)))
            rows.append((f"b_seconds_sum{{{labels}}}", repr(at * 0.7), float(time)))
            odd = chance.choice(["NaN", "+Inf", "-Inf", "-0.0", "1e-300", repr(chance.random())])
            rows.append((f'c_state{{why="a \\"b\\" \\\\ c",{labels}}}', odd, float(time)))
    types = {
        "a_": "# TYPE a_requests counter\n",
        "b_": "# HELP b_seconds Time.\n# TYPE b_seconds histogram\n",
        "c_": "# TYPE c_state gauge\n",
    }
    if by_time:
        return "".join(types.values()) + "".join(f"{s} {v} {t:.3f}\n" for s, v, t in rows) + "# EOF\n"
    text = ""
    for first, head in types.items():
        mine = sorted((row for row in rows if row[0].startswith(first)), key=lambda row: (row[0], row[2]))
        text += head + "".join(f"{s} {v} {t:.3f}\n" for s, v, t in mine)
    return text + "# EOF\n"


QUERIES = (
    "a_requests_total",
    "sum(rate(a_requests_total[5m]))",
    "histogram_quantile(0.9, sum by (le) (rate(b_seconds_bucket[5m])))",
    "increase(b_seconds_sum[3m])",
    "count(c_state)",
    "resets(a_requests_total[1h])",
)


def answers(peer: Any, end_ms: int) -> list[dict[str, list[tuple[float, float]]]]:
    """Ask all queries over an hour; no step meets a sample at a window's edge, which Prometheus 2 and 3 read apart."""
    start, end = str((end_ms - HOUR_MS - 7_000) / 1000), str((end_ms + 53_000) / 1000)
    found = []
    for query in QUERIES:
        result = peer.api("query_range", query=query, start=start, end=end, step="30")["result"]
        found.append({str(sorted(i["metric"].items())): [(t, float(v)) for t, v in i["values"]] for i in result})
    return found


@pytest.mark.peer
@pytest.mark.parametrize("by_time", [False, True])
def test_there_and_back_through_promtool(
    peers: Any, program: Callable[[str], str], agentgauge: Run, tmp_path: Path, by_time: bool
) -> None:
    """What we import and export again, promtool takes, and a real Prometheus answers from it as we do."""
    source, exported, db = tmp_path / "in.om", tmp_path / "out.om", tmp_path / "m.db"
    source.write_text(history(by_time=by_time))
    done = agentgauge("import", "openmetrics", source, "--db", db)
    assert done.returncode == 0, done.stderr
    assert f"{N_TIMES * 2 * 7:,} samples" in done.stdout
    ours = peers.ours(db)
    # Beside a server that has the file open.
    done = agentgauge("export", "openmetrics", "--db", db, "-o", exported)
    assert done.returncode == 0, done.stderr
    for name, text in (("from-us", exported), ("from-source", source)):
        made = subprocess.run(
            [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", str(text), str(tmp_path / name)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
    theirs = peers.prometheus(tmp_path / "from-us")
    raw = [peer.samples('{__name__=~"a_.*|b_.*|c_.*"}', END_MS + 5_000, "2h") for peer in (ours, theirs)]
    assert sum(map(len, raw[0].values())) == N_TIMES * 2 * 7
    assert raw[0] == raw[1]
    ours_answers, theirs_answers = answers(ours, END_MS), answers(theirs, END_MS)
    for query, mine, other in zip(QUERIES, ours_answers, theirs_answers, strict=True):
        assert mine.keys() == other.keys(), query
        for series, samples in mine.items():
            assert np.allclose(samples, other[series], rtol=1e-12, atol=0, equal_nan=True), query
    metadata = ours.api("metadata")
    assert metadata["b_seconds"] == [{"type": "histogram", "help": "Time.", "unit": ""}]


def test_old_data_is_served_and_stays(peers: Any, agentgauge: Run, tmp_path: Path) -> None:
    """Years-old history answers, also after a restart; nothing else is in the file, nothing is aged out."""
    old_ms = 1_400_000_000_000
    db = tmp_path / "old.db"
    done = agentgauge("import", "openmetrics", "-", "--db", db, stdin=history(old_ms))
    assert done.returncode == 0, done.stderr
    before = None
    for _ in range(2):
        server = peers.ours(db)
        assert sorted(server.api("label/__name__/values")) == [
            "a_requests_total", "b_seconds_bucket", "b_seconds_count", "b_seconds_sum", "c_state",
        ]  # fmt: skip
        found = answers(server, old_ms)
        assert all(found)
        assert before in (None, found)
        before = found
        server.end()


def test_an_interrupted_import_goes_on(agentgauge: Run, tmp_path: Path) -> None:
    """Killed in the middle, a second run says where it goes on, and the file is whole."""
    source, db = tmp_path / "in.om", tmp_path / "m.db"
    n_series, n_times = 400, 12_000
    with source.open("w") as file:
        for series in range(n_series):
            file.write("".join(f'x{{i="{series}"}} {k} {1_600_000_000 + 15 * k}\n' for k in range(n_times)))
        file.write("# EOF\n")
    line = [sys.executable, "-m", "agentgauge", "import", "openmetrics", str(source), "--db", str(db)]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while process.poll() is None and not (db.exists() and _has_chunks(agentgauge, db)):
            threading.Event().wait(0.05)
        process.send_signal(signal.SIGKILL)
    finally:
        process.communicate()
    done = agentgauge("import", "openmetrics", source, "--db", db)
    assert done.returncode == 0, done.stderr
    assert "went on at line" in done.stdout
    assert f"{n_series * n_times:,} samples" in done.stdout
    checked = agentgauge("db", "check", "--db", db)
    assert checked.returncode == 0, checked.stdout
    info = agentgauge("db", "info", "--json", "--db", db)
    assert f'"n_samples": {n_series * n_times}' in info.stdout


def _has_chunks(agentgauge: Run, db: Path) -> bool:
    return (
        '"n_chunks": 0' not in (shown := agentgauge("db", "info", "--json", "--db", db).stdout) and "n_chunks" in shown
    )


def test_errors_say_what_and_where(agentgauge: Run, tmp_path: Path) -> None:
    """A bad line by its number, a missing file, a wrong time, a missing database: one line each, status 1."""
    db = tmp_path / "m.db"
    bad = agentgauge("import", "openmetrics", "-", "--db", db, stdin="a 1 1700000000\nb{ 1 2\n# EOF\n")
    assert (bad.returncode, "line 2" in bad.stderr) == (1, True)
    missing = agentgauge("import", "openmetrics", tmp_path / "nothing", "--db", db)
    assert (missing.returncode, "cannot be read" in missing.stderr) == (1, True)
    cut = agentgauge("import", "openmetrics", "-", "--db", db, stdin="a 1 1700000000\n")
    assert (cut.returncode, "# EOF" in cut.stderr) == (0, True)
    time = agentgauge("export", "openmetrics", "--db", db, "--from", "yesterday")
    assert (time.returncode, "--from" in time.stderr) == (1, True)
    nowhere = agentgauge("export", "openmetrics", "--db", tmp_path / "none.db")
    assert (nowhere.returncode, "does not exist" in nowhere.stderr) == (1, True)


def test_a_part_is_exported(agentgauge: Run, tmp_path: Path) -> None:
    """A time range and selectors cut the text; a series that two selectors name is there once."""
    db = tmp_path / "m.db"
    agentgauge("import", "openmetrics", "-", "--db", db, stdin=history())
    done = agentgauge(
        "export", "openmetrics", "--db", db, "--from", (END_MS - 30_000) / 1000, "--to", END_MS / 1000,
        "--match", 'a_requests_total{instance="h0:1"}', "--match", "a_requests_total",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "# TYPE a_requests counter"
    assert lines[-1] == "# EOF"
    assert [line.split("{")[0] for line in lines[1:-1]] == ["a_requests_total"] * 5
