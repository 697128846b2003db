"""The tree that a pattern in RE2's syntax is read into, and how large it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Ranges: TypeAlias = tuple[tuple[int, int], ...]
LookKind: TypeAlias = Literal["text-start", "text-end", "line-start", "line-end", "word", "not-word"]


@dataclass(frozen=True, slots=True)
class Chars:
    """One character in (or, negated, not in) the ranges; ``fold`` ignores case."""

    ranges: Ranges
    negated: bool = False
    fold: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """A position without width."""

    kind: LookKind


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """The first that leads to a match."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """From ``low`` to ``high`` times (None: any number), as often as possible or, lazy, as rarely."""

    part: Tree
    low: int
    high: int | None
    lazy: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """A capturing group."""

    part: Tree
    index: int
    name: str = ""


Tree: TypeAlias = Chars | Look | Sequence | Choice | Repeat | Group


def repetition(tree: Tree) -> int:
    """Return how often the innermost part of nested counted repeats is written out."""
    match tree:
        case Repeat(part=part, low=low, high=high):
            return max(low if high is None else high, 1) * repetition(part)
        case Group(part=part):
            return repetition(part)
        case Sequence(parts=parts) | Choice(parts=parts):
            return max(map(repetition, parts), default=1)
    return 1


def size(tree: Tree) -> int:
    """Return how many instructions a tree expands to, about."""
    match tree:
        case Repeat(part=part, low=low, high=high):
            return max(low + 1 if high is None else high, 1) * (size(part) + 1)
        case Group(part=part):
            return size(part) + 2
        case Sequence(parts=parts) | Choice(parts=parts):
            return sum(map(size, parts)) + len(parts)
    return 1
