"""Selectors, range selectors and subqueries: from samples to windows, from windows to values.

Theory of operation. Every selector is a set of windows. A range selector at step T looks at (T' - range, T'], where
T' is T, or the time after ``@``, minus the offset. An instant selector is the same with the lookback as its range and
"the last sample" as its function; it is absent when that sample is a stale marker, while range selectors do not see
stale markers at all. A subquery first evaluates its expression on its own grid, multiples of its step, and then is a
range selector over those values. So there is one way from samples to values, ``results``, whatever was written.

Windows are left-open; under ``semantics="2.x"`` they are closed at both ends. Blocks are taken from the source one by
one and folded at once where the consumer can (``aggregate.fused``), so memory does not grow with the series.
Source: Prometheus promql/engine.go (matrixIterSlice, vectorSelectorSingle, subqueryTimeRange).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentgauge.model.labels import METRIC_NAME, Labels, Matcher
from agentgauge.model.series import Mask, RaggedBlock, Times, Values
from agentgauge.promql.blocks import SampleBlock, whole_blocks
from agentgauge.promql.naming import without_name
from agentgauge.promql.nodes import Node, Range, Selector, Subquery
from agentgauge.promql.scope import Query, Scope
from agentgauge.promql.values import Scalar, Value, Vector, vector_of
from agentgauge.promql.windows import RaggedIndex, Rows, Table, Windows, dense_rows, slice_cells

Evaluate = Callable[[Scope, Node], Value]
Kernel = Callable[..., Values]
"""(windows, *params) -> values (W, C); params are (W,) arrays."""

CACHED_CELLS = 8_000_000
"""Decoded cells that a query keeps of a selector it uses more than once: 64 MB."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """Blocks and where to look into them. Shapes: ends_ms (K,).

    ``drop_name``: flags of a subquery's series. ``one_metric``: all series have the same name.
    """

    blocks: Iterator[SampleBlock]
    ends_ms: Times
    range_ms: int
    drop_name: dict[Labels, bool] | None = None
    one_metric: bool = False


@dataclass(frozen=True, slots=True)
class WindowCall:
    """What to do with each window: a kernel, its scalar arguments (K,) each, the samples it needs at least."""

    kernel: Kernel
    params: tuple[Values, ...] = ()
    min_samples: int = 1


@dataclass(frozen=True, slots=True)
class DenseResult:
    """Values of series that share presence. Each tile: steps (k,), values (k, S) at these steps; others are absent."""

    labels: Sequence[Labels]
    tiles: Iterator[tuple[NDArray[np.intp] | slice, Values]]


@dataclass(frozen=True, slots=True)
class RaggedResult:
    """Values of series with presence of their own: values, present (S, K)."""

    labels: Sequence[Labels]
    values: Values
    present: Mask


BlockResult = DenseResult | RaggedResult


def lookup(scope: Scope, node: Selector | Range | Subquery, evaluate: Evaluate) -> Lookup:
    """Find out which samples a node looks at. An instant selector's range is the lookback."""
    if isinstance(node, Subquery):
        return _lookup_subquery(scope, node, evaluate)
    selector = node.selector if isinstance(node, Range) else node
    range_ms = node.range_ms if isinstance(node, Range) else scope.query.lookback_ms
    ends = scope.ends_ms(selector.offset_ms, selector.at)
    start = int(ends.min()) - range_ms + (0 if scope.query.options.closed else 1)
    keep_stale = isinstance(node, Selector)
    blocks = _blocks(scope.query, selector.matchers, start, int(ends.max()), keep_stale=keep_stale)
    named = any(matcher.name == METRIC_NAME and matcher.op == "=" for matcher in selector.matchers)
    return Lookup(blocks, ends, range_ms, one_metric=named)


def _blocks(
    query: Query, matchers: tuple[Matcher, ...], start_ms: int, end_ms: int, *, keep_stale: bool
) -> Iterator[SampleBlock]:
    """Yield the blocks of a selector; keep them for its next use in this query when they are few."""
    key = (matchers, start_ms, end_ms, keep_stale)
    if key in query.decoded:
        yield from query.decoded[key]
        return
    kept: list[SampleBlock] | None = [] if matchers in query.repeated else None
    n_kept = 0
    for raw in query.source.select(matchers, start_ms, end_ms):
        for block in whole_blocks(raw, keep_stale=keep_stale):
            query.check()
            n_cells = int(block.table.values.size)
            query.budget.read += n_cells
            query.budget.hold(n_cells)
            yield block
            n_kept += n_cells
            if kept is not None and n_kept <= CACHED_CELLS:
                kept.append(block)
            else:
                kept = None
                query.budget.hold(-n_cells)
    if kept is not None:
        query.decoded[key] = kept


