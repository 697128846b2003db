"""Duration expressions: ``[5m * 2]``, ``[step() + 1]``, ``offset (1h - 5m)``, folded to milliseconds.

Numbers are seconds; the result is cut to milliseconds. After ``offset`` without parentheses only one signed literal
or function belongs to the modifier: ``m offset 100 + 2`` is ``(m offset 100) + 2``.
Source: Prometheus ``promql/parser/generated_parser.y`` (duration_expr), ``promql/durations.go``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from agentgauge.errors import BadQuery
from agentgauge.promql.nodes import Window
from agentgauge.promql.tokens import Token, describe, parse_error

_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "%": 2, "^": 4}
_UNARY = 3
_MAX_S = 2**63 / 1e9
_MAX_DEPTH = 200


class Durations:
    """Reads duration expressions out of a query's tokens; ``at`` is the next token to read."""

    def __init__(self, text: str, tokens: Sequence[Token], window: Window) -> None:
        self._text = text
        self._tokens = tokens
        self._window = window
        self._depth = 0
        self.at = 0

    def whole(self, at: int) -> int:
        """Read the expression that starts at token ``at``, up to what cannot belong to it; it must be over 0."""
        self.at = at
        start = self._peek()
        ms = self._milliseconds(self._expression(0), at)
        if ms <= 0:
            raise self._error(start, "duration must be greater than 0")
        return ms

    def offset(self, at: int) -> int:
        """Read what belongs to an ``offset``: a signed literal, function or parenthesis."""
        self.at = at
        sign = 1.0
        while self._peek().text in ("+", "-"):
            sign = -sign if self._take().text == "-" else sign
        return self._milliseconds(sign * self._operand(), at)

    def _expression(self, floor: int) -> float:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._error(self._peek(), f"duration expression nested deeper than {_MAX_DEPTH}")
        left = self._signed()
        while (rank := _PRECEDENCE.get(self._peek().text, 0)) > floor:
            operator = self._take()
            left = self._apply(operator, left, self._expression(rank - 1 if operator.text == "^" else rank))
        self._depth -= 1
        return left

    def _signed(self) -> float:
        if self._peek().text in ("+", "-"):
            sign = -1.0 if self._take().text == "-" else 1.0
            return sign * self._expression(_UNARY)
        return self._operand()

    def _operand(self) -> float:
        token = self._take()
        if token.kind == "number":
            return float(token.value)
        if token.kind == "duration":
            return float(token.value) / 1000
        if token.text == "(":
            inner = self._expression(0)
            self._expect(")")
            return inner
        if token.kind == "ident":
            return self._function(token)
        raise self._error(token, f"unexpected {describe(token)} in duration expression")

    def _function(self, name: Token) -> float:
        if name.word not in ("step", "range", "min_of", "max_of"):
            raise self._error(name, f"unexpected {describe(name)} in duration expression")
        self._expect("(")
        if name.word in ("step", "range"):
            self._expect(")")
            window = self._window
            return (window.step_ms if name.word == "step" else window.end_ms - window.start_ms) / 1000
        first = self._expression(0)
        self._expect(",")
        second = self._expression(0)
        self._expect(")")
        return min(first, second) if name.word == "min_of" else max(first, second)

    def _apply(self, operator: Token, left: float, right: float) -> float:
        match operator.text:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
            case "^":
                return self._power(operator, left, right)
        if right == 0:
            raise self._error(operator, "division by zero" if operator.text == "/" else "modulo by zero")
        try:
            return left / right if operator.text == "/" else math.fmod(left, right)
        except (OverflowError, ValueError):
            return math.nan

    def _power(self, operator: Token, left: float, right: float) -> float:
        try:
            return math.pow(left, right)
        except OverflowError:
            return math.inf
        except ValueError:
            raise self._error(operator, "duration is not a number") from None

    def _milliseconds(self, seconds: float, first: int) -> int:
        start = self._tokens[first]
        if math.isnan(seconds) or math.isinf(seconds):
            raise self._error(start, "duration is infinite or not a number")
        if abs(seconds) > _MAX_S:
            raise self._error(start, "duration out of range")
        lone = all(token.kind == "op" for token in self._tokens[first : self.at - 1])
        return round(seconds * 1000) if lone else int(seconds * 1000)  # a lone literal is exact: 1001ms is no 1000.99

    def _peek(self) -> Token:
        return self._tokens[self.at]

    def _take(self) -> Token:
        token = self._tokens[self.at]
        self.at += token.kind != "end"
        return token

    def _expect(self, text: str) -> None:
        token = self._take()
        if token.text != text:
            raise self._error(token, f"unexpected {describe(token)} in duration expression, expected {text!r}")

    def _error(self, token: Token, message: str) -> BadQuery:
        return parse_error(self._text, token.pos, message)
