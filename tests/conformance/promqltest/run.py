"""Run the commands of a script: load into memory, evaluate, compare, run again in other ways.

Every instant eval runs again (a) with ``@`` its time on every selector at five other times, (b) as the middle step of
range queries, for the original and each of (a): the answer must not change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

from tests.conformance.promqltest import check
from tests.conformance.promqltest.memory import MemorySource, matches
from tests.conformance.promqltest.script import Clear, Eval, Load, commands_from_text

from agentgauge.errors import NotSupported, QueryError
from agentgauge.model.labels import METRIC_NAME, Labels, label_value, without
from agentgauge.model.series import Result
from agentgauge.promql.engine import Engine, Options
from agentgauge.promql.nodes import (
    Aggregate,
    Binary,
    Call,
    Negate,
    Node,
    Paren,
    Range,
    Selector,
    Subquery,
    Window,
)
from agentgauge.promql.plan import PlanOptions, plan
from agentgauge.promql.tokens import tokens

OPTIONS = Options(
    lookback_ms=300_000,
    max_samples=10_000,
    experimental_functions=True,
    fill_modifiers=True,
    delayed_name_removal=True,
    default_subquery_step_ms=60_000,
)
_PLAN = PlanOptions(experimental_functions=True, fill_modifiers=True)
_OF_THE_QUERY = frozenset({"start", "end", "range", "step"})
_OF_THE_TIME = _OF_THE_QUERY | {
    "days_in_month", "day_of_month", "day_of_week", "day_of_year", "hour", "minute", "month", "year",
    "predict_linear", "time", "timestamp",
}  # fmt: skip
_MINUTE_MS = 60_000


@dataclass(slots=True)
class Report:
    """What came of a script's evals: failures as ``(line, expression, difference)``, skips by feature."""

    n_passed: int = 0
    failures: list[tuple[int, str, str]] = field(default_factory=list)
    skips: Counter[str] = field(default_factory=Counter)
    skipped_lines: list[int] = field(default_factory=list)


class _Skip(Exception):
    """Leave a case out; the message is the feature that v1 lacks."""


def run_script(text: str, *, dense: bool = False) -> Report:
    """Run a script over ragged or dense blocks. Raises ScriptError."""
    report = Report()
    stage = _Stage(dense)
    for command in commands_from_text(text):
        match command:
            case Clear():
                stage.clear()
            case Load():
                stage.load(command)
            case Eval():
                _run_case(stage, command, report)
    return report


def _run_case(stage: _Stage, case: Eval, report: Report) -> None:
    try:
        difference = stage.run(case)
    except (_Skip, NotSupported) as skip:
        report.skips[str(skip)] += 1
        report.skipped_lines.append(case.line)
        return
    if difference is None:
        report.n_passed += 1
    else:
        report.failures.append((case.line, case.expr, difference))


