"""Weeks in compressed time: the file and the memory of the store stay flat under retention."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "soak_store.py"


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_three_weeks_are_flat() -> None:
    """A bounded run of the benchmark, which lives through 30 days of 2,000 series at 15 s."""
    bounds = ["--days", "24", "--series", "800", "--retention-days", "3", "--step-s", "240", "--quiet"]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *bounds], capture_output=True, text=True, check=False, timeout=270
    )
    assert done.returncode == 0, done.stdout + done.stderr
