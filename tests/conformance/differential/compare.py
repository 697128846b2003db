"""Is our answer the peer's? Label sets, times, values to 1e-9 relative, error or not."""

from __future__ import annotations

import math
from typing import Any

from agentgauge.errors import QueryError
from agentgauge.model.series import Result
from agentgauge.promql.engine import Engine

RELATIVE = 1e-9
Answer = dict[tuple[tuple[str, str], ...], dict[int, float]] | str
"""Series to time in ms to value; a string for a string; ``error`` for an error."""

ERROR = "error"


def ours(engine: Engine, text: str, times: tuple[int, int, int]) -> Answer:
    """Return our answer; step 0 is an instant query."""
    start, end, step = times
    try:
        result = engine.query_range(text, start, end, step) if step else engine.query(text, start)
    except QueryError:
        return ERROR
    return answer_of(result)


def answer_of(result: Result) -> Answer:
    """Turn a result into what can be compared."""
    if result.kind == "string":
        return f"string {result.text}"
    if result.samples is not None:
        raw = result.samples
        return {
            labels: dict(
                zip(
                    raw.t_ms[raw.offsets[i] : raw.offsets[i + 1]].tolist(),
                    raw.values[raw.offsets[i] : raw.offsets[i + 1]].tolist(),
                    strict=True,
                )
            )
            for i, labels in enumerate(raw.labels)
        }
    steps = result.steps
    return {
        labels: {
            int(t_ms): float(value)
            for t_ms, value, here in zip(steps.t_ms, steps.values[i], steps.present[i], strict=True)
            if here
        }
        for i, labels in enumerate(steps.labels)
    }


def theirs(envelope: dict[str, Any]) -> Answer:
    """Turn an envelope of the HTTP API into what can be compared."""
    if envelope["status"] != "success":
        return ERROR
    kind, result = envelope["data"]["resultType"], envelope["data"]["result"]
    if kind == "string":
        return f"string {result[1]}"
    if kind == "scalar":
        return {(): {_ms(result[0]): float(result[1])}}
    return {
        tuple(sorted(series["metric"].items())): {
            _ms(t): float(value) for t, value in (series["values"] if kind == "matrix" else [series["value"]])
        }
        for series in result
    }


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def difference(ours: Answer, theirs: Answer) -> str:
    """Return the first difference in words; empty when there is none."""
    if isinstance(ours, str) or isinstance(theirs, str):
        return "" if ours == theirs else f"ours {_short(ours)}, theirs {_short(theirs)}"
    for labels in sorted(ours.keys() ^ theirs.keys()):
        return f"{labels} only in {'ours' if labels in ours else 'theirs'} of {len(ours)} and {len(theirs)}"
    for labels, mine in sorted(ours.items()):
        other = theirs[labels]
        for t_ms in sorted(mine.keys() ^ other.keys()):
            return f"{labels} at {t_ms} only in {'ours' if t_ms in mine else 'theirs'}"
        for t_ms, value in mine.items():
            if not close(value, other[t_ms]):
                return f"{labels} at {t_ms}: ours {value!r}, theirs {other[t_ms]!r}"
    return ""


def _short(answer: Answer) -> str:
    return answer if isinstance(answer, str) else f"{len(answer)} series"


def close(a: float, b: float) -> bool:
    """Tell whether two values are equal to 1e-9 relative; NaN equals NaN."""
    if a == b or (math.isnan(a) and math.isnan(b)):
        return True
    return math.isfinite(a) and math.isfinite(b) and abs(a - b) <= RELATIVE * max(abs(a), abs(b))
