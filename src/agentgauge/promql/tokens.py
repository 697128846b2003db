"""PromQL text to tokens, each with the byte offset it starts at.

The parser that ``plan.py`` stands on gives no positions and reads Go's string escapes wrongly, so the words are
read here. A string's value keeps bytes that are not UTF-8 as surrogate escapes.
Source: Prometheus ``promql/parser/lex.go``; Go ``strconv.Unquote``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from agentgauge.errors import BadQuery

Kind: TypeAlias = Literal["ident", "number", "duration", "string", "op", "end"]

_SPACE = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)+")
_IDENT = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_OP = re.compile(r"==|!=|=~|!~|<=|>=|</|>/|[-+*/%^<>=(){}\[\],:@]")
_DURATION = re.compile(r"(?:[0-9]+(?:ms|[smhdwy]))+(?![a-zA-Z0-9_.])")
_NUMBER = re.compile(
    r"0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][-+]?[0-9]+)?|(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9_]+)?"
)
_SPARSE = re.compile(r"[^_]+(?:_[^_]+)*")
_BESIDE = re.compile(r"_[.epEP]|[.+-]_")  # Go lets underscores stand between digits only
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000}
_UNITS = tuple(reversed(_UNIT_MS))
_DURATION_PART = re.compile(r"([0-9]+)(ms|[smhdwy])")
_MAX_DURATION_MS = 2**63 // 1_000_000  # Go's time.Duration counts nanoseconds in an int64
_ESCAPE = re.compile(
    rb"\\(?:x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([abfnrtv\\'\"]))|\\", re.DOTALL
)
_CONTROL = {
    b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v", b"\\": b"\\",
    b"'": b"'", b'"': b'"',
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """One word of a query; ``value`` is a string's text, a number's value or a duration's milliseconds."""

    kind: Kind
    text: str
    pos: int
    value: float | str = 0.0

    @property
    def word(self) -> str:
        """The token in lower case: keywords know no case."""
        return self.text.lower()


def tokens(text: str) -> list[Token]:
    """Split a query into tokens; the last one is of kind ``end``.

    Raises:
        BadQuery: a character, number or string that PromQL does not know.
    """
    offset = _byte_offsets(text)
    found: list[Token] = []
    brackets: list[str] = []
    at, end = 0, len(text)
    while True:
        space = _SPACE.match(text, at)
        at = space.end() if space else at
        if at >= end:
            break
        token, at = _next(text, at, offset, brackets[-1] if brackets else "")
        if token.text in ("{", "["):
            brackets.append(token.text)
        elif token.text in ("}", "]") and brackets:
            brackets.pop()
        found.append(token)
    found.append(Token("end", "", offset(end)))
    return found


def parse_error(text: str, pos: int, message: str) -> BadQuery:
    """Make the error Prometheus gives: ``line:column: parse error: …``, the column counted in bytes from 1."""
    return BadQuery(f"{line_column(text, pos)}: parse error: {message}")


def describe(token: Token) -> str:
    """Name a token in an error message, as Prometheus does."""
    if token.kind == "end":
        return "end of input"
    names = {"ident": "identifier", "number": "number", "duration": "duration", "string": "string", "op": "character"}
    if token.kind == "string":
        return f"string {token.text[:80]}"
    return f'{names[token.kind]} "{token.text[:80]}"'


def line_column(text: str, pos: int) -> str:
    """Return the 1-based ``line:column`` of a byte offset in a query text."""
    before = _bytes(text)[:pos]
    return f"{before.count(10) + 1}:{pos - (before.rfind(10) + 1) + 1}"


def number_from_text(text: str) -> float:
    """Read a number as Go does with base 0: ``1_000``, ``0x1F``, ``017`` (octal), ``1e3``.

    Raises:
        BadQuery: not a number, or out of a float's range.
    """
    plain = text.replace("_", "")
    if not _underscores_separate(text):
        raise BadQuery(f"bad number or duration syntax: {_quote(text)}")
    try:
        if plain[:2] in ("0x", "0X"):
            return float.fromhex(plain) if plain[2:].strip(".") else _fail(text)
        if re.fullmatch(r"0[0-7]+", plain):
            return float(int(plain, 8))
        value = float(plain)
    except (ValueError, OverflowError):
        return _fail(text)
    if math.isinf(value):
        raise BadQuery(f"error parsing number: strconv.ParseFloat: parsing {_quote(text)}: value out of range")
    return value


