"""A query's tokens to a skeleton that the parser understands, and a table of what was taken out.

Theory of operation. The parser knows precedence, types and arity; it does not know positions, duration expressions,
``1_000``, Go's escapes or RE2, and it panics on some numbers. So everything it gets wrong is read here, left to right,
in two states (an operand comes next, or an operator), and replaced by a placeholder that carries a number: a selector
``foo{a="b"}`` becomes ``m7``, a literal ``7``, a range ``[7]``, an offset ``offset 7``, a label list ``(g7)``. Entry 7
of the table then says what stood there and where. Names of functions and aggregations stay, in order. Unexpected
words are found here, so their errors have a column; what remains for the parser are errors of types and arity.

The parser and its tree's destructor recurse on the C stack, so depth is bounded before it sees anything.
Source: Prometheus ``promql/parser/generated_parser.y``, ``lex.go``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from agentgauge.errors import BadQuery, NotSupported
from agentgauge.model.labels import Matcher
from agentgauge.promql import features
from agentgauge.promql.durations import Durations
from agentgauge.promql.matchers import Cursor, read_label_list, read_selector
from agentgauge.promql.nodes import At, AtEdge, Window
from agentgauge.promql.tokens import Token, describe, tokens

MAX_DEPTH = 200

AGGREGATES = frozenset({
    "sum", "avg", "count", "min", "max", "group", "stddev", "stdvar", "topk", "bottomk", "quantile", "count_values",
    "limitk", "limit_ratio",
})  # fmt: skip
EXPERIMENTAL_AGGREGATES = frozenset({"limitk", "limit_ratio"})
EXPERIMENTAL_FUNCTIONS = frozenset({
    "double_exponential_smoothing", "end", "histogram_quantiles", "mad_over_time", "max_of", "min_of", "range",
    "sort_by_label", "sort_by_label_desc", "start", "step", "ts_of_first_over_time", "ts_of_last_over_time",
    "ts_of_max_over_time", "ts_of_min_over_time",
})  # fmt: skip
WINDOW_FUNCTIONS = frozenset({"start", "end", "range", "step"})
_REFUSED = {
    "info": "info()",
    "start_timestamp": "start_timestamp()",
    "anchored": "the anchored modifier",
    "smoothed": "the smoothed modifier",
    "</": "the trim operator </",
    ">/": "the trim operator >/",
}
_FAR_MS = 9_200_000_000_000_000_000  # leaves room to add every offset of a query within an int64
_SET_OPERATORS = frozenset({"and", "or", "unless"})
_OPERATORS = frozenset({"+", "-", "*", "/", "%", "^", "==", "!=", "<", ">", "<=", ">=", "and", "or", "unless", "atan2"})
_FILLS = frozenset({"fill", "fill_left", "fill_right"})
_NEVER_A_METRIC = frozenset(
    {"bool", "on", "ignoring", "group_left", "group_right", "atan2"}
)  # the keywords that Prometheus' grammar does not take as metric names


@dataclass(frozen=True, slots=True)
class SelectorEntry:
    """What an instant selector said."""

    matchers: tuple[Matcher, ...]
    pos: int


@dataclass(frozen=True, slots=True)
class LiteralEntry:
    """A number, string, duration in ms, time in ms or edge, with where it stood."""

    value: float | str | AtEdge | None
    pos: int


@dataclass(frozen=True, slots=True)
class NamesEntry:
    """A list of label names."""

    names: tuple[str, ...]


Entry: TypeAlias = SelectorEntry | LiteralEntry | NamesEntry


@dataclass(slots=True)
class Skeleton:
    """The text for the parser, and what its placeholders stand for."""

    text: str = ""
    entries: list[Entry] = field(default_factory=lambda: [NamesEntry(())])  # entry 0 is no placeholder
    names: list[Token] = field(default_factory=list)  # functions and aggregations, in order
    parens: list[int] = field(default_factory=list)  # positions of grouping parentheses, in order
    signs: dict[int, int] = field(default_factory=dict)  # position of an operand or sign -> the sign before it
    minus: set[int] = field(default_factory=set)  # positions of the signs that are minus


@dataclass(frozen=True, slots=True)
class Gates:
    """Which optional parts of the language are on."""

    experimental_functions: bool = False
    fill_modifiers: bool = False
    fold_window: bool = True


@dataclass(slots=True)
class _Level:
    kind: str
    operators: int = 0


def rewrite(text: str, window: Window, gates: Gates) -> Skeleton:
    """Replace all that the parser gets wrong by placeholders.

    Raises:
        BadQuery: an unexpected word, a bad literal, too deep.
        NotSupported: stable PromQL that the embedded engine leaves out.
    """
    return _Rewriter(text, window, gates).run()


class _Rewriter:
    """One pass over the tokens; ``_operand`` and ``_operator`` are the two states."""

    def __init__(self, text: str, window: Window, gates: Gates) -> None:
        self._cursor = Cursor(text, tokens(text))
        self._window = window
        self._gates = gates
        self._durations = Durations(text, self._cursor.tokens, window)
        self._out: list[str] = []
        self._levels = [_Level("query")]
        self._depth = 0
        self._made = Skeleton()
        self._sign: int | None = None

    def run(self) -> Skeleton:
        if self._peek().kind == "end":
            raise self._error(self._peek(), "no expression found in input")
        operand = True
        while self._peek().kind != "end" or operand:
            operand = self._operand() if operand else self._operator()
        if len(self._levels) > 1:
            raise self._error(self._peek(), "unclosed left parenthesis")
        self._made.text = " ".join(self._out)
        return self._made

    # -- an operand comes next ------------------------------------------------------------------------------------

    def _operand(self) -> bool:
        token = self._peek()
        if token.text in ("+", "-"):
            self._deeper(token)
            self._note_sign(token.pos)
            if token.text == "-":
                self._made.minus.add(token.pos)
            self._sign = token.pos
            self._emit(self._take().text)
            return True
        if token.kind in ("number", "duration", "string"):
            self._literal(self._take())
            return False
        if token.text == "(":
            self._note_sign(token.pos)
            self._made.parens.append(token.pos)
            self._open("group")
            return True
        if token.text == "{":
            self._note_sign(token.pos)
            self._selector(None)
            return False
        if token.kind == "ident":
            return self._name(self._take())
        if (
            token.text == ")"
            and self._levels[-1].kind in ("call", "aggregate")
            and self._cursor.tokens[self._cursor.at - 1].text == "("
        ):
            return False
        raise self._cursor.unexpected(token)

    def _literal(self, token: Token) -> None:
        self._note_sign(token.pos)
        value = float(token.value) / 1000 if token.kind == "duration" else token.value
        placeholder = self._entry(LiteralEntry(value, token.pos))
        self._emit(f'"{placeholder}"' if token.kind == "string" else str(placeholder))

    def _name(self, token: Token) -> bool:
        self._note_sign(token.pos)
        follows = self._peek()
        if token.word in AGGREGATES and (follows.text == "(" or follows.word in ("by", "without")):
            return self._aggregate(token)
        if follows.text == "(":
            return self._call(token)
        if token.word in _NEVER_A_METRIC:
            raise self._cursor.unexpected(token)
        self._selector(token)
        return False

    def _aggregate(self, token: Token) -> bool:
        if token.word in EXPERIMENTAL_AGGREGATES and not self._gates.experimental_functions:
            flag = f"must be enabled with --enable-feature={features.EXPERIMENTAL_FUNCTIONS}"
            raise self._error(token, f"{token.word}() is experimental and {flag}")
        self._made.names.append(token)
        self._emit(token.word)
        if self._peek().text != "(":
            self._emit(self._take().word)
            self._label_list()
        if self._peek().text != "(":
            raise self._cursor.unexpected(self._peek())
        self._open("aggregate")
        return True

    def _call(self, token: Token) -> bool:
        name = token.word if token.word in WINDOW_FUNCTIONS or token.word in ("min_of", "max_of") else token.text
        if name in EXPERIMENTAL_FUNCTIONS and not self._gates.experimental_functions:
            flag = f"it needs --enable-feature={features.EXPERIMENTAL_FUNCTIONS}"
            raise self._error(token, f'function "{name}" is not enabled; {flag}')
        self._refuse(name)
        if name in WINDOW_FUNCTIONS and self._gates.fold_window and self._cursor.follows(")"):
            self._cursor.at += 2
            self._emit(str(self._entry(LiteralEntry(self._window_value(name), token.pos))))
            return False
        self._made.names.append(token)
        self._emit(name)
        self._open("call")
        return True

    def _window_value(self, name: str) -> float:
        window = self._window
        ms = {
            "start": window.start_ms,
            "end": window.end_ms,
            "range": window.end_ms - window.start_ms,
            "step": window.step_ms,
        }[name]
        return ms / 1000

    # -- an operator comes next -----------------------------------------------------------------------------------

    def _operator(self) -> bool:
        token = self._peek()
        if token.text == ")":
            return self._close()
        if token.text == "," and self._levels[-1].kind in ("call", "aggregate"):
            self._depth -= self._levels[-1].operators
            self._levels[-1].operators = 0
            self._emit(self._take().text)
            return self._trailing_comma()
        if token.text == "[":
            self._brackets()
            return False
        if token.text == "@":
            self._at_modifier()
            return False
        if token.word == "offset":
            self._emit(self._take().word)
            ms = self._durations.offset(self._cursor.at)
            self._cursor.at = self._durations.at
            self._emit(str(self._entry(LiteralEntry(ms, token.pos))))
            return False
        self._refuse(token.word)
        if token.word in _OPERATORS:
            self._deeper(token)
            self._emit(self._take().word)
            self._binary_modifiers(token.word)
            return True
        raise self._cursor.unexpected(token)

    def _trailing_comma(self) -> bool:
        if self._peek().text == ")":
            raise self._error(self._peek(), "trailing commas not allowed in function call args")
        return True

    def _close(self) -> bool:
        level = self._levels.pop()
        if level.kind == "query":
            raise self._error(self._peek(), 'unexpected right parenthesis ")"')
        self._depth -= level.operators + 1
        self._emit(self._take().text)
        if level.kind == "aggregate" and self._peek().word in ("by", "without") and self._cursor.follows("("):
            self._emit(self._take().word)
            self._label_list()
        return False

    def _brackets(self) -> None:
        self._take()
        first = self._peek()
        range_ms = self._durations.whole(self._cursor.at)
        self._cursor.at = self._durations.at
        parts = ["[", str(self._entry(LiteralEntry(range_ms, first.pos)))]
        if self._peek().text == ":":
            parts.append(self._take().text)
            if self._peek().text != "]":
                step = self._peek()
                step_ms = self._durations.whole(self._cursor.at)
                self._cursor.at = self._durations.at
                parts.append(str(self._entry(LiteralEntry(step_ms, step.pos))))
        self._expect("]", "in subquery or range selector")
        self._emit(" ".join([*parts, "]"]))

    def _at_modifier(self) -> None:
        self._emit(self._take().text)
        token = self._take()
        at: At = None
        if token.word in ("start", "end"):
            self._expect("(", "in @")
            self._expect(")", "in @")
            at = AtEdge.START if token.word == "start" else AtEdge.END
        else:
            sign = 1.0
            if token.text in ("+", "-"):
                sign = -1.0 if token.text == "-" else 1.0
                token = self._take()
            if token.kind not in ("number", "duration"):
                raise self._error(token, f"unexpected {describe(token)} in @, expected timestamp")
            at = self._time_ms(token, sign)
        self._emit(str(self._entry(LiteralEntry(at, token.pos))))

    def _time_ms(self, token: Token, sign: float) -> int:
        seconds = sign * float(token.value) / (1000 if token.kind == "duration" else 1)
        if not abs(seconds) < 2**63 / 1000:  # Prometheus refuses what an int64 of ms cannot hold; NaN lands here too
            raise self._error(token, f"timestamp out of bounds for @ modifier: {seconds:f}")
        t_ms = int(seconds * 1000 + (0.5 if seconds >= 0 else -0.5))
        return max(-_FAR_MS, min(_FAR_MS, t_ms))

    def _binary_modifiers(self, operator: str) -> None:
        if self._peek().word == "bool":
            self._emit(self._take().word)
        on: tuple[str, ...] | None = None
        matching = self._peek()
        if matching.word in ("on", "ignoring") and self._cursor.follows("("):
            self._emit(self._take().word)
            on = self._label_list()
            if self._peek().word in ("group_left", "group_right"):
                group = self._take()
                self._emit(group.word)
                include = self._label_list() if self._peek().text == "(" else self._no_labels()
                clash = sorted(set(on) & set(include)) if matching.word == "on" else []
                if clash:
                    raise self._error(group, f'label "{clash[0]}" must not occur in ON and GROUP clause at once')
        while self._peek().word in _FILLS and self._cursor.follows("("):
            self._fill(operator)

    def _fill(self, operator: str) -> None:
        token = self._take()
        if not self._gates.fill_modifiers:
            flag = f"they need --enable-feature={features.FILL_MODIFIERS}"
            raise self._error(token, f"binop fill modifiers are experimental and not enabled; {flag}")
        if operator in _SET_OPERATORS:
            raise self._error(token, "filling in missing series not allowed for set operators")
        self._expect("(", "in fill modifier")
        negative = False
        while self._peek().text in ("+", "-"):
            negative ^= self._take().text == "-"
        number = self._take()
        if number.kind not in ("number", "duration"):
            raise self._error(number, f"unexpected {describe(number)} in fill modifier, expected number")
        value = float(number.value) / (1000 if number.kind == "duration" else 1)
        self._expect(")", "in fill modifier")
        self._emit(f"{token.word} ({self._entry(LiteralEntry(-value if negative else value, number.pos))})")

    # -- selectors and label lists, read elsewhere ----------------------------------------------------------------

    def _selector(self, name: Token | None) -> None:
        pos = (name or self._peek()).pos
        self._emit(f"m{self._entry(SelectorEntry(read_selector(self._cursor, name), pos))}")

    def _label_list(self) -> tuple[str, ...]:
        names = read_label_list(self._cursor)
        self._emit(f"(g{self._entry(NamesEntry(names))})" if names else "()")
        return names

    def _no_labels(self) -> tuple[str, ...]:
        self._emit("()")
        return ()

    # -- the machine ----------------------------------------------------------------------------------------------

    def _peek(self) -> Token:
        return self._cursor.peek()

    def _take(self) -> Token:
        return self._cursor.take()

    def _expect(self, text: str, where: str) -> None:
        self._cursor.expect(text, where)

    def _emit(self, text: str) -> None:
        self._out.append(text)

    def _entry(self, entry: Entry) -> int:
        self._made.entries.append(entry)
        return len(self._made.entries) - 1

    def _open(self, kind: str) -> None:
        self._depth += 1
        self._levels.append(_Level(kind))
        self._check_depth(self._peek())
        self._emit(self._take().text)

    def _deeper(self, token: Token) -> None:
        self._depth += 1
        self._levels[-1].operators += 1
        self._check_depth(token)

    def _check_depth(self, token: Token) -> None:
        if self._depth > MAX_DEPTH:
            raise self._error(token, f"expression is nested deeper than {MAX_DEPTH} levels or operators in a row")

    def _note_sign(self, pos: int) -> None:
        if self._sign is not None:
            self._made.signs[pos] = self._sign
            self._sign = None

    def _refuse(self, word: str) -> None:
        if word in _REFUSED:
            where = f"{_REFUSED[word]} is not supported by the embedded engine"
            raise NotSupported(f"{where}; query a Prometheus by URL")

    def _error(self, token: Token, message: str) -> BadQuery:
        return self._cursor.error(token, message)
