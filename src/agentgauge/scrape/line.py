"""One line of exposition text, in full: name, labels, value, timestamp, exemplar.

The slow and exact half of the parser; ``text.py`` remembers its results. Whitespace is taken as leniently in
OpenMetrics as in text 0.0.4. Pure.
Source: Prometheus ``model/textparse/{promlex,openmetricslex}.l``; OpenMetrics 1.0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from agentgauge.errors import ParseError
from agentgauge.model.labels import METRIC_NAME

Pairs: TypeAlias = list[tuple[str, str]]

VALUE_BYTES = b"0123456789+-.eEinfINFaAtTyY"
"""Every byte that a float of an exposition may hold; Python's ``float`` takes more (``1_0``, blanks), Go's does not."""

_NAME = re.compile(rb"[a-zA-Z_:][a-zA-Z0-9_:]*")
_ITEM = re.compile(
    rb'[ \t]*(?:([a-zA-Z_][a-zA-Z0-9_]*)|"((?:[^"\\\n]|\\.)*)")[ \t]*'  # a bare or quoted name
    rb'(?:(=)[ \t]*"((?:[^"\\\n]|\\.)*)"[ \t]*)?'
    rb"(?:(,)[ \t]*|(?=\}))"
)
_ESCAPE = re.compile(rb'\\([\\"n])')
_TAIL = re.compile(rb"[ \t]*([^ \t]+)(?:[ \t]+([^ \t#]+))?[ \t]*(?:#[ \t]*(.*))?$", re.DOTALL)
_INTEGER = re.compile(rb"-?\d+$")


@dataclass(frozen=True, slots=True)
class SampleExemplar:
    """An exemplar as its line holds it; ``t_ms`` None means the time of the scrape."""

    pairs: Pairs
    value: float
    t_ms: int | None


@dataclass(frozen=True, slots=True)
class SampleLine:
    """One sample as its line holds it; ``t_ms`` None means the time of the scrape.

    ``pairs`` are in the line's order and include ``__name__``; they end before byte ``series_end``.
    """

    pairs: Pairs
    series_end: int
    value: float
    t_ms: int | None
    exemplar: SampleExemplar | None


def parse_sample(line: bytes, openmetrics: bool) -> SampleLine:
    """Read a sample line.

    Raises:
        ParseError: what is wrong with it, without a line number.
    """
    pairs, end = _parse_series(line)
    tail = _TAIL.match(line, end)
    if tail is None:
        raise ParseError(f"no value in {_shown(line)}")
    value_text, t_text, exemplar_text = tail.groups()
    if exemplar_text is not None and not openmetrics:
        raise ParseError(f"text after the value in {_shown(line)}; exemplars exist in OpenMetrics only")
    return SampleLine(
        pairs,
        end,
        parse_value(value_text),
        None if t_text is None else _parse_time(t_text, openmetrics),
        None if exemplar_text is None else parse_exemplar(b" " + exemplar_text),
    )


def parse_exemplar(text: bytes) -> SampleExemplar:
    """Read what follows the ``#`` of a sample line: labels, value and perhaps a time in seconds.

    Raises:
        ParseError: what is wrong with it, without a line number.
    """
    start = text.find(b"{")
    if start < 0 or text[:start].strip(b" \t"):
        raise ParseError(f"exemplar without labels: {_shown(text)}")
    pairs, end = _parse_items(text, start + 1)
    tail = _TAIL.match(text, end)
    if tail is None or tail[3] is not None or any(name == METRIC_NAME for name, _ in pairs):
        raise ParseError(f"exemplar that cannot be read: {_shown(text)}")
    return SampleExemplar(pairs, parse_value(tail[1]), None if tail[2] is None else _parse_time(tail[2], True))


def parse_value(text: bytes) -> float:
    """Read a float as Go does.

    Raises:
        ParseError: the text is no number.
    """
    if text.translate(None, VALUE_BYTES):
        raise ParseError(f"value {_shown(text)} is not a number")
    try:
        return float(text)
    except ValueError:
        raise ParseError(f"value {_shown(text)} is not a number") from None


def parse_quotable_name(text: bytes) -> tuple[str, bytes]:
    """Split a comment's rest into the metric name, quoted or not, and what follows it.

    Raises:
        ParseError: the quotes do not close or the bytes are not UTF-8.
    """
    if not text.startswith(b'"'):
        name, _, rest = text.partition(b" ")
        return _decoded(name), rest
    item = re.match(rb'"((?:[^"\\\n]|\\.)*)"[ \t]?', text)
    if item is None:
        raise ParseError(f"quotes that do not close: {_shown(text)}")
    return _unescaped(item[1]), text[item.end() :]


def _parse_series(line: bytes) -> tuple[Pairs, int]:
    start = len(line) - len(line.lstrip(b" \t"))
    name = _NAME.match(line, start)
    pairs: Pairs = [(METRIC_NAME, name[0].decode())] if name else []
    end = name.end() if name else start
    brace = end + len(line[end:]) - len(line[end:].lstrip(b" \t"))
    if line[brace : brace + 1] == b"{":
        more, end = _parse_items(line, brace + 1)
        pairs += more
    elif name is None:
        raise ParseError(f"{_shown(line)} does not start with a metric name")
    names = [pair[0] for pair in pairs]
    if METRIC_NAME not in names:
        raise ParseError(f"no metric name in {_shown(line)}")
    if len(set(names)) < len(names):
        raise ParseError(f"a label stands twice in {_shown(line)}")
    if line[end : end + 1] not in (b" ", b"\t", b"") and not line[end - 1 : end] == b"}":
        raise ParseError(f"unexpected {_shown(line[end : end + 1])} after the metric name in {_shown(line)}")
    return pairs, end


def _parse_items(line: bytes, start: int) -> tuple[Pairs, int]:
    pairs: Pairs = []
    position = start
    while True:
        stripped = position + len(line[position:]) - len(line[position:].lstrip(b" \t"))
        if line[stripped : stripped + 1] == b"}":
            return pairs, stripped + 1
        item = _ITEM.match(line, position)
        if item is None:
            raise ParseError(f"labels that cannot be read in {_shown(line)}")
        bare, quoted, equals, value, _ = item.groups()
        name = bare.decode() if bare is not None else _unescaped(quoted)
        if equals is not None:
            pairs.append((name, _unescaped(value)))
        elif bare is None and not pairs:  # {"a metric.name", label="value"}
            pairs.append((METRIC_NAME, name))
        else:
            raise ParseError(f"label {name!r} without a value in {_shown(line)}")
        position = item.end()


def _parse_time(text: bytes, openmetrics: bool) -> int:
    if openmetrics:
        seconds = parse_value(text)
        if seconds != seconds or abs(seconds) > 1e14:
            raise ParseError(f"timestamp {_shown(text)} is out of range")
        return round(seconds * 1000)
    if _INTEGER.match(text) is None or abs(int(text[:40])) >= 1 << 62:
        raise ParseError(f"timestamp {_shown(text)} is not a number of milliseconds")
    return int(text)


def _unescaped(text: bytes) -> str:
    if b"\\" in text:
        text = _ESCAPE.sub(lambda found: b"\n" if found[1] == b"n" else found[1], text)
    return _decoded(text)


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise ParseError(f"bytes that are not UTF-8: {_shown(text)}") from None


def _shown(text: bytes) -> str:
    """Show a line in a message: short, printable, whatever bytes it holds."""
    return repr(text[:80].decode(errors="replace")) + ("…" if len(text) > 80 else "")
