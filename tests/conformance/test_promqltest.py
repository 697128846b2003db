"""The scripts: Prometheus' own where they lie beside the project, and ours always."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = sorted((ROOT / "tests/conformance/promql").glob("*.test"))
STABLE_FLOAT_CASES = 923  # of the eleven scripts of Prometheus 3.14; native histograms are the only reason to skip


def run(files: list[Path], *options: str) -> tuple[int, str]:
    """Run the command that people type."""
    words = [sys.executable, "-m", "tests.conformance.promqltest", *options, *map(str, files)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("layout", [[], ["--dense"]], ids=["ragged", "dense"])
def test_scripts_of_prometheus_pass(shared_data: Path, layout: list[str]) -> None:
    """Every stable float case passes, re-runs and annotations included, over both layouts of blocks."""
    code, shown = run(sorted((shared_data / "promqltest").glob("*.test")), *layout)
    assert (code, shown.splitlines()[-1]) == (0, f"{STABLE_FLOAT_CASES} passed, 0 failed, 307 skipped"), shown[-3000:]
    assert "skipped 307: native histograms" in shown


@pytest.mark.parametrize("layout", [[], ["--dense"]], ids=["ragged", "dense"])
def test_our_scripts_pass(layout: list[str]) -> None:
    """Our own cases pass, and none is skipped."""
    code, shown = run(OURS, *layout)
    assert code == 0, shown[-3000:]
    assert re.fullmatch(r"[1-9]\d* passed, 0 failed, 0 skipped", shown.splitlines()[-1])


def test_failure_shows_and_exits_non_zero(tmp_path: Path) -> None:
    """A wrong expectation, an unexpected annotation and a broken script each count as failed."""
    script = tmp_path / "wrong.test"
    script.write_text(
        'load 1m\n  m{a="1"} 0+1x5\n\neval instant at 1m m\n  m{a="1"} 7\n\n'
        "eval instant at 1m quantile(2, m)\n  expect no_warn\n  {} +Inf\n"
    )
    broken = tmp_path / "broken.test"
    broken.write_text("leap 5m\n")
    code, shown = run([script, broken])
    assert code == 1
    assert shown.splitlines()[-1] == "0 passed, 3 failed, 0 skipped"


def test_skip_names_its_feature(tmp_path: Path) -> None:
    """Cases of what v1 lacks are skipped by name, and everything else around them runs."""
    script = tmp_path / "native.test"
    script.write_text(
        "load 1m\n  h {{schema:0 sum:1 count:1}}x3\n  f 1x3\n\n"
        "eval instant at 1m h\n  h {{schema:0 sum:1 count:1}}\n\n"
        'eval instant at 1m count({__name__=~"h|f"})\n  {} 2\n\n'
        "eval instant at 1m info(f)\n  f 1\n\neval instant at 1m f\n  f 1\n"
    )
    code, shown = run([script])
    assert code == 0
    assert "skipped 2: native histograms" in shown
    assert "info()" in shown
    assert shown.splitlines()[-1] == "1 passed, 0 failed, 3 skipped"
