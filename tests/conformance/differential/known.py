"""Every difference between Prometheus 2.42 and 3.14 that the ``semantics="2.x"`` switch leaves, by name and source.

The switch covers what trap 1 of the specification lists: closed windows, the lookback's edge, subquery grids, the
order of clamping in ``rate``, the old alphabet of label names. What is left is here, and nothing else may differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.conformance.differential.compare import Answer


@dataclass(frozen=True, slots=True)
class Known:
    """A difference: which queries it concerns, and what to do before comparing; ``alike`` None leaves them out."""

    name: str
    source: str
    concerns: Callable[[str], bool]
    alike: Callable[[Answer], Answer] | None = None


def _without_names(answer: Answer) -> Answer:
    if isinstance(answer, str):
        return answer
    return {tuple(pair for pair in labels if pair[0] != "__name__"): points for labels, points in answer.items()}


def _uses(pattern: str) -> Callable[[str], bool]:
    return lambda text: re.search(pattern, text) is not None


KNOWN: tuple[Known, ...] = (
    Known(
        "atan2 keeps the metric's name in 2.42",
        "promql/engine.go, shouldDropMetricName of 2.42 has no ATAN2; changesMetricSchema of 3.14 has",
        _uses(r"\batan2\b"),
        _without_names,
    ),
    Known(
        "stddev_over_time and stdvar_over_time of values whose squares overflow: NaN in 2.42, +Inf in 3.14",
        "promql/functions.go, kahanSumInc of 2.42 does not reset the compensation of an infinite sum",
        _uses(r"std(dev|var)_over_time\(odd"),
    ),
)


def comparable(text: str, answer: Answer) -> Answer | None:
    """Apply the known differences to an answer; None when the query is left out."""
    for known in KNOWN:
        if known.concerns(text):
            if known.alike is None:
                return None
            answer = known.alike(answer)
    return answer


def as_2x(text: str) -> str:
    """Rename what 3.x renamed: our text to the peer's."""
    return text.replace("double_exponential_smoothing", "holt_winters")


def as_3x(text: str) -> str:
    """Rename what 3.x renamed: the peer's text to ours."""
    return text.replace("holt_winters", "double_exponential_smoothing")
