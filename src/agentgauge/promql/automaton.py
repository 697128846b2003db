"""Regular expressions in time linear in the text, for the patterns that would make Python's engine backtrack.

Theory of operation. The tree becomes a program of five instructions (character, split, jump, look, save). Whether a
text matches is asked of a DFA that is built as texts come: a state is the set of program places before the next
character plus what the last character was (for the looks); its cache is thrown away when it grows. Groups are found
only when somebody asks for one, by running all threads in step (Pike's way), in order of preference.
Source: https://swtch.com/~rsc/regexp/regexp2.html.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TypeAlias

from agentgauge.promql.re2_tree import Chars, Choice, Group, Look, Repeat, Sequence, Tree

_MAX_KEPT_PLACES = 200_000  # about 10 MB of cached states
_START, _NEWLINE, _WORD, _OTHER, _END = range(5)


@dataclass(frozen=True, slots=True)
class Char:
    """Read one character."""

    chars: Chars
    starts: tuple[int, ...]
    ends: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """Go on at both places, ``first`` preferred."""

    first: int
    second: int


@dataclass(frozen=True, slots=True)
class Save:
    """Note the position in a slot."""

    slot: int


@dataclass(frozen=True, slots=True)
class Done:
    """The whole text is read if nothing is left."""


Instruction: TypeAlias = Char | Split | Save | Look | Done
_State: TypeAlias = tuple[tuple[int, ...], int]


class Automaton:
    """A compiled pattern.

    Thread-safety: free; the cache is only a cache, and each of its operations is atomic.
    """

    def __init__(self, pattern: str, tree: Tree, n_groups: int) -> None:
        self.pattern = pattern
        self.groups = n_groups
        self.groupindex: dict[str, int] = {}
        self._program: list[Instruction] = []
        self._compile(tree)
        self._program.append(Done())
        self._cache: dict[tuple[_State, str], _State] = {}
        self._n_kept_places = 0

    def fullmatch(self, text: str) -> Captures | None:
        """Match the whole text."""
        state: _State = ((0,), _START)
        cache = self._cache
        for char in text:
            following = cache.get((state, char))
            if following is None:
                following = self._advance(state, char)
            state = following
            if not state[0]:
                return None
        places = self._closure(state[0], state[1], _END)
        if not any(isinstance(self._program[place], Done) for place in places):
            return None
        return Captures(self, text)

    def spans(self, text: str) -> list[int]:
        """Return start and end of each group, -1 when it took no part; only for texts that match."""
        threads: list[tuple[int, tuple[int, ...]]] = [(0, (-1,) * (2 * self.groups + 2))]
        before = _START
        for at in range(len(text) + 1):
            after = _kind(text[at]) if at < len(text) else _END
            ready = self._threads(threads, at, before, after)
            if at == len(text):
                done = [slots for place, slots in ready if isinstance(self._program[place], Done)]
                return [0, at, *done[0][2:]]
            threads = [
                (place + 1, slots)
                for place, slots in ready
                if isinstance(step := self._program[place], Char) and _reads(step, text[at])
            ]
            before = after
        return []

    def _advance(self, state: _State, char: str) -> _State:
        kind = _kind(char)
        following = []
        for place in self._closure(state[0], state[1], kind):
            step = self._program[place]
            if isinstance(step, Char) and _reads(step, char):
                following.append(place + 1)
        result = (tuple(following), kind)
        self._n_kept_places += len(following) + 4
        if self._n_kept_places > _MAX_KEPT_PLACES:
            self._cache.clear()
            self._n_kept_places = 0
        self._cache[state, char] = result
        return result

    def _closure(self, places: tuple[int, ...], before: int, after: int) -> list[int]:
        seen: dict[int, None] = {}
        waiting = list(reversed(places))
        while waiting:
            place = waiting.pop()
            if place in seen:
                continue
            seen[place] = None
            step = self._program[place]
            if isinstance(step, Split):
                waiting += (step.second, step.first)
            elif isinstance(step, Save) or (isinstance(step, Look) and _holds(step, before, after)):
                waiting.append(place + 1)
        return list(seen)

    def _threads(
        self, threads: list[tuple[int, tuple[int, ...]]], at: int, before: int, after: int
    ) -> list[tuple[int, tuple[int, ...]]]:
        seen: set[int] = set()
        ready = []
        waiting = list(reversed(threads))
        while waiting:
            place, slots = waiting.pop()
            if place in seen:
                continue
            seen.add(place)
            step = self._program[place]
            if isinstance(step, Split):
                waiting += ((step.second, slots), (step.first, slots))
            elif isinstance(step, Save):
                waiting.append((place + 1, (*slots[: step.slot], at, *slots[step.slot + 1 :])))
            elif isinstance(step, Look):
                if _holds(step, before, after):
                    waiting.append((place + 1, slots))
            else:
                ready.append((place, slots))
        return ready

    def _compile(self, tree: Tree) -> None:
        program = self._program
        match tree:
            case Chars(ranges=ranges):
                ordered = _merged(ranges)
                program.append(Char(tree, tuple(low for low, _ in ordered), tuple(high for _, high in ordered)))
            case Look():
                program.append(tree)
            case Sequence(parts=parts):
                for part in parts:
                    self._compile(part)
            case Choice(parts=parts):
                self._choice(parts)
            case Group(part=part, index=index, name=name):
                if name:
                    self.groupindex[name] = index
                program.append(Save(2 * index))
                self._compile(part)
                program.append(Save(2 * index + 1))
            case Repeat():
                self._repeat(tree)

    def _choice(self, parts: tuple[Tree, ...]) -> None:
        program, jumps = self._program, []
        for part in parts[:-1]:
            split = len(program)
            program.append(Done())
            self._compile(part)
            jumps.append(len(program))
            program.append(Done())
            program[split] = Split(split + 1, len(program))
        self._compile(parts[-1])
        for jump in jumps:
            program[jump] = Split(len(program), len(program))

    def _repeat(self, tree: Repeat) -> None:
        program = self._program
        for _ in range(tree.low):
            self._compile(tree.part)
        if tree.high is None:
            split = len(program)
            program.append(Done())
            self._compile(tree.part)
            program.append(Split(split, split))
            program[split] = _split(split + 1, len(program), tree.lazy)
            return
        splits = []
        for _ in range(tree.high - tree.low):
            splits.append(len(program))
            program.append(Done())
            self._compile(tree.part)
        for split in splits:
            program[split] = _split(split + 1, len(program), tree.lazy)


class Captures:
    """A match; its groups are looked for when asked for. Quacks like ``re.Match`` as far as PromQL needs."""

    __slots__ = ("_spans", "re", "string")

    def __init__(self, regex: Automaton, text: str) -> None:
        self.re = regex
        self.string = text
        self._spans: list[int] | None = None

    def group(self, which: int | str = 0) -> str | None:
        """Return a group's text, None when it took no part; IndexError for an unknown one."""
        index = self.re.groupindex.get(which, -1) if isinstance(which, str) else which
        if not 0 <= index <= self.re.groups:
            raise IndexError("no such group")
        if self._spans is None:
            self._spans = self.re.spans(self.string)
        start, end = self._spans[2 * index : 2 * index + 2]
        return None if start < 0 or end < 0 else self.string[start:end]

    def __getitem__(self, which: int | str) -> str | None:
        return self.group(which)

    def groups(self) -> tuple[str | None, ...]:
        """Return all groups but the whole."""
        return tuple(self.group(index) for index in range(1, self.re.groups + 1))

    def groupdict(self) -> dict[str, str | None]:
        """Return the named groups."""
        return {name: self.group(index) for name, index in self.re.groupindex.items()}


