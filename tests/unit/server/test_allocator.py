"""What the server asks of the C library's allocator, seen from outside: page faults."""

from __future__ import annotations

import subprocess
import sys

import pytest

ARRAYS = """
import resource, sys
import numpy as np
from agentgauge.server.allocator import keep_freed_memory
if sys.argv[1] == "kept" and not keep_freed_memory():
    sys.exit(3)
for round in range(50):
    if round == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    arrays = [np.ones(1 << 17) for _ in range(8)]
    del arrays
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    """Return how many pages are faulted in by arrays that come and go, in a process of their own."""
    done = subprocess.run([sys.executable, "-c", ARRAYS, how], capture_output=True, text=True, check=False)
    if done.returncode == 3:
        pytest.skip("no glibc here, nothing to set")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_memory_that_was_freed_is_used_again() -> None:
    """Arrays of a megabyte that follow each other take the pages of those before; by default they fault anew."""
    assert faults("kept") < faults("default") / 10