class _Stage:
    """The storage of a script and the engine over it."""

    def __init__(self, dense: bool) -> None:
        self._source = MemorySource(dense=dense)
        self._engine = Engine(self._source, OPTIONS)
        self._left_out: dict[Labels, str] = {}

    def clear(self) -> None:
        """Empty the storage."""
        self._source.clear()
        self._left_out.clear()

    def load(self, load: Load) -> None:
        """Add the float series; remember which label sets are native histograms or have start timestamps."""
        for line in load.series:
            if line.native or line.start_times:
                self._left_out[line.labels] = "native histograms" if line.native else "start timestamps"
                continue
            if load.custom_buckets:
                self._remember_base(line.labels)
            for i, value in enumerate(line.values):
                if value is not None:
                    self._source.add(line.labels, i * load.step_ms, value)

    def _remember_base(self, labels: Labels) -> None:
        name = label_value(labels, METRIC_NAME)
        for suffix in ("_bucket", "_count", "_sum"):
            if name.endswith(suffix):
                rest = without(labels, frozenset({METRIC_NAME, "le"}))
                base = tuple(sorted([*rest, (METRIC_NAME, name.removesuffix(suffix))]))
                self._left_out[base] = "native histograms"

    def run(self, case: Eval) -> str | None:
        """Run one eval with its re-runs; return the first difference."""
        if any(line.native for line in case.expected.series):
            raise _Skip("native histograms")
        window = Window(case.start_ms, case.end_ms, case.step_ms)
        try:
            node = plan(case.expr, window, _PLAN)
        except NotSupported:
            raise
        except QueryError as error:
            return check.failure(error, case.expected.notes["fail"]) if case.expected.fails else f"error: {error}"
        self._skip_what_v1_lacks(node)
        difference = self._one(case, node, window)
        if difference is not None or case.step_ms:
            return difference
        return self._again(case, node)

    def _skip_what_v1_lacks(self, node: Node) -> None:
        for selector in _selectors(node):
            for labels, feature in self._left_out.items():
                if all(matches(labels, matcher) for matcher in selector.matchers):
                    raise _Skip(feature)

    def _again(self, case: Eval, node: Node) -> str | None:
        called = _called(case.expr)
        in_range = not called & _OF_THE_QUERY and case.expected.string is None and case.expected.grid is None
        in_range = in_range and not case.expected.fails
        t_ms = case.start_ms
        if in_range and (difference := self._as_range(case, node, t_ms)):
            return difference
        if called & _OF_THE_TIME:
            return None
        pinned = _pinned(node, t_ms)
        for other_ms in (-1000, 0, 1000) if t_ms == 0 else (-10 * t_ms, 0, t_ms // 5, t_ms, 10 * t_ms):
            difference = self._one(case, pinned, Window(other_ms, other_ms))
            if difference is None and in_range:
                difference = self._as_range(case, pinned, other_ms)
            if difference is not None:
                return f"with @ {t_ms / 1000:g}, evaluated at {other_ms / 1000:g}: {difference}"
        return None

    def _one(self, case: Eval, node: Node, window: Window) -> str | None:
        try:
            result = self._evaluate(case, node, window)
        except NotSupported:
            raise
        except QueryError as error:
            return check.failure(error, case.expected.notes["fail"]) if case.expected.fails else f"error: {error}"
        if case.expected.fails:
            return "expected an error, got an answer"
        return check.notes(result, case.expected) or check.answer(result, case)

    def _as_range(self, case: Eval, node: Node, t_ms: int) -> str | None:
        window = Window(t_ms - _MINUTE_MS, t_ms + _MINUTE_MS, _MINUTE_MS)
        try:
            result = self._evaluate(case, node, window)
        except QueryError as error:
            return f"as range query: error: {error}"
        difference = check.middle(result, case)
        return None if difference is None else f"as range query: {difference}"

    def _evaluate(self, case: Eval, node: Node, window: Window) -> Result:
        return self._engine.evaluate(node, window, text=case.expr)


def _called(expr: str) -> frozenset[str]:
    """Return the names that stand before a parenthesis."""
    words = tokens(expr)
    return frozenset(word.word for word, after in pairwise(words) if word.kind == "ident" and after.text == "(")


def _selectors(node: Node) -> Iterator[Selector]:
    match node:
        case Selector():
            yield node
        case Range(selector=selector):
            yield selector
        case _:
            for child in _children(node):
                yield from _selectors(child)


def _children(node: Node) -> tuple[Node, ...]:
    match node:
        case Subquery(expr=expr) | Negate(expr=expr) | Paren(expr=expr):
            return (expr,)
        case Aggregate(expr=expr, param=param):
            return (expr,) if param is None else (param, expr)
        case Call(args=args):
            return args
        case Binary(left=left, right=right):
            return (left, right)
    return ()


def _pinned(node: Node, t_ms: int) -> Node:
    """Put ``@`` a time on every selector and subquery that has none, but not below a subquery that then has one."""
    pin: Callable[[Node], Node] = lambda child: _pinned(child, t_ms)  # noqa: E731
    match node:
        case Selector():
            return node if node.at is not None else replace(node, at=t_ms)
        case Range(selector=selector):
            return replace(node, selector=pin(selector))
        case Subquery():
            return node if node.at is not None else replace(node, at=t_ms)
        case Negate(expr=expr) | Paren(expr=expr):
            return replace(node, expr=pin(expr))
        case Aggregate(expr=expr, param=param):
            return replace(node, expr=pin(expr), param=None if param is None else pin(param))
        case Call(args=args):
            return replace(node, args=tuple(map(pin, args)))
        case Binary(left=left, right=right):
            return replace(node, left=pin(left), right=pin(right))
    return node
