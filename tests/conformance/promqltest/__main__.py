"""``python -m tests.conformance.promqltest [--dense] FILE…``: the last line counts, the exit code judges."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from tests.conformance.promqltest.run import Report, run_script
from tests.conformance.promqltest.values import ScriptError


def main(arguments: list[str]) -> int:
    """Run the scripts; 0 when nothing failed."""
    parser = argparse.ArgumentParser(prog="promqltest", description="Run promqltest scripts against the engine.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--dense", action="store_true", help="hand series that share their times over as one block")
    parser.add_argument("--skips", action="store_true", help="list the lines of the skipped evals")
    chosen = parser.parse_args(arguments)
    n_passed, n_failed, skips = 0, 0, Counter[str]()
    for path in chosen.files:
        report = _run(path, dense=chosen.dense)
        n_passed += report.n_passed
        n_failed += len(report.failures)
        skips += report.skips
        _print_file(path, report, list_skips=chosen.skips)
    for feature, count in sorted(skips.items()):
        print(f"skipped {count}: {feature}")
    print(f"{n_passed} passed, {n_failed} failed, {skips.total()} skipped")
    return 1 if n_failed else 0


def _run(path: Path, *, dense: bool) -> Report:
    try:
        return run_script(path.read_text("utf-8", "surrogateescape"), dense=dense)
    except (ScriptError, OSError) as error:
        return Report(failures=[(0, "", f"script error: {error}")])


def _print_file(path: Path, report: Report, *, list_skips: bool) -> None:
    for line, expr, difference in report.failures:
        print(f"FAIL {path.name}:{line}: {expr}\n     {difference}")
    n_skipped = report.skips.total()
    print(f"{path.name}: {report.n_passed} passed, {len(report.failures)} failed, {n_skipped} skipped")
    if list_skips and report.skipped_lines:
        print("  skipped lines:", *report.skipped_lines)


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(main(sys.argv[1:]))
