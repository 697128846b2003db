"""A script's text to commands: clear, load, eval.

The format is Prometheus' ``promql/promqltest``; its expectations are data here, ``check`` compares.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from tests.conformance.promqltest.values import (
    ScriptError,
    SeriesLine,
    duration_ms,
    scalar_from_text,
    series_line_from_text,
)

from agentgauge.promql.tokens import string_from_literal

_INSTANT = re.compile(r"eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(\S+)\s+)?(.+)")
_RANGE = re.compile(r"eval(?:_(fail|warn|info))?\s+range\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)\s+(.+)")
_EXPECT = re.compile(r"expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(msg|regex):(.*))?")
_EXPECT_RANGE = re.compile(r"expect\s+range\s+vector\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)")
_EXPECT_STRING = re.compile(r"expect\s+string\s+(.+)")

Note: TypeAlias = Literal["fail", "warn", "info"]


@dataclass(frozen=True, slots=True)
class Text:
    """What a message must be: equal to ``msg``, found by ``regex``, or anything when both are None."""

    msg: str | None = None
    regex: str | None = None

    def fits(self, message: str) -> bool:
        """Tell whether a message is the expected one."""
        if self.regex is not None:
            return re.search(self.regex, message) is not None
        return self.msg is None or self.msg == message.strip()


@dataclass(slots=True)
class Expectation:
    """What an eval must give."""

    notes: dict[Note, list[Text]] = field(default_factory=dict)
    none_of: set[str] = field(default_factory=set)
    ordered: bool = False
    scalar: float | None = None
    string: str | None = None
    grid: tuple[int, int, int] | None = None
    series: list[SeriesLine] = field(default_factory=list)

    @property
    def fails(self) -> bool:
        """Tell whether the query must end in an error."""
        return "fail" in self.notes


@dataclass(frozen=True, slots=True)
class Clear:
    """Empty the storage."""


@dataclass(frozen=True, slots=True)
class Load:
    """Add series; value i stands at i times the step."""

    step_ms: int
    series: tuple[SeriesLine, ...]
    custom_buckets: bool = False


@dataclass(frozen=True, slots=True)
class Eval:
    """Evaluate and compare; an instant eval has ``step_ms`` 0."""

    line: int
    expr: str
    start_ms: int
    end_ms: int
    step_ms: int
    expected: Expectation


Command: TypeAlias = Clear | Load | Eval


def commands_from_text(text: str) -> Iterator[Command]:
    """Read a script. Raises ScriptError with the number of the line."""
    lines = ["" if line.strip().startswith("#") else line.strip() for line in text.splitlines()]
    at = 0
    while at < len(lines):
        if not lines[at]:
            at += 1
            continue
        end = at + 1
        while end < len(lines) and lines[end]:
            end += 1
        try:
            command, used = _command(lines[at:end], at + 1)
        except (ScriptError, ValueError) as error:
            raise ScriptError(f"line {at + 1}: {error}") from error
        yield command
        at += used


def _command(block: list[str], number: int) -> tuple[Command, int]:
    word = block[0].split()[0].lower()
    if word == "clear":
        return Clear(), 1
    if word in ("load", "load_with_nhcb"):
        step_ms = duration_ms(block[0].split()[1])
        return Load(step_ms, tuple(map(series_line_from_text, block[1:])), word != "load"), len(block)
    if word.startswith("eval"):
        return _eval(block, number)
    raise ScriptError(f"unknown command {word!r}")


def _eval(block: list[str], number: int) -> tuple[Eval, int]:
    instant, ranged = _INSTANT.fullmatch(block[0]), _RANGE.fullmatch(block[0])
    expected = Expectation()
    used = 1
    for line in block[1:]:
        used += 1
        if _read_expectation(line, expected):
            break
    if instant:
        _old_form(instant[1], expected)
        t_ms = duration_ms(instant[2] or "0")
        return Eval(number, instant[3], t_ms, t_ms, 0, expected), used
    if ranged:
        _old_form(ranged[1], expected)
        start_ms, end_ms, step_ms = map(duration_ms, ranged.groups()[1:4])
        return Eval(number, ranged[5], start_ms, end_ms, step_ms, expected), used
    raise ScriptError(f"cannot read {block[0]!r}")


def _old_form(suffix: str | None, expected: Expectation) -> None:
    if suffix == "ordered":
        expected.ordered = True
    elif suffix in ("fail", "warn", "info"):
        expected.notes.setdefault(suffix, []).append(Text())


def _read_expectation(line: str, expected: Expectation) -> bool:
    """Read one line of an eval's body; True when the body ends with it."""
    grid = _EXPECT_RANGE.fullmatch(line)
    if grid:
        start_ms, end_ms, step_ms = map(duration_ms, grid.groups())
        expected.grid = (start_ms, end_ms, step_ms)
        return False
    string = _EXPECT_STRING.fullmatch(line)
    if string:
        expected.string = string_from_literal(string[1])
        return False
    if line.split(maxsplit=1)[0] == "expect":
        _read_note(line, expected)
        return False
    expected.scalar = scalar_from_text(line)
    if expected.scalar is not None:
        return True
    expected.series.append(series_line_from_text(line))
    return False


def _read_note(line: str, expected: Expectation) -> None:
    found = _EXPECT.fullmatch(line)
    if not found:
        raise ScriptError(f"cannot read {line!r}")
    word, kind, text = found.groups()
    if word == "ordered":
        expected.ordered = True
    elif word.startswith("no_"):
        expected.none_of.add(word[3:])
    else:
        msg = text.strip() if kind == "msg" else None
        regex = text.strip() if kind == "regex" else None
        expected.notes.setdefault(word, []).append(Text(msg, regex))
