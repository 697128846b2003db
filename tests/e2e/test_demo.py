"""``agentgauge demo`` as a person runs it: agents seen in ten seconds, a summary at the end, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from agentgauge.model.clock import SystemClock

DEMO = [sys.executable, "-m", "agentgauge", "demo"]


def until(condition: Callable[[], bool], seconds: float) -> float:
    """Wait for a condition and return how long it took; fail when it takes longer than allowed."""
    start_ns = SystemClock.monotonic_ns()
    while not condition():
        assert SystemClock.monotonic_ns() - start_ns < seconds * 1e9, f"did not come true in {seconds:g} s"
        threading.Event().wait(0.05)
    return (SystemClock.monotonic_ns() - start_ns) / 1e9


def children(pid: int) -> set[int]:
    """Return the process ids below a process."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            child = int(path.parent.name)
            found |= {child} | children(child)
    return found


def value(url: str, query: str) -> float:
    """Return the one value of an instant query, 0 when there is none."""
    try:
        with urllib.request.urlopen(f"{url}/api/v1/query?query={query}", timeout=5) as answer:
            rows = json.load(answer)["data"]["result"]
    except OSError:
        return 0.0
    return float(rows[0]["value"][1]) if rows else 0.0


def test_for_a_while_with_json() -> None:
    """``--for 12s --json`` ends by itself with exit 0 and a line for every agent, tasks and tokens counted."""
    command = [*DEMO, "--for", "12s", "--json", "--listen", "127.0.0.1:0"]
    done = subprocess.run(command, check=False, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    summary = {line["agent"]: line for line in json.loads(done.stdout)}
    assert set(summary) == {"analyst", "ponderer", "researcher", "scout", "summarizer"}
    for agent in ("analyst", "ponderer", "scout"):
        assert summary[agent]["n_tasks"] > 0
        assert summary[agent]["n_tokens"] > 0
        assert 0 < summary[agent]["task_p50_s"] <= summary[agent]["task_p95_s"]
        assert summary[agent]["top_tools"]


def test_seen_in_ten_seconds_and_gone_in_two() -> None:
    """Agents are on the server within ten seconds of its address; Ctrl-C ends all processes within two."""
    pipe = subprocess.PIPE
    with subprocess.Popen([*DEMO, "--listen", "127.0.0.1:0"], stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stderr
        line = ""
        while "http" not in line:
            line = process.stderr.readline()
            assert line, "the demo ended before it said where it shows"
        url = next(word for word in line.split() if word.startswith("http"))
        until(lambda: value(url, "sum(agent_tasks_total)") > 0, 10)
        until(lambda: value(url, "sum(agent_token_usage_total)") > 0, 10)
        family = children(process.pid)
        assert len(family) == 2
        process.send_signal(signal.SIGINT)
        took_s = until(lambda: process.poll() is not None, 10)
        assert took_s < 2.0
        assert process.returncode == 0
        assert not [pid for pid in family if Path(f"/proc/{pid}").exists()]


def test_a_parent_that_dies_leaves_no_child() -> None:
    """Killed outright, the demo takes its children along."""
    pipe = subprocess.PIPE
    with subprocess.Popen([*DEMO, "--listen", "127.0.0.1:0"], stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stderr
        while "http" not in process.stderr.readline():
            pass
        family = children(process.pid)
        process.kill()
        process.wait()
        until(lambda: not [pid for pid in family if alive(pid)], 5)


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--ollama", "http://127.0.0.1:9"], "no Ollama answers at http://127.0.0.1:9"),
        (["--for", "soon"], "not a duration"),
        (["--preset", "warp-drive"], "warp-drive"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(arguments: list[str], words: str) -> None:
    """An address where nothing answers, a wrong duration, a wrong preset: one clear line and exit 1."""
    done = subprocess.run(
        [*DEMO, *arguments, "--listen", "127.0.0.1:0"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
