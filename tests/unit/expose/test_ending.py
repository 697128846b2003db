"""How workers end: the last word is written, bounded and only where there is something to say; siblings keep apart."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from agentgauge.expose.announcement import has_sibling
from agentgauge.expose.document import Document
from agentgauge.expose.exposition import Exposition, expose, exposition_of
from agentgauge.expose.last_word import MAX_AGE_MS, MAX_FILES, leave_last_word
from agentgauge.record.ledger import Ledger


def test_the_last_word_says_who_and_what(exposition, folder, get) -> None:
    """After close: the labels of the discovery file, since when, the text; scraped or not."""
    port = exposition.port
    exposition.close()
    (path,) = (folder / "ended").glob("*.json")
    word = json.loads(path.read_text())
    assert word["group"]["targets"] == [f"127.0.0.1:{port}"]
    assert word["start_ms"] <= word["end_ms"]
    assert word["scraped"] is False
    assert 'agent_tool_calls_total{agent="a"' in word["text"]


def test_who_counted_nothing_says_nothing(folder) -> None:
    """A process without a task or call leaves no file."""
    Exposition(Ledger(), port=0).close()
    assert not (folder / "ended").exists()


def test_last_words_are_few_and_short_lived(ledger, tmp_path) -> None:
    """The oldest beyond the limit go, and all that nobody took for an hour."""
    ended = tmp_path / "ended"
    ended.mkdir()
    now_ms = time.time_ns() // 1_000_000
    for i in range(MAX_FILES + 5):
        (ended / f"{i}-1.json").write_text("{}")
    os.utime(ended / "0-1.json", (now_ms / 1000 - 2 * MAX_AGE_MS / 1000,) * 2)
    leave_last_word(tmp_path, Document(ledger), {}, 0, now_ms)
    assert len(list(ended.iterdir())) == MAX_FILES
    assert not (ended / "0-1.json").exists()


def test_one_ledger_has_one_endpoint(ledger, folder) -> None:
    """The same settings keep it, others move it; closed, it is made anew."""
    first = expose(ledger, port=0)
    assert expose(ledger, port=0) is first
    moved = expose(ledger, port=0, linger_s=0.01)
    assert first.is_closed
    assert exposition_of(ledger) is moved
    moved.close()
    assert exposition_of(ledger) is None


def test_siblings_are_living_processes_of_the_same_program_and_wish(folder, monkeypatch) -> None:
    """Not this process, not another program, not another wish, not the dead."""
    folder.mkdir(parents=True)
    monkeypatch.setattr(sys, "argv", ["/app/worker.py"])
    with subprocess.Popen(["sleep", "60"]) as other:

        def write(pid: int, process: str = "worker.py", port: str = "8001") -> None:
            labels = {"process": process, "__agentgauge_pid": str(pid), "__agentgauge_started": ""}
            group = {"targets": ["127.0.0.1:1"], "labels": {**labels, "__agentgauge_port": port}}
            (folder / f"{pid}-1.json").write_text(json.dumps([group]))

        write(os.getpid())
        write(other.pid, process="web.py")
        assert not has_sibling(folder, 8001)
        write(other.pid, port="9000")
        assert not has_sibling(folder, 8001)
        write(other.pid)
        assert has_sibling(folder, 8001)
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet reaped: a zombie
        assert not has_sibling(folder, 8001)


WAITING = """
import ctypes, multiprocessing, os, signal, sys
from agentgauge.expose.ending import Termination

termination = Termination(lambda: print("closed", flush=True))
termination.watch()
lock = multiprocessing.Lock()
lock.acquire()
if sys.argv[1] == "in C":
    ctypes.CDLL(None).system(b"echo ready; read end")  # no Python handler runs from before "ready" on
print("ready", flush=True)
if sys.argv[1] == "unwoken":
    os.write(termination._pipe[1], bytes([signal.SIGTERM]))  # a signal that was noted and woke nobody
lock.acquire()
"""


@pytest.mark.parametrize(
    ("how", "ends_by"), [("waiting", signal.SIGTERM), ("unwoken", signal.SIGTERM), ("in C", signal.SIGKILL)]
)
def test_sigterm_ends_a_worker_whatever_it_waits_for(how: str, ends_by: int) -> None:
    """It closes, then dies of the signal; of SIGKILL where the main thread never looks."""
    command = [sys.executable, "-c", WAITING, how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        if how != "unwoken":
            process.terminate()
        assert process.stdout.readline() == "closed\n"
        assert process.wait(20) == -ends_by
