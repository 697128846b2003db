"""Samples in memory: a ``Source`` for the engine, and the same samples as OpenMetrics text for ``promtool``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from agentgauge.model.labels import Labels, Matcher, label_value
from agentgauge.model.series import DenseBlock, RaggedBlock, SeriesBlock
from agentgauge.promql.quote import go_quote
from agentgauge.promql.regex import compile_re2


@dataclass(frozen=True, slots=True)
class Series:
    """All samples of one label set: t_ms ascending."""

    labels: Labels
    t_ms: np.ndarray
    values: np.ndarray


def matches(labels: Labels, matchers: Sequence[Matcher]) -> bool:
    """Tell whether a label set meets all matchers."""
    return all(_meets(label_value(labels, matcher.name), matcher) for matcher in matchers)


def _meets(value: str, matcher: Matcher) -> bool:
    if matcher.op in {"=", "!="}:
        return (value == matcher.value) == (matcher.op == "=")
    return (compile_re2(matcher.value).fullmatch(value) is not None) == (matcher.op == "=~")


class MemorySource:
    """Serves series as blocks: dense where they share timestamps, else ragged, or ragged throughout.

    ``n_block`` series stand in one block, so that splitting can be tested.
    """

    def __init__(self, series: Sequence[Series], *, ragged: bool = False, n_block: int = 256) -> None:
        self._series = list(series)
        self._ragged = ragged
        self._n_block = n_block

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Iterator[SeriesBlock]:
        """Yield the blocks of the matching series."""
        cut = [_cut(series, start_ms, end_ms) for series in self._series if matches(series.labels, matchers)]
        groups: dict[bytes, list[Series]] = {}
        for series in cut:
            key = b"" if self._ragged else series.t_ms.tobytes()
            groups.setdefault(key, []).append(series)
        for group in groups.values():
            for start in range(0, len(group), self._n_block):
                part = group[start : start + self._n_block]
                yield _ragged(part) if self._ragged or len(part) == 1 else _dense(part)


def _cut(series: Series, start_ms: int, end_ms: int) -> Series:
    lo, hi = np.searchsorted(series.t_ms, start_ms), np.searchsorted(series.t_ms, end_ms, "right")
    return Series(series.labels, series.t_ms[lo:hi], series.values[lo:hi])


def _dense(part: Sequence[Series]) -> DenseBlock:
    return DenseBlock([series.labels for series in part], part[0].t_ms, np.stack([s.values for s in part], axis=1))


def _ragged(part: Sequence[Series]) -> RaggedBlock:
    offsets = np.concatenate([[0], np.cumsum([len(series.t_ms) for series in part])]).astype(np.int64)
    return RaggedBlock(
        [series.labels for series in part],
        offsets,
        np.concatenate([series.t_ms for series in part]),
        np.concatenate([series.values for series in part]),
    )


def open_metrics(series: Sequence[Series]) -> str:
    """Write all samples as OpenMetrics text with timestamps."""
    lines = [
        f"{series_text(one.labels)} {_number(value)} {t_ms / 1000:.3f}"
        for one in series
        for t_ms, value in zip(one.t_ms.tolist(), one.values.tolist(), strict=True)
    ]
    return "\n".join(lines) + "\n# EOF\n"


def series_text(labels: Labels) -> str:
    """Write a series as exposition text does."""
    rest = ",".join(f"{name}={go_quote(value)}" for name, value in labels if name != "__name__")
    return f"{label_value(labels, '__name__')}{{{rest}}}"


def _number(value: float) -> str:
    if value != value:
        return "NaN"
    if value in {float("inf"), float("-inf")}:
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)
