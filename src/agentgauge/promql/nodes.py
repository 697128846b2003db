"""The nodes of a planned PromQL expression: frozen, typed, ours.

``plan.py`` makes them, ``engine.py`` dispatches on them, ``render.py`` prints them as canonical PromQL. Durations are
milliseconds. ``pos`` is the 0-based byte offset of the expression's start in the query text; it takes no part in
equality, so that printing and planning again gives an equal tree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, TypeAlias

from agentgauge.model.labels import Labels, Matcher


class AtEdge(Enum):
    """The two symbolic arguments of the ``@`` modifier."""

    START = "start()"
    END = "end()"


At: TypeAlias = int | AtEdge | None
"""The ``@`` modifier: a time in ms, the query's start or end, or none."""


@dataclass(frozen=True, slots=True)
class Number:
    """A float literal, or a function of the query's own window folded to one."""

    value: float
    pos: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class String:
    """A string literal; bytes that are not UTF-8 are kept as surrogate escapes."""

    value: str
    pos: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Selector:
    """An instant vector selector; ``matchers`` include the one on ``__name__``.

    ``pinned``: the labels of ``absent`` over it. They hang on the order in which matchers of one name were written,
    which the canonical order of ``matchers`` does not show.
    """

    matchers: tuple[Matcher, ...]
    offset_ms: int = 0
    at: At = None
    pos: int = field(default=0, compare=False)
    pinned: Labels = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Range:
    """A range vector selector: the samples in (t - range_ms, t]."""

    selector: Selector
    range_ms: int
    pos: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Subquery:
    """An expression evaluated over a range; ``step_ms`` 0 means the engine's default."""

    expr: Node
    range_ms: int
    step_ms: int = 0
    offset_ms: int = 0
    at: At = None
    pos: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A function applied to its arguments."""

    function: str
    args: tuple[Node, ...]
    pos: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Aggregate:
    """An aggregation ``op by|without (grouping) (param, expr)``."""

    op: str
    expr: Node
    param: Node | None = None
    grouping: tuple[str, ...] = ()
    without: bool = False
    pos: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Matching:
    """How the two sides of a vector operation find each other.

    ``on`` True: only ``labels`` count, else all but them. ``fill_left`` and ``fill_right`` stand in for a missing
    element of the written left and right side.
    """

    card: Literal["one-to-one", "many-to-one", "one-to-many", "many-to-many"] = "one-to-one"
    on: bool = False
    labels: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    fill_left: float | None = None
    fill_right: float | None = None


@dataclass(frozen=True, slots=True)
class Binary:
    """A binary operation; ``matching`` is None unless both sides are vectors."""

    op: str
    left: Node
    right: Node
    matching: Matching | None = None
    return_bool: bool = False
    pos: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Negate:
    """Unary minus."""

    expr: Node
    pos: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Paren:
    """Parentheses, kept for printing and for ``timestamp((x))``."""

    expr: Node
    pos: int = field(default=0, compare=False)


Node: TypeAlias = Number | String | Selector | Range | Subquery | Call | Aggregate | Binary | Negate | Paren


@dataclass(frozen=True, slots=True)
class Window:
    """The times a query is evaluated at: start to end by step; an instant query has start == end and step 0."""

    start_ms: int
    end_ms: int
    step_ms: int = 0


def bare(node: Node) -> Node:
    """Take off parentheses."""
    while isinstance(node, Paren):
        node = node.expr
    return node


def children(node: Node) -> tuple[Node, ...]:
    """Return what a node is evaluated from, from left to right; a range's selector is part of the range."""
    match node:
        case Paren() | Negate() | Subquery():
            return (node.expr,)
        case Binary():
            return (node.left, node.right)
        case Aggregate():
            return (node.expr,) if node.param is None else (node.expr, node.param)
        case Call():
            return node.args
        case _:
            return ()
