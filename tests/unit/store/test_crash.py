"""kill -9 at random moments loses nothing that was acknowledged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "crash_store.py"


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_twenty_kills_lose_nothing() -> None:
    """A bounded run of the benchmark, which does 200."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--rounds", "20"], capture_output=True, text=True, check=False, timeout=270
    )
    assert done.returncode == 0, done.stderr
    assert "0 lost" in done.stdout
