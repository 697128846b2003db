"""What every test may count on: where the team's data lies, and that a skip never hides in CI."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
NO_SKIPS = os.environ.get("AGENTGAUGE_NO_SKIPS") == "1"

PEERS = {"prometheus": "prometheus", "promtool": "prometheus", "victoria-metrics": "victoria-metrics", "tmux": "tmux"}
"""Programs of the field that tests drive -> the Debian package that holds each."""

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")  # how long examples take is the machine's business, not a test's


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where everything that a test needs must be there."""
    report = yield
    if NO_SKIPS and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and AGENTGAUGE_NO_SKIPS=1 allows none: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The recordings and scripts that lie beside the project, where they do."""
    path = ROOT.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip("the team's recordings (../shared/data) are not here")
    return path


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Find a program of the field by name, or skip the test and say which package holds it."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"{name} is not installed; on Debian: apt-get install {PEERS.get(name, name)}")
        return path

    return find
