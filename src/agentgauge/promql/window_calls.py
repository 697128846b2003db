"""Calls of functions over range vectors, and aggregations folded straight from their windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agentgauge.errors import ExecutionError
from agentgauge.model.labels import METRIC_NAME, Labels, label_value
from agentgauge.promql.functions import FUNCTIONS, Function
from agentgauge.promql.functions.elementwise import absence, scalar_arg
from agentgauge.promql.functions.over_time import present_over_time
from agentgauge.promql.fused import Fold
from agentgauge.promql.grouping import Groups, group_key
from agentgauge.promql.naming import SAME_LABELSET, drop_names, without_name
from agentgauge.promql.nodes import Aggregate, Call, Range, Selector, Subquery
from agentgauge.promql.scope import Scope
from agentgauge.promql.selectors import (
    BlockResult,
    DenseResult,
    Evaluate,
    RaggedResult,
    WindowCall,
    collected,
    lookup,
    results,
)
from agentgauge.promql.tree import bare, is_step_invariant
from agentgauge.promql.values import Vector, vector_of
from agentgauge.promql.windows import Windows

_COUNTER_SUFFIXES = ("_total", "_sum", "_count", "_bucket")


def over_windows(scope: Scope, node: Call, function: Function, evaluate: Evaluate) -> Vector:
    """Evaluate a function over a range vector."""
    call, matrix = _window_call(scope, node, function, evaluate)
    vector = collected(scope, lookup(scope, matrix, evaluate), call)
    _annotate(scope, node, vector.labels, call)
    return vector if function.keeps_name else drop_names(scope, vector, strict=True)


def _window_call(
    scope: Scope, node: Call, function: Function, evaluate: Evaluate
) -> tuple[WindowCall, Range | Subquery]:
    """Evaluate the scalar arguments of a function over a range vector; find that vector."""
    assert function.over is not None, f"BUG: {node.function} has no window kernel"
    matrix: Range | Subquery | None = None
    params = []
    for arg in map(bare, node.args):
        if isinstance(arg, (Range, Subquery)):
            matrix = arg
        else:
            params.append(scalar_arg(evaluate(scope, arg)))
    assert matrix is not None, f"BUG: {node.function} without a range vector"
    return WindowCall(function.over, tuple(params), function.min_samples), matrix


def _annotate(scope: Scope, node: Call, labels: Sequence[Labels], call: WindowCall) -> None:
    """Say what there is to say about the metrics that gave a result, and about the arguments."""
    if not labels:
        return
    notes, pos = scope.query.annotations, node.args[0].pos
    if node.function in {"rate", "increase"}:
        for name in dict.fromkeys(label_value(series, METRIC_NAME) for series in labels):
            if name and not name.endswith(_COUNTER_SUFFIXES):
                notes.maybe_no_counter(name, pos)
    if node.function == "quantile_over_time":
        for q in call.params[0]:
            if not 0 <= q <= 1:
                notes.bad_quantile(float(q), pos)


def absent_over_time(scope: Scope, node: Call, evaluate: Evaluate) -> Vector:
    """Return 1 at the steps where no series of the range vector has a sample."""
    matrix = bare(node.args[0])
    assert isinstance(matrix, (Range, Subquery)), "BUG: absent_over_time without a range vector"
    seen = np.zeros(scope.n_steps, np.bool_)
    for result in results(scope, lookup(scope, matrix, evaluate), WindowCall(present_over_time)):
        if isinstance(result, RaggedResult):
            seen |= result.present.any(axis=0)
        else:
            for steps, _values in result.tiles:
                seen[steps] = True
    return absence(scope, matrix, seen)


def fused(scope: Scope, node: Aggregate, evaluate: Evaluate) -> Vector | None:
    """Fold windows straight into the groups of an aggregation; None where that is not possible."""
    inner = bare(node.expr)
    if scope.n_steps > 1 and is_step_invariant(inner):
        return None
    if isinstance(inner, Selector):
        return _folded(scope, node, inner, WindowCall(Windows.last), None, evaluate)
    function = FUNCTIONS.get(inner.function) if isinstance(inner, Call) else None
    if not isinstance(inner, Call) or function is None or function.over is None:
        return None
    if not any(isinstance(bare(arg), Range) for arg in inner.args):
        return None
    call, matrix = _window_call(scope, inner, function, evaluate)
    return _folded(scope, node, matrix, call, None if function.keeps_name else inner, evaluate)


def _folded(
    scope: Scope, node: Aggregate, where: Selector | Range | Subquery, call: WindowCall, drops: Call | None,
    evaluate: Evaluate,
) -> Vector | None:  # fmt: skip
    """Fold block by block. ``drops`` is the call when its function drops the name."""
    delayed = scope.query.options.delayed_name_removal
    fold, seen = Fold(node.op, Groups(group_key(node)), scope.n_steps), []
    for result in results(scope, lookup(scope, where, evaluate), call):
        short = result if drops is None or delayed else _nameless(result)
        rows = fold.add(short)
        if drops is not None:
            _annotate(scope, drops, [result.labels[i] for i in rows], call)
            seen += [short.labels[i] for i in rows]
    if not delayed and len(set(seen)) != len(seen):
        raise ExecutionError(SAME_LABELSET)
    answer = fold.result()
    if answer is None:
        return None
    return vector_of(fold.groups.labels, *answer, np.full(len(fold.groups), drops is not None and delayed))


def _nameless(result: BlockResult) -> BlockResult:
    labels = [without_name(series) for series in result.labels]
    if isinstance(result, DenseResult):
        return DenseResult(labels, result.tiles)
    return RaggedResult(labels, result.values, result.present)
