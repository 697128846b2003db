"""kill -9 at random moments loses nothing that was acknowledged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
@pytest.mark.timeout(280)
@pytest.mark.parametrize(("script", "rounds"), [("crash_server", "6"), ("crash_store", "20")])
def test_kills_lose_nothing(script: str, rounds: str) -> None:
    """A bounded run of the benchmarks, which kill the store's process 200 times and the server's 50 times."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{script}", "--rounds", rounds],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=270,
    )
    assert done.returncode == 0, done.stderr
    assert "0 lost" in done.stdout
