"""RE2 patterns on Python's engine, and on an automaton where Python's would backtrack without end.

Matchers and ``label_replace`` match whole values, and the dot matches newline: use ``fullmatch``.
Source: https://github.com/google/re2/wiki/Syntax; Prometheus ``model/labels/regexp.go``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol, cast

from agentgauge.errors import BadQuery
from agentgauge.promql.automaton import Automaton
from agentgauge.promql.re2_syntax import parse_re2
from agentgauge.promql.re2_tree import Chars, Choice, Group, Look, Repeat, Sequence, Tree

_LOOKS = {
    "text-start": r"\A",
    "text-end": r"\Z",
    "line-start": "(?m:^)",
    "line-end": "(?m:$)",
    "word": r"(?a:\b)",
    "not-word": r"(?a:\B)",
}
_MAX_BACKTRACKING = 200_000
"""Steps that a match may take on Python's engine: about a millisecond."""


class Match(Protocol):
    """What a match can be asked; ``re.Match`` and ``automaton.Captures`` satisfy it."""

    def group(self, which: int | str = 0, /) -> str | None:
        """Return a group's text, None when it took no part; IndexError for an unknown one."""


class Regex(Protocol):
    """A compiled pattern; ``re.Pattern``, ``Automaton`` and ``Guarded`` satisfy it."""

    @property
    def groups(self) -> int:
        """How many groups there are."""

    def fullmatch(self, text: str, /) -> Match | None:
        """Match the whole text."""


class Guarded:
    """A pattern whose cost grows with a power of the text's length: long texts go to the automaton, made then."""

    def __init__(self, pattern: str, fast: re.Pattern[str], slow: Callable[[], Automaton], power: int) -> None:
        self.pattern = pattern
        self.groups = fast.groups
        self.groupindex = fast.groupindex
        self._fast = fast
        self._make_slow = slow
        self._slow: Automaton | None = None
        self._max_length = int(_MAX_BACKTRACKING ** (1 / power))

    def fullmatch(self, text: str) -> Match | None:
        """Match the whole text."""
        if len(text) <= self._max_length:
            return cast(Match | None, self._fast.fullmatch(text))
        if self._slow is None:
            self._slow = self._make_slow()
        return self._slow.fullmatch(text)


@lru_cache(maxsize=256)
def compile_re2(pattern: str) -> Regex:
    """Compile a pattern with RE2's meaning; match with ``fullmatch``.

    Raises:
        BadQuery: RE2 refuses it, or it uses what v1 lacks (Unicode scripts), or it is too large.
    """
    tree, n_groups = parse_re2(pattern)
    power = _power(tree)
    names = _group_names(tree)
    if power is None or not all(name.isidentifier() for name in names):
        return Automaton(pattern, tree, n_groups)
    try:
        fast = re.compile(_python(tree))
    except (re.error, RecursionError, OverflowError) as error:
        raise BadQuery(f"error parsing regexp: {error}: `{pattern}`") from None
    if power < 2:
        return cast(Regex, fast)  # its Match has overloads that a Protocol cannot say
    return Guarded(pattern, fast, lambda: Automaton(pattern, tree, n_groups), power)


def _power(tree: Tree) -> int | None:
    """Bound backtracking by a power of the text's length; None when no power bounds it."""
    match tree:
        case Repeat(part=part, high=high):
            if high is not None and high <= 1:
                return _power(part)
            if not _is_rigid(part):
                return None
            return 1 if high is None or high > 16 else 0
        case Group(part=part):
            return _power(part)
        case Choice(parts=parts):
            return _combined([_power(part) for part in parts], largest=True)
        case Sequence(parts=parts):
            return _combined([_power(part) for part in parts], largest=False)
    return 0


def _combined(powers: list[int | None], largest: bool) -> int | None:
    known = [power for power in powers if power is not None]
    if len(known) < len(powers):
        return None
    return max(known, default=0) if largest else sum(known)


def _is_rigid(tree: Tree) -> bool:
    """Tell whether a tree can match a given text in one way only."""
    match tree:
        case Repeat(part=part, low=low, high=high):
            return low == high and _is_rigid(part)
        case Group(part=part):
            return _is_rigid(part)
        case Sequence(parts=parts):
            return all(map(_is_rigid, parts))
        case Choice():
            return False
    return True


def _group_names(tree: Tree) -> list[str]:
    match tree:
        case Group(part=part, name=name):
            return ([name] if name else []) + _group_names(part)
        case Repeat(part=part):
            return _group_names(part)
        case Choice(parts=parts) | Sequence(parts=parts):
            return [name for part in parts for name in _group_names(part)]
    return []


def _python(tree: Tree) -> str:
    """Write a tree for Python's ``re``."""
    match tree:
        case Chars():
            return _chars(tree)
        case Look(kind=kind):
            return _LOOKS[kind]
        case Group(part=part, name=name):
            return f"(?P<{name}>{_python(part)})" if name else f"({_python(part)})"
        case Choice(parts=parts):
            return "(?:" + "|".join(map(_python, parts)) + ")"
        case Sequence(parts=parts):
            return "".join(map(_python, parts))
        case Repeat(part=part, low=low, high=high, lazy=lazy):
            most = "" if high is None else str(high)
            return f"(?:{_python(part)}){{{low},{most}}}{'?' if lazy else ''}"


def _chars(chars: Chars) -> str:
    ranges = chars.ranges
    if ranges == ((0, 0x10FFFF),) and not chars.negated:
        return "(?s:.)"
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1] and not chars.negated:
        text = re.escape(chr(ranges[0][0]))
    else:
        inside = "".join(_code(low) if low == high else f"{_code(low)}-{_code(high)}" for low, high in ranges)
        text = f"[{'^' if chars.negated else ''}{inside}]"
    return f"(?i:{text})" if chars.fold else text


def _code(point: int) -> str:
    return f"\\U{point:08x}"
