"""Every query template gives Prometheus 2.42's answer, series, times and values."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.conformance.differential.compare import difference, ours, theirs
from tests.conformance.differential.data import SPAN_MS, START_MS, generated
from tests.conformance.differential.known import as_3x, comparable, excused
from tests.conformance.differential.peer import Prometheus, is_installed
from tests.conformance.differential.samples import MemorySource
from tests.conformance.differential.templates import TEMPLATES

from agentgauge.promql.engine import Engine, Options

MIDDLE_MS = START_MS + SPAN_MS // 2
TIMES = (
    (MIDDLE_MS, MIDDLE_MS, 0),
    (MIDDLE_MS + 7_777, MIDDLE_MS + 7_777, 0),
    (START_MS - 60_000, START_MS + SPAN_MS + 600_000, 147_000),
    (MIDDLE_MS, MIDDLE_MS + 300_000, 15_000),
)
"""(start, end, step): on the samples' grid and beside it, at once and over ranges that begin before the data."""


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    if not is_installed():
        pytest.skip("prometheus and promtool are not installed")
    with Prometheus(tmp_path_factory.mktemp("peer"), generated()) as peer:
        yield peer


@pytest.mark.peer
def test_templates_answer_as_prometheus(prometheus: Prometheus) -> None:
    """All templates, at all times, equal to 1e-9 relative; at least 500 of them."""
    engine = Engine(MemorySource(generated()), Options(semantics="2.x", experimental_functions=True))
    assert len(TEMPLATES) >= 500
    wrong = []
    for text in TEMPLATES:
        for times in TIMES:
            found = _difference(engine, prometheus, text, times)
            if found:
                wrong.append(f"{text} {times}: {found}")
    assert not wrong, f"{len(wrong)} differ:\n" + "\n".join(wrong[:20])


def _difference(engine: Engine, prometheus: Prometheus, text: str, times: tuple[int, int, int]) -> str:
    peer = theirs(prometheus.query_range(text, *times) if times[2] else prometheus.query(text, times[0]))
    left, right = comparable(text, ours(engine, as_3x(text), times)), comparable(text, peer)
    found = difference(left, right)
    return "" if found and excused(text, left, right) else found
