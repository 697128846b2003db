"""Calls of functions over range vectors, and aggregations folded straight from their windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agentgauge.promql.folding import fold_all, metric_names
from agentgauge.promql.functions import FUNCTIONS, Function
from agentgauge.promql.functions.elementwise import absence, scalar_arg
from agentgauge.promql.functions.over_time import present_over_time
from agentgauge.promql.naming import drop_names
from agentgauge.promql.nodes import Aggregate, Call, Range, Selector, Subquery
from agentgauge.promql.scope import Folded, Scope
from agentgauge.promql.selectors import Evaluate, RaggedResult, WindowCall, collected, lookup, results
from agentgauge.promql.sharing import Member
from agentgauge.promql.tree import bare, is_step_invariant
from agentgauge.promql.values import Vector
from agentgauge.promql.windows import Windows

_COUNTER_SUFFIXES = ("_total", "_sum", "_count", "_bucket")


def over_windows(scope: Scope, node: Call, function: Function, evaluate: Evaluate) -> Vector:
    """Evaluate a function over a range vector."""
    call, matrix = _window_call(scope, node, function, evaluate)
    vector = collected(scope, lookup(scope, matrix, evaluate), call)
    _annotate(scope, node, metric_names(vector.labels), call)
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


def _annotate(scope: Scope, node: Call, names: Sequence[str], call: WindowCall) -> None:
    """Say what there is to say about the metrics that gave a result, and about the arguments."""
    if not names:
        return
    notes, pos = scope.query.annotations, node.args[0].pos
    if node.function in {"rate", "increase"}:
        for name in names:
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
        where: Selector | Range | Subquery = inner
        call, drops = WindowCall(Windows.last), None
    else:
        function = FUNCTIONS.get(inner.function) if isinstance(inner, Call) else None
        if not isinstance(inner, Call) or function is None or function.over is None:
            return None
        if not any(isinstance(bare(arg), Range) for arg in inner.args):
            return None
        call, where = _window_call(scope, inner, function, evaluate)
        drops = None if function.keeps_name else inner
    folded = _folded(scope, node, where, call, evaluate, drops_name=drops is not None)
    if drops is not None:
        _annotate(scope, drops, folded.names, call)
    return folded.vector


def _folded(
    scope: Scope, node: Aggregate, where: Selector | Range | Subquery, call: WindowCall,
    evaluate: Evaluate, *, drops_name: bool,
) -> Folded:  # fmt: skip
    """Fold an aggregation, and with it all of its family, unless that was done for another member."""
    query, steps = scope.query, (int(scope.t_ms[0]), int(scope.t_ms[-1]), scope.n_steps)
    family = query.families.get(node)
    if family is None:
        [folded] = fold_all(scope, (Member(node),), lookup(scope, where, evaluate), call, drops_name=drops_name)
        return folded
    if (node, steps) not in query.folded:
        widest = _windows_of(family.members[0].node)
        found = fold_all(scope, family.members, lookup(scope, widest, evaluate), call, drops_name=drops_name)
        for member, one in zip(family.members, found, strict=True):
            query.folded[member.node, steps] = one
    return query.folded[node, steps].copy()


def _windows_of(node: Aggregate) -> Selector | Range:
    inner = bare(node.expr)
    where = bare(inner.args[0]) if isinstance(inner, Call) else inner
    assert isinstance(where, (Selector, Range)), "BUG: a family of no windows"
    return where
