"""A source in memory, for scripts and unit tests: ragged blocks, or dense ones for series that share their times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from agentgauge.model.labels import Labels, Matcher, label_value
from agentgauge.model.series import DenseBlock, RaggedBlock, SeriesBlock
from agentgauge.promql.regex import compile_re2


def matches(labels: Labels, matcher: Matcher) -> bool:
    """Tell whether a label set satisfies a matcher; a missing label is the empty string."""
    value = label_value(labels, matcher.name)
    if matcher.op in ("=", "!="):
        return (value == matcher.value) == (matcher.op == "=")
    return (compile_re2(matcher.value).fullmatch(value) is not None) == (matcher.op == "=~")


class MemorySource:
    """Samples by series and time; satisfies the engine's ``Source``."""

    def __init__(self, *, dense: bool = False) -> None:
        self._dense = dense
        self._samples: dict[Labels, dict[int, float]] = {}

    def add(self, labels: Labels, t_ms: int, value: float) -> None:
        """Add one sample."""
        self._samples.setdefault(labels, {})[t_ms] = value

    def clear(self) -> None:
        """Forget everything."""
        self._samples.clear()

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Iterator[SeriesBlock]:
        """Yield the matching series with their samples in [start_ms, end_ms]."""
        chosen: dict[Labels, list[tuple[int, float]]] = {}
        for labels, samples in self._samples.items():
            if all(matches(labels, matcher) for matcher in matchers):
                inside = sorted((t_ms, value) for t_ms, value in samples.items() if start_ms <= t_ms <= end_ms)
                if inside:
                    chosen[labels] = inside
        if chosen:
            yield from _dense_blocks(chosen) if self._dense else [_ragged_block(chosen)]


def _ragged_block(chosen: dict[Labels, list[tuple[int, float]]]) -> RaggedBlock:
    offsets = np.cumsum([0, *map(len, chosen.values())], dtype=np.int64)
    flat = [sample for samples in chosen.values() for sample in samples]
    t_ms = np.array([t for t, _ in flat], np.int64)
    return RaggedBlock(list(chosen), offsets, t_ms, _floats([value for _, value in flat]))


def _dense_blocks(chosen: dict[Labels, list[tuple[int, float]]]) -> Iterator[SeriesBlock]:
    """Put series with the same times into one clean block; those with stale markers stay ragged."""
    by_times: dict[tuple[int, ...], list[Labels]] = {}
    ragged: dict[Labels, list[tuple[int, float]]] = {}
    for labels, samples in chosen.items():
        values = _floats([value for _, value in samples])
        if (values.view(np.uint64) == 0x7FF0000000000002).any():
            ragged[labels] = samples
        else:
            by_times.setdefault(tuple(t for t, _ in samples), []).append(labels)
    for times, group in by_times.items():
        columns = np.stack([_floats([value for _, value in chosen[labels]]) for labels in group], axis=1)
        yield DenseBlock(group, np.array(times, np.int64), np.ascontiguousarray(columns))
    if ragged:
        yield _ragged_block(ragged)


def _floats(values: list[float]) -> np.ndarray:
    return np.array(values, np.float64)
