"""Warnings and infos of one query: data beside the result, deduplicated by text.

A text is kept once, with the position of the expression it was first said about; ``(line:col)`` is added at the end.
Source: Prometheus util/annotations/annotations.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone

from agentgauge.promql.numbers import format_g
from agentgauge.promql.quote import go_quote
from agentgauge.promql.tokens import line_column

MAX_SHOWN = 10
"""Annotations of one kind that leave the API; the rest is counted."""

_MONOTONIC = (
    "PromQL info: input to histogram_quantile needed to be fixed for monotonicity"
    " (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)"
)


@dataclass(slots=True)
class Repair:
    """What was forced monotonic in the buckets of one histogram, over some steps."""

    t_first_ms: int
    t_last_ms: int
    bound_low: float
    bound_high: float
    diff_max: float
    n_samples: int

    def merge(self, other: Repair) -> None:
        """Widen this repair by another one of the same text."""
        self.t_first_ms = min(self.t_first_ms, other.t_first_ms)
        self.t_last_ms = max(self.t_last_ms, other.t_last_ms)
        self.bound_low = min(self.bound_low, other.bound_low)
        self.bound_high = max(self.bound_high, other.bound_high)
        self.diff_max = max(self.diff_max, other.diff_max)
        self.n_samples += other.n_samples


@dataclass(slots=True)
class Annotations:
    """Collect what a query wants to say beside its result. ``text`` is the query, for positions."""

    text: str
    _warnings: dict[str, int] = field(default_factory=dict)
    _infos: dict[str, int] = field(default_factory=dict)
    _repairs: dict[str, tuple[int, Repair]] = field(default_factory=dict)

    def warn(self, message: str, pos: int) -> None:
        """Add a warning about the expression that starts at byte ``pos``."""
        self._warnings.setdefault(f"PromQL warning: {message}", pos)

    def info(self, message: str, pos: int) -> None:
        """Add an info about the expression that starts at byte ``pos``."""
        self._infos.setdefault(f"PromQL info: {message}", pos)

    def maybe_no_counter(self, metric_name: str, pos: int) -> None:
        """Tell that a counter function got a metric whose name is not a counter's."""
        text = "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "
        self.info(text + go_quote(metric_name), pos)

    def bad_quantile(self, q: float, pos: int) -> None:
        """Warn about a quantile outside [0, 1] or NaN."""
        self.warn(f"quantile value should be between 0 and 1, got {format_g(q)}", pos)

    def bad_bucket(self, le: str, metric_name: str, pos: int) -> None:
        """Warn about a series that has no usable ``le``; ``metric_name`` only in delayed mode."""
        text = f'bucket label "le" is missing or has a malformed value of {go_quote(le)}'
        self.warn(text + _for_metric(metric_name), pos)

    def repaired(self, repair: Repair, metric_name: str, pos: int) -> None:
        """Tell that bucket counts were forced to be monotonic."""
        key = _MONOTONIC + _for_metric(metric_name)
        if key in self._repairs:
            self._repairs[key][1].merge(repair)
        else:
            self._repairs[key] = (pos, repair)

    def warnings(self) -> tuple[str, ...]:
        """Return the warnings with their positions, in the order they came."""
        return _cut([f"{text} ({self._place(pos)})" for text, pos in self._warnings.items()], "warning")

    def infos(self) -> tuple[str, ...]:
        """Return the infos with their positions, in the order they came."""
        plain = [f"{text} ({self._place(pos)})" for text, pos in self._infos.items()]
        repairs = [
            f"{text}{_repair_text(repair)} ({self._place(pos)})" for text, (pos, repair) in self._repairs.items()
        ]
        return _cut(plain + repairs, "info")

    def _place(self, pos: int) -> str:
        return line_column(self.text, pos)


def _for_metric(name: str) -> str:
    return f" for metric name {go_quote(name)}" if name else ""


def _repair_text(repair: Repair) -> str:
    return (
        f", from buckets {format_g(repair.bound_low)} to {format_g(repair.bound_high)},"
        f" with a max diff of {repair.diff_max:.2g},"
        f" over {repair.n_samples} samples from {_rfc3339(repair.t_first_ms)} to {_rfc3339(repair.t_last_ms)}"
    )


def _rfc3339(t_ms: int) -> str:
    seconds = int(t_ms / 1000)
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cut(texts: list[str], kind: str) -> tuple[str, ...]:
    if len(texts) <= MAX_SHOWN:
        return tuple(texts)
    return (*texts[:MAX_SHOWN], f"{len(texts) - MAX_SHOWN} more {kind} annotations omitted")
