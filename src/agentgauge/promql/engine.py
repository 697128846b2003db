"""The engine: PromQL text and a source of samples in, a result with its annotations out.

``query`` and ``query_range`` plan the text, evaluate its nodes over all steps at once, and sort. Evaluation is a
dispatch on the type of the node into sibling modules; what every node shares is here: what does not vary with time is
evaluated at the first step alone, and the cells that a node held are given back when it is done. The engine is pure:
no clock, no thread; ``check`` is called between slices of work and raises when the time is up.
Source: Prometheus promql/engine.go.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agentgauge.errors import BadQuery, ExecutionError, NotSupported
from agentgauge.model.series import QueryStats, Result, StepMatrix, Times, empty_steps
from agentgauge.promql.aggregate import aggregated
from agentgauge.promql.annotations import Annotations
from agentgauge.promql.binary import binary
from agentgauge.promql.functions import FUNCTIONS
from agentgauge.promql.fused import FUSED
from agentgauge.promql.memory import LabelMemory
from agentgauge.promql.naming import drop_flagged_names, drop_names
from agentgauge.promql.nodes import (
    Aggregate,
    Binary,
    Call,
    Negate,
    Node,
    Number,
    Paren,
    Range,
    Selector,
    String,
    Subquery,
    Window,
)
from agentgauge.promql.plan import PlanOptions
from agentgauge.promql.prepared import Plans, Prepared, prepared
from agentgauge.promql.ranking import RANKINGS, count_values, ranked
from agentgauge.promql.scope import Budget, Options, Query, Scope
from agentgauge.promql.selectors import instant_vector, raw_samples, sample_times
from agentgauge.promql.source import Source
from agentgauge.promql.tree import bare, is_step_invariant
from agentgauge.promql.values import Scalar, Text, Value, Vector
from agentgauge.promql.window_calls import absent_over_time, fused, over_windows

__all__ = ["Engine", "Options", "no_check"]


def no_check() -> None:
    """Never stop a query."""


class Engine:
    """Answers PromQL from one source. Thread-safe as far as the source is: a query keeps its own state."""

    def __init__(self, source: Source, options: Options | None = None) -> None:
        self._source = source
        self._options = options or Options()
        self._plans = Plans(PlanOptions(self._options.experimental_functions, self._options.fill_modifiers))
        self._memory = LabelMemory()

    def query(
        self, text: str, t_ms: int, *, lookback_ms: int | None = None, check: Callable[[], None] = no_check
    ) -> Result:
        """Evaluate at one time. Raises QueryError."""
        return self._run(text, Window(t_ms, t_ms), lookback_ms, check)

    def query_range(
        self,
        text: str,
        start_ms: int,
        end_ms: int,
        step_ms: int,
        *,
        lookback_ms: int | None = None,
        check: Callable[[], None] = no_check,
    ) -> Result:
        """Evaluate at start, start + step, … while <= end. Raises QueryError."""
        if step_ms <= 0:
            raise BadQuery("zero or negative query resolution step widths are not accepted. Try a positive integer")
        return self._run(text, Window(start_ms, end_ms, step_ms), lookback_ms, check)

    def evaluate(
        self, node: Node, window: Window, *, text: str = "", lookback_ms: int | None = None,
        check: Callable[[], None] = no_check,
    ) -> Result:  # fmt: skip
        """Evaluate nodes that were planned before; ``text`` is what their positions point into. Raises QueryError."""
        return self._evaluate(prepared(node), window, text, lookback_ms, check)

    def _evaluate(
        self, plan: Prepared, window: Window, text: str, lookback_ms: int | None, check: Callable[[], None]
    ) -> Result:
        options = self._options
        query = Query(
            self._source,
            options,
            options.lookback_ms if lookback_ms is None else lookback_ms,
            window.start_ms,
            window.end_ms,
            Annotations(text),
            Budget(options.max_samples),
            check,
            instant=window.step_ms == 0,
            repeated=plan.repeated,
            families=plan.families,
            memory=self._memory,
        )
        query.budget.admit((window.end_ms - window.start_ms) // (window.step_ms or 1))
        times = np.arange(window.start_ms, window.end_ms + 1, window.step_ms or 1, dtype=np.int64)
        with np.errstate(all="ignore"):
            return _result(Scope(query, times), plan.node)

    def _run(self, text: str, window: Window, lookback_ms: int | None, check: Callable[[], None]) -> Result:
        return self._evaluate(self._plans.get(text, window), window, text, lookback_ms, check)


def _result(scope: Scope, node: Node) -> Result:
    """Evaluate the whole expression and finish the names, the order, the kind."""
    query, inner = scope.query, bare(node)
    if isinstance(inner, (Range, Subquery)):
        if not query.instant:
            raise BadQuery(_not_for_range("range vector"))
        samples = raw_samples(scope, inner, evaluate)
        return _finished(query, Result("matrix", empty_steps(), samples))
    value = evaluate(scope, node)
    if isinstance(value, Text):
        if not query.instant:
            raise BadQuery(_not_for_range("string"))
        return _finished(query, Result("string", empty_steps(scope.t_ms), text=value.value))
    if isinstance(value, Scalar):
        steps = StepMatrix(((),), scope.t_ms, value.values[None, :], np.ones((1, scope.n_steps), np.bool_))
        return _finished(query, Result("scalar" if query.instant else "matrix", steps))
    if query.options.delayed_name_removal:
        value = drop_flagged_names(value)
    return _finished(query, Result("vector" if query.instant else "matrix", _steps(value, scope.t_ms, query.instant)))


def _not_for_range(kind: str) -> str:
    return f'invalid expression type "{kind}" for range query, must be Scalar or instant Vector'


def _steps(vector: Vector, t_ms: Times, instant: bool) -> StepMatrix:
    """Sort the rows by labels, unless an instant query asked for an order."""
    if vector.ordered and instant:
        return StepMatrix(vector.labels, t_ms, vector.values, vector.present)
    order = sorted(range(vector.n_series), key=vector.labels.__getitem__)
    labels = [vector.labels[i] for i in order]
    return StepMatrix(labels, t_ms, vector.values[order], vector.present[order])


def _finished(query: Query, result: Result) -> Result:
    stats = QueryStats(query.budget.read, query.budget.peak)
    notes = query.annotations
    return Result(result.kind, result.steps, result.samples, result.text, notes.warnings(), notes.infos(), stats)


def evaluate(scope: Scope, node: Node) -> Value:
    """Evaluate a node at every step of a scope. Raises QueryError."""
    scope.query.check()
    held = scope.query.budget.held
    if scope.n_steps > 1 and is_step_invariant(node) and not isinstance(node, (Number, String)):
        value = _dispatch(scope.first_step(), node)
        scope.query.budget.admit(scope.n_steps * (value.n_cells if isinstance(value, Vector) else 1))
        value = _broadcast(value, scope.n_steps)
    else:
        value = _dispatch(scope, node)
    kept = sum(block.table.values.size for blocks in scope.query.decoded.values() for block in blocks)
    kept += sum(one.vector.n_cells for one in scope.query.folded.values() if one.vector is not None)
    scope.query.budget.held = max(held, kept)
    scope.query.budget.hold(value.n_cells if isinstance(value, Vector) else scope.n_steps)
    return value


def _dispatch(scope: Scope, node: Node) -> Value:
    match node:
        case Number():
            return Scalar(np.full(scope.n_steps, node.value))
        case String():
            return Text(node.value)
        case Selector():
            return instant_vector(scope, node, evaluate)
        case Paren():
            return evaluate(scope, node.expr)
        case Negate():
            return _negated(scope, evaluate(scope, node.expr))
        case Binary():
            return binary(scope, node, evaluate(scope, node.left), evaluate(scope, node.right))
        case Aggregate():
            return _aggregate(scope, node)
        case Call():
            return _call(scope, node)
        case Range() | Subquery():
            raise ExecutionError("BUG: a range vector outside a function's argument")


def _broadcast(value: Value, n_steps: int) -> Value:
    if isinstance(value, Scalar):
        return Scalar(np.repeat(value.values, n_steps))
    if isinstance(value, Vector):
        return Vector(
            value.labels,
            np.repeat(value.values, n_steps, axis=1),
            np.repeat(value.present, n_steps, axis=1),
            value.drop_name,
            value.ordered,
        )
    return value


def _negated(scope: Scope, value: Value) -> Value:
    if isinstance(value, Scalar):
        return Scalar(-value.values)
    assert isinstance(value, Vector), "BUG: the planner lets a negated string through"
    return drop_names(scope, Vector(value.labels, -value.values, value.present, value.drop_name))


def _call(scope: Scope, node: Call) -> Value:
    """Evaluate a function; those over range vectors get windows, the others evaluated arguments."""
    function = FUNCTIONS.get(node.function)
    if function is None:
        raise NotSupported(f"{node.function}() is not supported by the embedded engine; query a Prometheus by URL")
    if node.function == "absent_over_time":
        return absent_over_time(scope, node, evaluate)
    if node.function == "timestamp":
        selector = bare(node.args[0])
        if isinstance(selector, Selector):
            return drop_names(scope, sample_times(scope, selector, evaluate))
    if function.over is not None:
        return over_windows(scope, node, function, evaluate)
    assert function.call is not None, f"BUG: {node.function} has no kernel"
    return function.call(scope, node, [evaluate(scope, arg) for arg in node.args])


def _aggregate(scope: Scope, node: Aggregate) -> Vector:
    if node.op in FUSED:
        folded = fused(scope, node, evaluate)
        if folded is not None:
            return folded
    param = None if node.param is None else evaluate(scope, node.param)
    vector = evaluate(scope, node.expr)
    assert isinstance(vector, Vector), "BUG: an aggregation of no vector"
    if node.op == "count_values":
        return count_values(scope, node, vector)
    if node.op in RANKINGS:
        return ranked(scope, node, vector, param)
    return aggregated(scope, node, vector, param)