def duration_ms_from_text(text: str) -> int:
    """Read ``1h30m``: units y w d h m s ms, each at most once and in that order.

    Raises:
        BadQuery: another order, no unit, or more than Go's 292 years.
    """
    total, last, at = 0, -1, 0
    for part in _DURATION_PART.finditer(text):
        rank = _UNITS.index(part[2])
        if part.start() != at or rank <= last:
            break
        total, last, at = total + int(part[1]) * _UNIT_MS[part[2]], rank, part.end()
    if at != len(text) or not text:
        raise BadQuery(f"not a valid duration string: {_quote(text)}")
    if total > _MAX_DURATION_MS:
        raise BadQuery("duration out of range")
    return total


def string_from_literal(literal: str) -> str:
    r"""Read a quoted string with Go's escapes; ``\xff`` gives a byte, kept as a surrogate escape if it is not UTF-8.

    Raises:
        BadQuery: an escape that Go does not know.
    """
    if literal[0] == "`":
        return literal[1:-1]
    raw = _ESCAPE.sub(_unescape, _bytes(literal[1:-1]))
    return raw.decode("utf-8", "surrogateescape")


def _next(text: str, at: int, offset: Callable[[int], int], inside: str) -> tuple[Token, int]:
    char, pos = text[at], offset(at)
    if char in "\"'`":
        return _string(text, at, pos)
    if not inside and (char.isdigit() or (char == "." and text[at + 1 : at + 2].isdigit())) and char < "\x7f":
        return _number(text, at, pos)
    if inside == "[" and (char in "0123456789" or char == "."):
        return _number(text, at, pos)
    word = (_LABEL if inside else _IDENT).match(text, at)
    if word:
        if not inside and word[0].lower() in ("inf", "nan"):
            return Token("number", word[0], pos, float(word[0])), word.end()
        return Token("ident", word[0], pos), word.end()
    symbol = _OP.match(text, at)
    if not symbol:
        raise parse_error(text, pos, f"unexpected character: {_quote_char(char)}")
    if symbol[0] in ("</", ">/") and inside:
        return Token("op", symbol[0][0], pos), at + 1
    return Token("op", symbol[0], pos), symbol.end()


def _number(text: str, at: int, pos: int) -> tuple[Token, int]:
    try:
        span = _DURATION.match(text, at)
        if span:
            return Token("duration", span[0], pos, duration_ms_from_text(span[0])), span.end()
        number = _NUMBER.match(text, at)
        end = number.end() if number else at + 1
        if end < len(text) and (text[end].isalnum() or text[end] in "_."):
            _fail(text[at : end + 1])
        return Token("number", text[at:end], pos, number_from_text(text[at:end])), end
    except BadQuery as error:
        raise parse_error(text, pos, str(error)) from None


def _string(text: str, at: int, pos: int) -> tuple[Token, int]:
    quote, end = text[at], at + 1
    while end < len(text) and text[end] != quote:
        if quote != "`" and text[end] == "\n":
            break
        end += 2 if text[end] == "\\" and quote != "`" else 1
    if end >= len(text) or text[end] != quote:
        kind = "raw" if quote == "`" else "quoted"
        raise parse_error(text, pos, f"unterminated {kind} string")
    literal = text[at : end + 1]
    try:
        return Token("string", literal, pos, string_from_literal(literal)), end + 1
    except BadQuery as error:
        raise parse_error(text, pos, str(error)) from None


def _unescape(match: re.Match[bytes]) -> bytes:
    two, octal, short, long, control = match.groups()
    if control:
        return _CONTROL[control]
    if two:
        return bytes((int(two, 16),))
    if octal and int(octal, 8) < 256:
        return bytes((int(octal, 8),))
    point = int(short or long or b"110000", 16)
    if point > 0x10FFFF or 0xD800 <= point < 0xE000:
        raise BadQuery("unknown escape sequence or invalid code point in string")
    return chr(point).encode()


def _byte_offsets(text: str) -> Callable[[int], int]:
    if text.isascii():
        return lambda index: index
    sums, total = [0], 0
    for char in text:
        total += 1 if char < "\x80" or "\udc80" <= char <= "\udcff" else len(char.encode("utf-8", "replace"))
        sums.append(total)
    return sums.__getitem__


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _underscores_separate(text: str) -> bool:
    body = text[3:] if text[:3].lower() == "0x_" else text
    return "_" not in body or (_SPARSE.fullmatch(body) is not None and not _BESIDE.search(body))


def _fail(text: str) -> float:
    raise BadQuery(f"bad number or duration syntax: {_quote(text)}")


def _quote(text: str) -> str:
    return '"' + text[:40].replace('"', '\\"') + '"'


def _quote_char(char: str) -> str:
    return f"'\\x{ord(char) - 0xDC00:02x}'" if "\udc80" <= char <= "\udcff" else f"'{char}'"
