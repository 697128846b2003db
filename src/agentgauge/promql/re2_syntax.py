r"""RE2's syntax read into a small tree, and refused where RE2 refuses.

Python's ``re`` reads some patterns differently (``[[:alpha:]]``, ``\pL``, ``\z``, ``\Q…\E``, ``(?U)``, ``$`` before a
last newline) and accepts what RE2 does not (look-around, back-references, possessive repeats). So a pattern is read
here and written again for Python, or run by ``automaton``. Not done: Unicode scripts (``\p{Greek}``), which Python's
``unicodedata`` does not know; they are refused.
Source: Go ``regexp/syntax/parse.go``, https://github.com/google/re2/wiki/Syntax.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from agentgauge.errors import BadQuery
from agentgauge.promql.re2_classes import PERL, POSIX, category, complement
from agentgauge.promql.re2_tree import (
    Chars,
    Choice,
    Group,
    Look,
    LookKind,
    Ranges,
    Repeat,
    Sequence,
    Tree,
    repetition,
    size,
)

MAX_REPEAT = 1000
MAX_NESTING = 60
MAX_SIZE = 10_000
"""Instructions that counted repeats may expand to; literal text may be as long as a query is."""


_ANY = Chars(((0, sys.maxunicode),))
_NOT_NEWLINE = Chars(((10, 10),), negated=True)
_CONTROL = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}
_LOOKS: dict[str, LookKind] = {"A": "text-start", "z": "text-end", "b": "word", "B": "not-word"}


def parse_re2(pattern: str) -> tuple[Tree, int]:
    """Read a pattern; return its tree and how many groups it has. The dot matches newline, as in matchers.

    Raises:
        BadQuery: RE2 refuses it, or it uses what v1 lacks, or it is too large.
    """
    return _Parser(pattern).run()


@dataclass(slots=True)
class _Flags:
    fold: bool = False
    multi_line: bool = False
    dot_all: bool = True
    ungreedy: bool = False


class _Parser:
    """Recursive descent over the characters of one pattern."""

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0
        self._flags = _Flags()
        self._n_groups = 0
        self._names: set[str] = set()
        self._depth = 0

    def run(self) -> tuple[Tree, int]:
        tree = self._choice()
        if self._at < len(self._text):
            raise self._error(f"unexpected ): `{self._text}`")
        if size(tree) > max(MAX_SIZE, 2 * len(self._text)):
            raise self._error("expression too large")
        return tree, self._n_groups

    def _choice(self) -> Tree:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise self._error("expression nests too deeply")
        parts = [self._sequence()]
        while self._accept("|"):
            parts.append(self._sequence())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def _sequence(self) -> Tree:
        parts: list[Tree] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            if self._text.startswith(r"\Q", self._at):
                parts.extend(self._quoted())
                continue
            part = self._atom()
            if part is not None:
                parts.append(self._repeated(part))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _quoted(self) -> list[Tree]:
        end = self._text.find(r"\E", self._at + 2)
        literal = self._text[self._at + 2 :] if end < 0 else self._text[self._at + 2 : end]
        self._at = len(self._text) if end < 0 else end + 2
        parts: list[Tree] = [self._char(ord(char)) for char in literal]
        if parts:
            parts[-1] = self._repeated(parts[-1])
        return parts

    def _atom(self) -> Tree | None:
        char = self._text[self._at]
        if char == "(":
            return self._group()
        if char == "[":
            return self._class()
        if char in "*+?":
            raise self._error(f"missing argument to repetition operator: `{char}`")
        if char == "{" and self._counts() is not None:
            raise self._error(f"missing argument to repetition operator: `{self._text[self._at :]}`")
        self._at += 1
        if char == ".":
            return _ANY if self._flags.dot_all else _NOT_NEWLINE
        if char == "^":
            return Look("line-start" if self._flags.multi_line else "text-start")
        if char == "$":
            return Look("line-end" if self._flags.multi_line else "text-end")
        if char == "\\":
            return self._escape()
        return self._char(ord(char))

    def _repeated(self, part: Tree) -> Tree:
        start, n_operators = self._at, 0
        while self._at < len(self._text):
            counts = self._operator()
            if counts is None:
                break
            n_operators += 1
            lazy = self._accept("?") != self._flags.ungreedy
            if n_operators > 1:
                raise self._error(f"invalid nested repetition operator: `{self._text[start : self._at]}`")
            part = Repeat(part, counts[0], counts[1], lazy)
            if repetition(part) > MAX_REPEAT:
                raise self._error(f"invalid repeat count: `{self._text[start : self._at]}`")
        return part

    def _operator(self) -> tuple[int, int | None] | None:
        char = self._text[self._at]
        if char in "*+?":
            self._at += 1
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[char]
        if char != "{":
            return None
        found = self._counts()
        if found is None:
            return None
        low, high, end = found
        if low > MAX_REPEAT or (high or 0) > MAX_REPEAT or (high is not None and high < low):
            raise self._error(f"invalid repeat count: `{self._text[self._at : end]}`")
        self._at = end
        return low, high

    def _counts(self) -> tuple[int, int | None, int] | None:
        end = self._text.find("}", self._at)
        low, comma, high = self._text[self._at + 1 : max(end, 0)].partition(",")
        if end < 0 or not _is_count(low) or (high and not _is_count(high)):
            return None  # a brace that is no repetition stands for itself
        return int(low), (int(high) if high else None) if comma else int(low), end + 1

    def _group(self) -> Tree | None:
        if not self._text.startswith("(?", self._at):
            self._at += 1
            return self._captured("")
        for opening in ("(?P<", "(?<"):
            if self._text.startswith(opening, self._at) and self._text[self._at + 3 : self._at + 4] not in ("=", "!"):
                return self._captured(self._group_name(opening))
        return self._flagged()

    def _group_name(self, opening: str) -> str:
        end = self._text.find(">", self._at)
        name = self._text[self._at + len(opening) : max(end, 0)]
        if end < 0 or not name or not all(char.isascii() and (char.isalnum() or char == "_") for char in name):
            raise self._error(f"invalid named capture: `{self._text[self._at : end + 1] or self._text[self._at :]}`")
        if name in self._names:
            raise self._error(f"duplicate capture group name: `{name}`")
        self._names.add(name)
        self._at = end + 1
        return name

    def _captured(self, name: str) -> Tree:
        self._n_groups += 1
        index = self._n_groups
        return Group(self._inside(), index, name)

    def _inside(self) -> Tree:
        flags = self._copy_flags()
        tree = self._choice()
        if not self._accept(")"):
            raise self._error(f"missing closing ): `{self._text}`")
        self._flags = flags
        return tree

    def _flagged(self) -> Tree | None:
        start, before = self._at, self._copy_flags()
        self._at += 2
        value, n_flags = True, 0
        while self._at < len(self._text):
            char = self._text[self._at]
            self._at += 1
            if char in "imsU":
                name = {"i": "fold", "m": "multi_line", "s": "dot_all", "U": "ungreedy"}[char]
                setattr(self._flags, name, value)
                n_flags += 1
            elif char == "-" and value:
                value, n_flags = False, 0
            elif char in ":)" and (value or n_flags):
                if char == ")":
                    return None  # the flags hold to the end of the enclosing group
                tree = self._inside()
                self._flags = before
                return tree
            else:
                break
        raise self._error(f"invalid or unsupported Perl syntax: `{self._text[start : self._at]}`")

    def _escape(self) -> Tree:
        if self._at >= len(self._text):
            raise self._error("trailing backslash at end of expression: ``")
        char = self._text[self._at]
        if char in _LOOKS:
            self._at += 1
            return Look(_LOOKS[char])
        named = self._named_class()
        if named is not None:
            ranges, negated = named
            return Chars(ranges, negated)
        return self._char(self._code_point())

    def _named_class(self) -> tuple[Ranges, bool] | None:
        r"""Read ``\d``, ``\W``, ``\pL``, ``\P{Lu}``, the backslash already read."""
        char = self._text[self._at : self._at + 1]
        if char.lower() in PERL and char:
            self._at += 1
            return PERL[char.lower()], char.isupper()
        if char not in ("p", "P") or not char:
            return None
        start, negated = self._at - 1, char == "P"
        self._at += 1
        name = self._text[self._at : self._at + 1]
        self._at += 1
        if name == "{":
            end = self._text.find("}", self._at)
            name = self._text[self._at : max(end, 0)]
            self._at = end + 1
            if end < 0:
                raise self._error(f"invalid character class range: `{self._text[start:]}`")
        if name.startswith("^"):
            name, negated = name[1:], not negated
        ranges = category(name)
        if ranges is None:
            known = "general categories are supported, scripts are not"
            raise self._error(f"invalid character class range: `{self._text[start : self._at]}` ({known})")
        return ranges, negated

    def _code_point(self) -> int:
        r"""Read one escaped character, the backslash already read."""
        text, start = self._text, self._at
        char = text[self._at] if self._at < len(text) else ""
        self._at += 1
        if char in _CONTROL and char:
            return _CONTROL[char]
        if char and char.isascii() and not char.isalnum():
            return ord(char)
        if char == "0" or (char in "1234567" and char and text[self._at : self._at + 1] in tuple("01234567")):
            while self._at < min(start + 3, len(text)) and text[self._at] in "01234567":
                self._at += 1
            return int(text[start : self._at], 8)
        if char == "x":
            return self._hexadecimal(start)
        raise self._error(f"invalid escape sequence: `\\{char}`")

    def _hexadecimal(self, start: int) -> int:
        digits = self._text[self._at : self._at + 2]
        self._at += 2
        if digits.startswith("{"):
            end = self._text.find("}", start)
            digits, self._at = self._text[start + 2 : max(end, 0)], end + 1
        whole = self._text.startswith("x{", start) or len(digits) == 2
        if not whole or not digits or not all(digit in "0123456789abcdefABCDEF" for digit in digits):
            raise self._error(f"invalid escape sequence: `\\{self._text[start : start + 2]}`")
        if len(digits) > 8 or int(digits, 16) > sys.maxunicode:
            raise self._error(f"invalid escape sequence: `\\x{{{digits}}}`")
        return int(digits, 16)

    def _class(self) -> Tree:
        start = self._at
        self._at += 1
        negated = self._accept("^")
        ranges: list[tuple[int, int]] = []
        first = True
        while first or self._text[self._at : self._at + 1] != "]":
            if self._at >= len(self._text):
                raise self._error(f"missing closing ]: `{self._text[start:]}`")
            first = False
            ranges.extend(self._class_item(start))
        self._at += 1
        return Chars(tuple(ranges), negated, self._flags.fold)

    def _class_item(self, start: int) -> Ranges:
        text = self._text
        if text.startswith("[:", self._at) and (end := text.find(":]", self._at + 2)) >= 0:
            name = text[self._at + 2 : end]
            ranges = POSIX.get(name.removeprefix("^"))
            if ranges is None:
                raise self._error(f"invalid character class range: `{text[self._at : end + 2]}`")
            self._at = end + 2
            return complement(ranges) if name.startswith("^") else ranges
        if text[self._at] == "\\":
            self._at += 1
            named = self._named_class()
            if named is not None:
                return complement(named[0]) if named[1] else named[0]
            self._at -= 1
        low = self._class_char(start)
        if text.startswith("-", self._at) and text[self._at + 1 : self._at + 2] not in ("", "]"):
            begin = self._at
            self._at += 1
            high = self._class_char(start)
            if high < low:
                raise self._error(f"invalid character class range: `{text[begin - 1 : self._at]}`")
            return ((low, high),)
        return ((low, low),)

    def _class_char(self, start: int) -> int:
        if self._at >= len(self._text):
            raise self._error(f"missing closing ]: `{self._text[start:]}`")
        char = self._text[self._at]
        self._at += 1
        return self._code_point() if char == "\\" else ord(char)

    def _char(self, point: int) -> Chars:
        return Chars(((point, point),), fold=self._flags.fold)

    def _accept(self, char: str) -> bool:
        found = self._text.startswith(char, self._at)
        self._at += len(char) if found else 0
        return found

    def _copy_flags(self) -> _Flags:
        flags = self._flags
        return _Flags(flags.fold, flags.multi_line, flags.dot_all, flags.ungreedy)

    def _error(self, message: str) -> BadQuery:
        return BadQuery(f"error parsing regexp: {message}")


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10
