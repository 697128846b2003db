"""What must not matter to an answer: steps together or alone, fused or not, dense or ragged, how data is split."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from tests.conformance.differential.compare import Answer, difference, ours
from tests.conformance.differential.data import SPAN_MS, START_MS, generated
from tests.conformance.differential.known import as_3x
from tests.conformance.differential.samples import MemorySource
from tests.conformance.differential.templates import TEMPLATES

from agentgauge.promql import engine as engine_module
from agentgauge.promql.engine import Engine, Options

OPTIONS = Options(experimental_functions=True)
STEP_MS = 210_000
RANGE = (START_MS - 60_000, START_MS + SPAN_MS + 300_000, STEP_MS)
QUERIES = [as_3x(text) for text in TEMPLATES[::3]]
"""Every third template: a different third of each family's fills."""


@pytest.fixture(scope="module")
def plain() -> Engine:
    return Engine(MemorySource(generated()), OPTIONS)


def test_a_step_of_a_range_is_the_instant_answer(plain: Engine) -> None:
    """``query_range`` at t gives what ``query`` gives at t; ``@ start()`` and kin mean other times, so not those."""
    wrong = []
    for text in QUERIES:
        if "start()" in text or "end()" in text:
            continue
        whole = ours(plain, text, RANGE)
        if whole == "error":
            continue
        for t_ms in range(RANGE[0], RANGE[1], 9 * STEP_MS):
            found = difference(_at(whole, t_ms), _at(ours(plain, text, (t_ms, t_ms, 0)), t_ms))
            if found:
                wrong.append(f"{text}: {found}")
    assert not wrong, "\n".join(wrong[:10])


def _at(answer: Answer, t_ms: int) -> Answer:
    if isinstance(answer, str):
        return answer
    return {labels: {t_ms: points[t_ms]} for labels, points in answer.items() if t_ms in points}


@pytest.mark.parametrize("source", ["ragged", "split", "single"])
def test_the_shape_of_blocks_changes_nothing(plain: Engine, source: str) -> None:
    """Ragged blocks, blocks of three series and of one series each give the dense answer."""
    shaped = {
        "ragged": MemorySource(generated(), ragged=True),
        "split": MemorySource(generated(), n_block=3),
        "single": MemorySource(generated(), n_block=1),
    }[source]
    _same(plain, Engine(shaped, OPTIONS))


def test_fusing_changes_nothing(plain: Engine) -> None:
    """An aggregation folded from windows equals one of the whole vector."""
    queries = [text for text in QUERIES if any(text.startswith(op) for op in ("sum", "avg", "min", "max", "count"))]
    answers = {text: ours(plain, text, RANGE) for text in queries}
    with patch.object(engine_module, "FUSED", frozenset()):
        for text, fused in answers.items():
            assert not difference(fused, ours(plain, text, RANGE)), text


def _same(first: Engine, second: Engine) -> None:
    wrong = []
    for text in QUERIES:
        found = difference(ours(first, text, RANGE), ours(second, text, RANGE))
        if found:
            wrong.append(f"{text}: {found}")
    assert not wrong, "\n".join(wrong[:10])
