"""Random queries give Prometheus 2.42's answer."""

from __future__ import annotations

import pytest
from tests.conformance.differential.data import generated
from tests.conformance.differential.fuzz import Fuzzer, Generator
from tests.conformance.differential.peer import Prometheus, is_installed

N_QUERIES = 1_000
FRAGILE_SHARE = 0.03
"""Queries that rounding decides, at most: the generator must not hide behind them."""


@pytest.mark.peer
def test_random_queries_answer_as_prometheus(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A thousand seeded queries without a difference; the long run is ``benchmarks/fuzz_promql.py``."""
    if not is_installed():
        pytest.skip("prometheus and promtool are not installed")
    series = generated()
    with Prometheus(tmp_path_factory.mktemp("peer"), series) as peer:
        report = Fuzzer(peer, series).run(N_QUERIES, seed=1)
    assert not report.cases, f"{report.line()}\n" + "\n".join(report.cases or [])
    assert report.n_fragile <= FRAGILE_SHARE * N_QUERIES, report.line()


def test_queries_depend_on_the_seed_alone() -> None:
    """The same seed makes the same queries."""
    first, second = Generator(5), Generator(5)
    assert [first.query() for _ in range(50)] == [second.query() for _ in range(50)]