def _lookup_subquery(scope: Scope, node: Subquery, evaluate: Evaluate) -> Lookup:
    ends = scope.ends_ms(node.offset_ms, node.at)
    step = node.step_ms or scope.query.options.default_subquery_step_ms
    after_ms, end_ms = int(ends.min()) - node.range_ms, int(ends.max())
    scope.query.budget.admit((end_ms - after_ms) // step)
    times = _grid(after_ms, end_ms, step, closed=scope.query.options.closed)
    if len(times) == 0:
        return Lookup(iter(()), ends, node.range_ms)
    value = evaluate(Scope(scope.query, times), node.expr)
    if isinstance(value, Scalar):
        value = Vector([()], value.values[None, :], np.ones((1, len(times)), np.bool_), np.zeros(1, np.bool_))
    assert isinstance(value, Vector), f"BUG: a subquery over {type(value).__name__}"
    flags = dict(zip(value.labels, map(bool, value.drop_name), strict=True)) if value.drop_name.any() else None
    return Lookup(iter(_vector_blocks(value, times)), ends, node.range_ms, flags)


def _grid(after_ms: int, end_ms: int, step_ms: int, *, closed: bool) -> Times:
    """Return the multiples of the step in (after, end]; division truncates toward zero, as Go's does."""
    start = step_ms * (abs(after_ms) // step_ms) * (1 if after_ms >= 0 else -1)
    if start < after_ms or (start == after_ms and not closed):
        start += step_ms
    return np.arange(start, end_ms + 1, step_ms, dtype=np.int64)


def _vector_blocks(vector: Vector, times: Times) -> list[SampleBlock]:
    """Make sample blocks of a vector that was evaluated on a grid."""
    if vector.n_series == 0:
        return []
    if vector.present.all():
        return [SampleBlock(vector.labels, Table(times, np.ascontiguousarray(vector.values.T)))]
    t_ms = np.broadcast_to(times, vector.present.shape)[vector.present]
    counts = np.cumsum(vector.present.sum(axis=1))
    offsets = np.concatenate([[0], counts]).astype(np.int64)
    return [SampleBlock(vector.labels, Table(t_ms, vector.values[vector.present][:, None]), offsets)]


def results(scope: Scope, where: Lookup, call: WindowCall) -> Iterator[BlockResult]:
    """Apply a kernel to the windows of all blocks, block by block."""
    for block in where.blocks:
        if block.offsets is None:
            yield DenseResult(block.labels, _dense_tiles(scope, block, where, call))
        else:
            yield _ragged_result(scope, block, block.offsets, where, call)


def _dense_tiles(
    scope: Scope, block: SampleBlock, where: Lookup, call: WindowCall
) -> Iterator[tuple[NDArray[np.intp] | slice, Values]]:
    closed = scope.query.options.closed
    lo, hi = dense_rows(block.table.t_ms, where.ends_ms, where.range_ms, closed=closed)
    steps = np.flatnonzero(_kept(lo, hi, block.stale, call.min_samples))
    windows = Windows(block.table, lo, hi, where.ends_ms, scope.t_ms, where.range_ms, closed)
    n_cells = len(steps) * block.table.values.shape[1]
    # Slices of equal size: a small last one costs nearly as much as a whole one.
    n_slice = max(1, -(-len(steps) // max(1, round(n_cells / slice_cells(lo, hi)))))
    for start in range(0, len(steps), n_slice):
        scope.query.check()
        part = _as_slice(steps[start : start + n_slice])
        yield part, call.kernel(windows.subset(part), *(param[part] for param in call.params))


def _as_slice(index: NDArray[np.intp]) -> NDArray[np.intp] | slice:
    """Turn consecutive numbers into a slice, which copies nothing."""
    if len(index) and index[-1] - index[0] == len(index) - 1:
        return slice(int(index[0]), int(index[-1]) + 1)
    return index


def _kept(lo: Rows, hi: Rows, stale: Mask | None, min_samples: int) -> Mask:
    """Tell which windows have enough samples and do not end in a stale marker."""
    kept: Mask = hi - lo >= min_samples
    if stale is not None:
        kept &= ~stale[np.maximum(hi - 1, 0)]
    return kept


def _ragged_result(scope: Scope, block: SampleBlock, offsets: Rows, where: Lookup, call: WindowCall) -> RaggedResult:
    n_series, n_steps = len(block.labels), scope.n_steps
    scope.query.budget.hold(n_series * n_steps)
    closed = scope.query.options.closed
    index = RaggedIndex.of(block.table.t_ms, offsets)
    lo, hi = index.rows(where.ends_ms, where.range_ms, closed=closed)
    present = _kept(lo, hi, block.stale, call.min_samples) if len(index.key) else np.zeros(len(lo), np.bool_)
    values = np.zeros(n_series * n_steps)
    tiled = [np.tile(array, n_series) for array in (where.ends_ms, scope.t_ms, *call.params)]
    windows = Windows(block.table, lo, hi, tiled[0], tiled[1], where.range_ms, closed)
    cells, n_slice = np.flatnonzero(present), slice_cells(lo, hi)
    for start in range(0, len(cells), n_slice):
        scope.query.check()
        part = cells[start : start + n_slice]
        values[part] = call.kernel(windows.subset(part), *(param[part] for param in tiled[2:]))[:, 0]
    scope.query.budget.hold(-n_series * n_steps)
    shape = (n_series, n_steps)
    return RaggedResult(block.labels, values.reshape(shape), present.reshape(shape))


def collected(scope: Scope, where: Lookup, call: WindowCall) -> Vector:
    """Evaluate all windows into one vector; names are kept."""
    labels: list[Labels] = []
    parts: list[tuple[Values, Mask]] = []
    held = 0
    for result in results(scope, where, call):
        n_cells = len(result.labels) * scope.n_steps
        scope.query.budget.hold(n_cells)
        held += n_cells
        parts.append(_whole(result, scope.n_steps))
        labels += result.labels
    scope.query.budget.hold(-held)
    if not parts:
        return vector_of((), np.empty((0, scope.n_steps)), np.empty((0, scope.n_steps), np.bool_))
    values, present = (np.concatenate(arrays) if len(parts) > 1 else arrays[0] for arrays in zip(*parts, strict=True))
    flags = None
    if where.drop_name is not None:
        flags = np.array([where.drop_name[key] for key in labels], np.bool_)
    return vector_of(labels, values, present, flags)


def _whole(result: BlockResult, n_steps: int) -> tuple[Values, Mask]:
    """Return a block's values and presence as (S, K)."""
    if isinstance(result, RaggedResult):
        return result.values, result.present
    values = np.zeros((len(result.labels), n_steps))
    at_step = np.zeros(n_steps, np.bool_)
    for steps, tile in result.tiles:
        values[:, steps] = tile.T
        at_step[steps] = True
    return values, np.broadcast_to(at_step, values.shape)


def instant_vector(scope: Scope, node: Selector, evaluate: Evaluate) -> Vector:
    """Evaluate an instant vector selector."""
    return collected(scope, lookup(scope, node, evaluate), WindowCall(Windows.last))


def sample_times(scope: Scope, node: Selector, evaluate: Evaluate) -> Vector:
    """Evaluate ``timestamp(selector)``: the samples' own times in seconds; names are kept."""
    return collected(scope, lookup(scope, node, evaluate), WindowCall(_last_times))


def _last_times(windows: Windows) -> Values:
    times = windows.table.t_ms[windows.hi - 1] / 1000.0
    return np.broadcast_to(times[:, None], windows.shape())


def _finished_labels(labels: Sequence[Labels], drop_name: dict[Labels, bool] | None) -> Sequence[Labels]:
    """Take the names off a subquery's flagged series (delayed mode)."""
    if drop_name is None:
        return labels
    return [without_name(series) if drop_name[series] else series for series in labels]


def raw_samples(scope: Scope, node: Range | Subquery, evaluate: Evaluate) -> RaggedBlock:
    """Return the samples of a range vector at the scope's one step, sorted by labels."""
    where = lookup(scope, node, evaluate)
    closed = scope.query.options.closed
    found: list[tuple[Labels, Times, Values]] = []
    for block in where.blocks:
        times = block.table.t_ms
        bounds = [0, len(times)] if block.offsets is None else block.offsets
        for i, labels in enumerate(_finished_labels(block.labels, where.drop_name)):
            start, stop = (0, len(times)) if block.offsets is None else (bounds[i], bounds[i + 1])
            lo, hi = dense_rows(times[start:stop], where.ends_ms, where.range_ms, closed=closed)
            rows = slice(start + int(lo[0]), start + int(hi[0]))
            column = i if block.offsets is None else 0
            if rows.stop > rows.start:
                found.append((labels, times[rows], block.table.values[rows, column]))
    found.sort(key=lambda item: item[0])
    offsets = np.concatenate([[0], np.cumsum([len(item[1]) for item in found])]).astype(np.int64)
    return RaggedBlock(
        [item[0] for item in found],
        offsets,
        np.concatenate([item[1] for item in found]) if found else np.empty(0, np.int64),
        np.concatenate([item[2] for item in found]) if found else np.empty(0),
    )
