"""Selectors and label lists, read from a query's tokens: ``foo{a="b", c=~"d"}``, ``(x, "y z")``.

Braces hold nothing that the parser's wheel is needed for, and much that it gets wrong: quoted names, Go's escapes,
RE2, MetricsQL's ``or``. So they are read whole, here.
Source: Prometheus ``promql/parser/generated_parser.y`` (label_matchers, grouping_labels).
"""

from __future__ import annotations

from collections.abc import Sequence

from agentgauge.errors import BadQuery
from agentgauge.model.labels import METRIC_NAME, Labels, Matcher, labels_from_mapping
from agentgauge.promql.regex import compile_re2
from agentgauge.promql.tokens import Token, describe, parse_error


class Cursor:
    """A place in a query's tokens; the last token, ``end``, is never passed."""

    def __init__(self, text: str, tokens: Sequence[Token]) -> None:
        self.text = text
        self.tokens = tokens
        self.at = 0

    def peek(self) -> Token:
        """Return the next token."""
        return self.tokens[self.at]

    def follows(self, text: str) -> bool:
        """Tell whether the token after the next one is ``text``."""
        return self.peek().kind != "end" and self.tokens[self.at + 1].text == text

    def take(self) -> Token:
        """Return the next token and go past it."""
        token = self.tokens[self.at]
        self.at += token.kind != "end"
        return token

    def expect(self, text: str, where: str) -> None:
        """Go past ``text``. Raises BadQuery when something else comes."""
        token = self.take()
        if token.text != text:
            raise self.error(token, f'unexpected {describe(token)} {where}, expected "{text}"')

    def error(self, token: Token, message: str) -> BadQuery:
        """Make an error with the position of a token."""
        return parse_error(self.text, token.pos, message)

    def unexpected(self, token: Token, where: str = "", wanted: str = "") -> BadQuery:
        """Make the error of a token that cannot stand where it does."""
        text = (
            f"unexpected {describe(token)}"
            + (f" in {where}" if where else "")
            + (f", expected {wanted}" if wanted else "")
        )
        return self.error(token, text)


def read_selector(cursor: Cursor, name: Token | None) -> tuple[Matcher, ...]:
    """Read a selector's braces, its name already taken. Raises BadQuery."""
    start = name or cursor.peek()
    matchers = [Matcher(METRIC_NAME, "=", name.text)] if name else []
    if cursor.peek().text == "{":
        cursor.take()
        _read_matchers(cursor, matchers)
    names = [matcher.value for matcher in matchers if matcher.name == METRIC_NAME and matcher.op == "="]
    if name and len(names) > 1:
        raise cursor.error(start, f'metric name must not be set twice: "{names[0]}" or "{names[1]}"')
    if all(map(_matches_empty, matchers)):
        raise cursor.error(start, "vector selector must contain at least one non-empty matcher")
    return tuple(matchers)


def read_label_list(cursor: Cursor) -> tuple[str, ...]:
    """Read ``(a, b)``. Raises BadQuery."""
    cursor.expect("(", "in grouping opts")
    names: list[str] = []
    while cursor.peek().text != ")":
        token = cursor.take()
        if token.kind not in ("ident", "string") or (token.kind == "ident" and ":" in token.text):
            raise cursor.unexpected(token, "grouping opts", "label")
        names.append(_label_name(cursor, token))
        if cursor.peek().text == ",":
            cursor.take()
        elif cursor.peek().text != ")":
            raise cursor.unexpected(cursor.peek(), "grouping opts", '"," or ")"')
    cursor.take()
    return tuple(names)


def _read_matchers(cursor: Cursor, matchers: list[Matcher]) -> None:
    while cursor.peek().text != "}":
        _read_matcher(cursor, matchers)
        following = cursor.peek()
        if following.text == ",":
            cursor.take()
        elif following.word == "or":
            raise cursor.error(following, 'unexpected "or" in label matching: PromQL has no or between matchers')
        elif following.text != "}":
            raise cursor.unexpected(following, "label matching", '"," or "}"')
    cursor.take()


def _read_matcher(cursor: Cursor, matchers: list[Matcher]) -> None:
    name = cursor.take()
    if name.kind not in ("ident", "string"):
        raise cursor.unexpected(name, "label matching", 'identifier or "}"')
    operator = cursor.peek().text
    if operator not in ("=", "!=", "=~", "!~"):
        if name.kind == "ident" or operator not in (",", "}"):
            raise cursor.unexpected(cursor.peek(), "label matching", "label matching operator")
        _add_quoted_name(cursor, name, matchers)
        return
    label = _label_name(cursor, name)
    cursor.take()
    value = cursor.take()
    if value.kind != "string":
        raise cursor.unexpected(value, "label matching", "string")
    if operator in ("=~", "!~"):
        _check_regex(cursor, value)
    matchers.append(Matcher(label, operator, str(value.value)))  # type: ignore[arg-type]


def _add_quoted_name(cursor: Cursor, name: Token, matchers: list[Matcher]) -> None:
    for matcher in matchers:
        if matcher.name == METRIC_NAME and matcher.op == "=":
            raise cursor.error(name, f'metric name must not be set twice: "{matcher.value}" or "{name.value}"')
    if not _is_name(str(name.value)):
        raise cursor.error(name, f"invalid metric name: {name.text}")
    matchers.append(Matcher(METRIC_NAME, "=", str(name.value)))


def _label_name(cursor: Cursor, token: Token) -> str:
    name = str(token.value) if token.kind == "string" else token.text
    if not _is_name(name):
        raise cursor.error(token, f"invalid label name: {token.text}")
    return name


def _check_regex(cursor: Cursor, value: Token) -> None:
    try:
        compile_re2(str(value.value))
    except BadQuery as error:
        raise cursor.error(value, str(error)) from None


def _matches_empty(matcher: Matcher) -> bool:
    if matcher.op == "=":
        return matcher.value == ""
    if matcher.op == "!=":
        return matcher.value != ""
    return (compile_re2(matcher.value).fullmatch("") is not None) == (matcher.op == "=~")


def _is_name(text: str) -> bool:
    """Tell whether a text can name a label or metric: not empty, and UTF-8."""
    return text != "" and not any("\ud800" <= char <= "\udfff" for char in text)


def pinned_labels(matchers: Sequence[Matcher]) -> Labels:
    """Return what the ``=`` matchers pin down: a name's first one, unless another of that name comes after it.

    Source: Prometheus promql/functions.go createLabelsForAbsentFunction.
    """
    pinned: dict[str, str] = {}
    seen: set[str] = set()
    for matcher in matchers:
        if matcher.name == METRIC_NAME:
            continue
        if matcher.op == "=" and matcher.name not in seen:
            seen.add(matcher.name)
            pinned[matcher.name] = matcher.value
        else:
            pinned.pop(matcher.name, None)
    return labels_from_mapping(pinned)
