"""Series and value lines of a script: ``name{l="v"} 1 _ 2+3x4 stale``.

A value that is absent is None. ``{{…}}`` is a native histogram, which v1 does not have.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agentgauge.model.labels import METRIC_NAME, Labels, labels_from_pairs
from agentgauge.model.sample import STALE
from agentgauge.promql.tokens import duration_ms_from_text, string_from_literal

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_STRING = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`', re.DOTALL)
_NUMBER = r"(?:inf|nan|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[-+]?[0-9]+)?)"
_VALUE = re.compile(rf"([-+]?{_NUMBER})(?:([-+]{_NUMBER})?x([0-9]+))?", re.IGNORECASE)
_HOLES = re.compile(r"(_|stale)(?:x([0-9]+))?")
_SCALAR = re.compile(rf"[-+]?(?:0x[0-9a-f]+|{_NUMBER})", re.IGNORECASE)
_SPACE = re.compile(r"\s*")


class ScriptError(Exception):
    """Report a line that is not in the language."""


@dataclass(frozen=True, slots=True)
class SeriesLine:
    """One series with its values; ``native`` when it holds histograms, ``start_times`` for an ``@st`` line."""

    labels: Labels
    values: tuple[float | None, ...]
    native: bool = False
    start_times: bool = False


def series_line_from_text(line: str) -> SeriesLine:
    """Read a series and its values."""
    labels, at = labels_at(line, 0)
    rest = line[at:].strip()
    if rest.startswith("@st"):
        return SeriesLine(labels, (), start_times=True)
    if "{{" in rest:
        return SeriesLine(labels, (), native=True)
    values: list[float | None] = []
    for word in rest.split():
        values.extend(values_from_word(word))
    return SeriesLine(labels, tuple(values))


def values_from_word(word: str) -> list[float | None]:
    """Expand one word: ``_x3``, ``stale``, ``5``, ``5x2`` (three times 5), ``5+2x2`` (5 7 9)."""
    hole = _HOLES.fullmatch(word)
    if hole:
        if hole[1] == "_":
            return [None] * int(hole[2] or 1)
        return [STALE] * (int(hole[2]) + 1 if hole[2] else 1)
    found = _VALUE.fullmatch(word)
    if not found:
        raise ScriptError(f"bad value {word!r}")
    value, step, n = float(found[1]), float(found[2] or 0), int(found[3] or 0)
    values: list[float | None] = [value]
    for _ in range(n):
        value += step
        values.append(value if found[2] else values[0])
    return values


def scalar_from_text(text: str) -> float | None:
    """Read a bare number; None when it is something else."""
    if not _SCALAR.fullmatch(text):
        return None
    return float(int(text, 16)) if "0x" in text.lower() else float(text)


def duration_ms(text: str) -> int:
    """Read ``5m``, ``1m30s``, a bare ``0``, with a sign if need be."""
    text = text.strip()
    if text.startswith("-"):
        return -duration_ms(text[1:])
    return 0 if text == "0" else duration_ms_from_text(text)


def labels_at(line: str, at: int) -> tuple[Labels, int]:
    """Read ``name{l="v", …}`` from ``at`` on; return the labels and where they end."""
    pairs: list[tuple[str, str]] = []
    name = _NAME.match(line, at)
    if name:
        pairs.append((METRIC_NAME, name[0]))
        at = name.end()
    if line[at : at + 1] == "{":
        at = _braces(line, at + 1, pairs)
    elif not name:
        raise ScriptError(f"expected a series: {line!r}")
    return labels_from_pairs(pairs), at


def _braces(line: str, at: int, pairs: list[tuple[str, str]]) -> int:
    while True:
        at = _skip(line, at)
        if line[at : at + 1] == "}":
            return at + 1
        name, at = _word(line, at)
        at = _skip(line, at)
        if line[at : at + 1] == "=":
            literal = _STRING.match(line, _skip(line, at + 1))
            if not literal:
                raise ScriptError(f"expected a quoted label value: {line!r}")
            pairs.append((name, string_from_literal(literal[0])))
            at = _skip(line, literal.end())
        else:
            pairs.append((METRIC_NAME, name))
        if line[at : at + 1] == ",":
            at += 1
        elif line[at : at + 1] != "}":
            raise ScriptError(f"expected , or }}: {line!r}")


def _word(line: str, at: int) -> tuple[str, int]:
    literal = _STRING.match(line, at)
    if literal:
        return string_from_literal(literal[0]), literal.end()
    label = _LABEL.match(line, at)
    if not label:
        raise ScriptError(f"expected a label name: {line!r}")
    return label[0], label.end()


def _skip(line: str, at: int) -> int:
    space = _SPACE.match(line, at)
    return space.end() if space else at
