"""Functions that rewrite or order by labels: label_replace, label_join, sort_by_label.

Source: Prometheus promql/functions.go (evalLabelReplace, evalLabelJoin), Go regexp (Expand), facette/natsort.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence

from agentgauge.errors import BadQuery, ExecutionError
from agentgauge.model.labels import METRIC_NAME, Labels, label_value, labels_from_pairs
from agentgauge.promql.functions.elementwise import vector_arg, warn_if_range
from agentgauge.promql.naming import merged
from agentgauge.promql.nodes import Call
from agentgauge.promql.regex import Match, compile_re2
from agentgauge.promql.scope import Scope
from agentgauge.promql.values import Text, Value, Vector, take_rows

_REFERENCE = re.compile(r"\$(?:\$|\{(\w+)\}|(\w+))")
_CHUNK = re.compile(r"\d+|\D+", re.ASCII)


def text_arg(value: Value) -> str:
    """Return an argument that the planner has checked to be a string."""
    assert isinstance(value, Text), f"BUG: {type(value).__name__} where the planner allows strings only"
    return value.value


def label_replace(scope: Scope, _call: Call, args: Sequence[Value]) -> Value:
    """Set a label to an expanded template where a regular expression matches the whole of another label."""
    target, template, source, pattern = (text_arg(arg) for arg in args[1:])
    try:
        compiled = compile_re2(pattern)
    except (BadQuery, ValueError):
        raise ExecutionError(f"invalid regular expression in label_replace(): {pattern}") from None
    _check_name(scope, target, "destination label name in label_replace()")

    @functools.lru_cache(maxsize=4096)
    def replaced(text: str) -> str | None:
        match = compiled.fullmatch(text)
        return None if match is None else expand(match, template)

    return _relabelled(vector_arg(args[0]), target, lambda labels: replaced(label_value(labels, source)))


def label_join(scope: Scope, _call: Call, args: Sequence[Value]) -> Value:
    """Set a label to other labels' values, joined."""
    target, separator, *sources = (text_arg(arg) for arg in args[1:])
    for source in sources:
        _check_name(scope, source, "source label name in label_join()")
    _check_name(scope, target, "destination label name in label_join()")
    return _relabelled(
        vector_arg(args[0]), target, lambda labels: separator.join(label_value(labels, name) for name in sources)
    )


def _check_name(scope: Scope, name: str, what: str) -> None:
    if not scope.query.options.allows_label(name):
        raise ExecutionError(f"invalid {what}: {name}")


def _relabelled(vector: Vector, target: str, value_of: Callable[[Labels], str | None]) -> Vector:
    """Set one label on every series; None leaves a series as it is. A written name is not dropped any more."""
    result, flags = list(vector.labels), vector.drop_name.copy()
    for row, labels in enumerate(vector.labels):
        value = value_of(labels)
        if value is not None:
            result[row] = labels_from_pairs([*(pair for pair in labels if pair[0] != target), (target, value)])
            flags[row] &= target != METRIC_NAME
    return merged(Vector(result, vector.values, vector.present, flags))


def expand(match: Match, template: str) -> str:
    """Expand ``$1``, ``${1}``, ``$name``, ``${name}`` and ``$$`` as Go does: the longest name, unknown ones empty."""

    def referred(reference: re.Match[str]) -> str:
        name = reference.group(1) or reference.group(2)
        if name is None:
            return "$"
        try:
            return match.group(int(name) if name.isdecimal() else name) or ""
        except IndexError:
            return ""

    return _REFERENCE.sub(referred, template)


def sort_by_label(scope: Scope, call: Call, args: Sequence[Value]) -> Value:
    """Order by labels, naturally; ties by the full label set."""
    return _sorted(scope, call, args, descending=False)


def sort_by_label_desc(scope: Scope, call: Call, args: Sequence[Value]) -> Value:
    """Order by labels, naturally, from the end; ties by the full label set."""
    return _sorted(scope, call, args, descending=True)


def _sorted(scope: Scope, call: Call, args: Sequence[Value], *, descending: bool) -> Vector:
    warn_if_range(scope, call)
    vector, names = vector_arg(args[0]), [text_arg(arg) for arg in args[1:]]

    def compare(a: int, b: int) -> int:
        for name in names:
            left, right = label_value(vector.labels[a], name), label_value(vector.labels[b], name)
            if left != right:
                return -1 if natural_less(left, right) else 1
        return -1 if vector.labels[a] < vector.labels[b] else 1

    rows = sorted(range(vector.n_series), key=functools.cmp_to_key(compare), reverse=descending)
    return take_rows(vector, rows, ordered=True)


def natural_less(a: str, b: str) -> bool:
    """Tell whether a stands before b when runs of digits compare as numbers."""
    left, right = _CHUNK.findall(a), _CHUNK.findall(b)
    for i, chunk in enumerate(left):
        if i >= len(right):
            return False
        other = right[i]
        numbers = chunk.isdecimal() and other.isdecimal()
        if (int(chunk) == int(other)) if numbers else (chunk == other):
            if i == len(left) - 1:
                return True
            if i == len(right) - 1:
                return False
            continue
        return int(chunk) < int(other) if numbers else chunk < other
    return False
