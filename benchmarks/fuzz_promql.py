"""The long random-query run against an installed Prometheus: ``python -m benchmarks.fuzz_promql [queries] [seed]``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.conformance.differential.data import generated
from tests.conformance.differential.fuzz import Fuzzer
from tests.conformance.differential.peer import Prometheus, is_installed


def main(n_queries: int = 20_000, seed: int = 1) -> int:
    """Print the report; return 1 when a query differs."""
    if not is_installed():
        print("skipped: prometheus and promtool are not installed")
        return 0
    series = generated()
    with tempfile.TemporaryDirectory() as folder, Prometheus(Path(folder), series) as peer:
        report = Fuzzer(peer, series).run(n_queries, seed)
    for case in report.cases or []:
        print(case)
    print(report.line())
    return 1 if report.cases else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
