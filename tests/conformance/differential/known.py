"""Every difference between Prometheus 2.42 and 3.14 that the ``semantics="2.x"`` switch leaves, by name and source.

The switch covers what trap 1 of the specification lists: closed windows, the lookback's edge, subquery grids, the
order of clamping in ``rate``, the old alphabet of label names. What is left is here, and nothing else may differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.conformance.differential.compare import Answer

from agentgauge.promql.tokens import duration_ms_from_text


@dataclass(frozen=True, slots=True)
class Known:
    """A difference. ``concerns``: the query texts it may concern.

    ``alike`` makes both answers comparable; when it is None, a query that differs and is concerned is left out.
    """

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


def _sparse_subquery(text: str) -> bool:
    """Tell whether a query has a subquery whose step may exceed its range."""
    sizes = re.findall(r"\[([0-9a-z]+):([0-9a-z]*)\]", text)
    return any(duration_ms_from_text(step or "1m") > duration_ms_from_text(range_) for range_, step in sizes)


KNOWN: tuple[Known, ...] = (
    Known(
        "atan2 keeps the metric's name in 2.42",
        "promql/engine.go, shouldDropMetricName of 2.42 has no ATAN2; changesMetricSchema of 3.14 has",
        _uses(r"\batan2\b"),
        _without_names,
    ),
    Known(
        "a variance over values that overflow or are not finite: NaN in 2.42, +Inf in 3.14",
        "promql/functions.go, kahanSumInc of 2.42 does not reset the compensation of an infinite sum",
        _uses(r"\bstd(dev|var)_over_time\("),
    ),
    Known(
        "stddev and stdvar of one value that is not finite: 0 in 2.42, NaN in 3.14",
        "promql/engine.go, aggregation of 3.14 starts a group whose first value is NaN or infinite with NaN",
        _uses(r"\bstd(dev|var)\b"),
    ),
    Known(
        "a pinned range under a function whose value varies with the step: 2.42 moves the window with the steps",
        "promql/engine.go, eval of 3.14 fetches the window once when the selector has a timestamp",
        _uses(r"\b(predict_linear|quantile_over_time|holt_winters|double_exponential_smoothing)\(.*@"),
    ),
    Known(
        "a pinned selector in an aggregation's parameter: Prometheus, 3.14 too, moves it with the steps; ours stays",
        "promql/engine.go, preprocessExprHelper does not look into AggregateExpr.Param",
        _uses(r"\b(quantile|topk|bottomk)\b.*@"),
    ),
    Known(
        "a pinned selector in a subquery with an offset whose grid starts at the query's start: Prometheus, 3.14 too,"
        " reads it the offset too late; ours at the pinned time",
        "promql/engine.go, runSubquery sets the offsets again only when the two starts differ",
        _uses(r"@.*\[[^\]]*:[^\]]*\] offset"),
    ),
    Known(
        "a subquery without a point on its grid over what does not vary with time: 2.42 gives one point, 3.14 none",
        "promql/engine.go, eval of 3.14 returns nothing when the end lies before the start",
        _sparse_subquery,
    ),
    Known(
        "a comparison that filters: in 2.42 only what it keeps counts as a match, in 3.14 all matches must be unique",
        "promql/engine.go, VectorBinop of 2.42 skips before it looks for duplicates",
        _uses(r"(==|!=|[<>]=?)(?! ?bool)"),
        None,
    ),
)
"""Beside these: 2.42 has no annotations and none of fill, limitk, limit_ratio, mad_over_time, first_over_time,
ts_of_*_over_time, sort_by_label*, histogram_quantiles, min_of, max_of, start, end, range, step, duration expressions,
histogram_fraction of classic buckets; double_exponential_smoothing is called holt_winters there. Their meaning is
tested by the scripts of ``tests/conformance/promql``."""


def comparable(text: str, answer: Answer) -> Answer:
    """Make an answer comparable where a known difference says how."""
    for known in KNOWN:
        if known.alike is not None and known.concerns(text):
            answer = known.alike(answer)
    return answer


def excused(text: str, ours: Answer, theirs: Answer) -> str:
    """Return the name of the known difference that explains two different answers; empty when none does."""
    for known in KNOWN:
        if known.alike is None and known.concerns(text):
            if known.name.startswith("a comparison") and not (ours == "error" and theirs != "error"):
                continue
            return known.name
    return ""


def as_2x(text: str) -> str:
    """Rename what 3.x renamed: our text to the peer's."""
    return text.replace("double_exponential_smoothing", "holt_winters")


def as_3x(text: str) -> str:
    """Rename what 3.x renamed: the peer's text to ours."""
    return text.replace("holt_winters", "double_exponential_smoothing")