def _split(inside: int, outside: int, lazy: bool) -> Split:
    return Split(outside, inside) if lazy else Split(inside, outside)


def _merged(ranges: tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged


def _reads(step: Char, char: str) -> bool:
    chars = step.chars
    if not chars.fold:
        return _inside(step, ord(char)) != chars.negated
    variants = {char, *_single(char.lower()), *_single(char.upper()), *_single(char.casefold()), *_FOLDS.get(char, "")}
    return any(_inside(step, ord(variant)) for variant in variants) != chars.negated


_FOLDS = {"k": "\u212a", "K": "\u212a", "\u212a": "kK", "s": "\u017f", "S": "\u017f", "\u017f": "sS"}


def _single(text: str) -> str:
    return text if len(text) == 1 else ""


def _inside(step: Char, point: int) -> bool:
    at = bisect_right(step.starts, point) - 1
    return at >= 0 and point <= step.ends[at]


def _kind(char: str) -> int:
    if char == "\n":
        return _NEWLINE
    return _WORD if char.isascii() and (char.isalnum() or char == "_") else _OTHER


def _holds(look: Look, before: int, after: int) -> bool:
    match look.kind:
        case "text-start":
            return before == _START
        case "text-end":
            return after == _END
        case "line-start":
            return before in (_START, _NEWLINE)
        case "line-end":
            return after in (_END, _NEWLINE)
        case "word":
            return (before == _WORD) != (after == _WORD)
        case "not-word":
            return (before == _WORD) == (after == _WORD)
