"""What hangs with bare prometheus_client must not hang here: finalisers, signal handlers, forks; and nothing is lost.

Each case is a process of its own with a time limit, because a deadlock cannot be caught from inside.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LIMIT_S = 60

PREAMBLE = """
import gc, os, signal, sys, threading
from agentgauge.model.span import LLMCall, ToolCall
from agentgauge.record.ledger import Ledger
from agentgauge.record.recorder import Recorder

recorder = Recorder(Ledger(limits={"agent": 10**6, "tool_name": 10**6, "model": 10**6}, series_limit=10**9))

def total():
    return sum(sample.value for metric in recorder.ledger.collect() for sample in metric.samples
               if sample.name == "agent_tool_calls_total")
"""

FINALISER = """
gc.set_threshold(20, 2, 2)
n_made = 0

def stream(i):
    global n_made
    n_made += 1
    try:
        yield 1
        yield 2
    finally:
        recorder.record(ToolCall("finaliser", f"f{i % 7}", "cancelled", 0, 1))

class Wrapper:
    def __init__(self, i):
        self.me = self  # a cycle: only the collector ends it
        self.stream = stream(i)
        next(self.stream)

for i in range(4000):
    Wrapper(i)
    recorder.record(ToolCall(f"a{i}", "t", "success", 0, 1))  # new label values: much is allocated under the lock
gc.collect()
print(int(total()) == 4000 + n_made, n_made)
"""

SIGNAL = """
n_handled = 0

def handle(number, frame):
    global n_handled
    n_handled += 1
    recorder.record(ToolCall("handler", f"h{n_handled % 5}", "success", 0, 1))

signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
for i in range(20000):
    recorder.record(ToolCall(f"a{i}", "t", "success", 0, 1))
signal.setitimer(signal.ITIMER_REAL, 0)
signal.signal(signal.SIGALRM, signal.SIG_IGN)
print(int(total()) == 20000 + n_handled, n_handled)
"""

FORK = """
stop = threading.Event()

def write(k):
    i = 0
    while not stop.is_set():
        i += 1
        recorder.record(ToolCall(f"w{k}-{i % 5000}", "t", "success", 0, 1))

writers = [threading.Thread(target=write, args=(k,)) for k in range(3)]
for writer in writers:
    writer.start()
good = 0
for i in range(100):
    pid = os.fork()
    if pid == 0:
        signal.alarm(10)  # a child that hangs is killed, and counted as not good
        recorder.record(ToolCall("child", "t", "success", 0, 1))
        os._exit(0 if total() == 1 else 1)
    good += os.waitpid(pid, 0)[1] == 0
stop.set()
for writer in writers:
    writer.join()
print(good == 100, good)
"""


@pytest.mark.parametrize("script", [FINALISER, SIGNAL, FORK], ids=["finaliser", "signal", "fork"])
def test_no_hang_and_no_event_lost(script):
    """The process ends in time and its counts are what happened."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PREAMBLE + script],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env=os.environ,
    )
    assert done.stdout.startswith("True"), done.stdout + done.stderr[-2000:]
