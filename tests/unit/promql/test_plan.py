"""Text to nodes and back: traps of the parser, positions, gates, limits."""

from __future__ import annotations

import contextlib
import math
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentgauge.errors import BadQuery, NotSupported
from agentgauge.promql.features import FEATURES
from agentgauge.promql.nodes import (
    Aggregate,
    AtEdge,
    Binary,
    Call,
    Negate,
    Node,
    Number,
    Paren,
    Range,
    Selector,
    String,
    Subquery,
    Window,
)
from agentgauge.promql.plan import PlanOptions, plan, selector_matchers
from agentgauge.promql.render import render_node

WINDOW = Window(50_000, 60_000, 5_000)
ALL = PlanOptions(experimental_functions=True, fill_modifiers=True)


def planned(text: str) -> Node:
    return plan(text, WINDOW, ALL)


def refused(text: str, options: PlanOptions = ALL) -> str:
    with pytest.raises(BadQuery) as caught:
        plan(text, WINDOW, options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("sum(rate(a_total[5m]))by(x,y)", "sum by (x, y) (rate(a_total[5m]))"),
        ("sum without () (a)", "sum without () (a)"),
        ("a{y='2',x=~\"1\"}", 'a{x=~"1",y="2"}'),
        ('{"foo.bar", "l.x"="v"}', '{"l.x"="v",__name__="foo.bar"}'),
        ("a offset -5m @ 1.5", "a @ 1.500 offset -5m"),
        ("a[90m:1m30s] @ end()", "a[1h30m:1m30s] @ end()"),
        ("a[5m:]", "a[5m:]"),
        ("a*on(x)group_left b", "a * on (x) group_left () b"),
        ("a==bool ignoring(y)b", "a == bool ignoring (y) b"),
        ("a + fill(0) b", "a + fill (0) b"),
        ("a + fill_right(-Inf) b", "a + fill_right (-Inf) b"),
        ("-a^2", "-a ^ 2"),
        ("topk(1e3, a)", "topk(1000, a)"),
        ("count_values('v', a)", 'count_values("v", a)'),
        ("1_000 + 0x1F + 010 + .5", "1000 + 31 + 8 + 0.5"),
        ("foo # comment\n + 1", "foo + 1"),
        ("1h", "3600"),
        ("sum", "sum"),
        ("by", '{__name__="by"}'),
        (r'"a\"\n\x00é\xff"', r'"a\"\n\x00é\xff"'),
    ],
)
def test_canonical_text(text: str, canonical: str) -> None:
    """A query prints as Prometheus prints it, and the print plans to the same nodes."""
    assert render_node(planned(text)) == canonical
    assert planned(canonical) == planned(text)


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [("a @ -5", -5000), ("a @ -0.0015", -2), ("a @ 1e15", 10**18), ("a @ 253402300800", 253402300800000)],
)
def test_at_takes_any_time(text: str, at_ms: int) -> None:
    """Negative times and times past the year 9999 neither panic nor change."""
    node = planned(text)
    assert isinstance(node, Selector)
    assert node.at == at_ms


def test_at_edges_and_folding() -> None:
    """@ keeps start() and end() as edges; elsewhere the window's functions become numbers."""
    node = planned("a @ START()")
    assert isinstance(node, Selector)
    assert node.at is AtEdge.START
    assert [planned(f"{name}()") for name in ("start", "end", "range", "step")] == [
        Number(50.0), Number(60.0), Number(10.0), Number(5.0)
    ]  # fmt: skip
    assert plan("step()", WINDOW, PlanOptions(experimental_functions=True, fold_window=False)) == Call("step", ())


@pytest.mark.parametrize(
    ("text", "range_ms", "step_ms"),
    [
        ("a[2m*(10+5)]", 1_800_000, None),
        ("a[1001ms]", 1001, None),
        ("a[-5m+35m]", 1_800_000, None),
        ("a[2^3^0]", 2000, None),
        ("a[1h30m % 1h]", 1_800_000, None),
        ("a[STEP()+1:Range()/2]", 6000, 5000),
        ("a[max_of(min_of(step(), 1s), 10ms)]", 1000, None),
        ("a[300]", 300_000, None),
    ],
)
def test_duration_expressions(text: str, range_ms: int, step_ms: int | None) -> None:
    """Durations are folded as 3.14 does."""
    node = planned(text)
    if step_ms is None:
        assert isinstance(node, Range)
    else:
        assert isinstance(node, Subquery)
        assert node.step_ms == step_ms
    assert node.range_ms == range_ms


def test_offset_without_parentheses_takes_one_literal() -> None:
    """What follows the literal is arithmetic on the selector."""
    node = planned("a offset -step() * 2")
    assert isinstance(node, Binary)
    assert isinstance(node.left, Selector)
    assert node.left.offset_ms == -5000
    assert planned("a offset (-2 ^ 2)") == planned("a offset -4s")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "1:1: parse error: no expression found in input"),
        ("1 +", "1:4: parse error: unexpected end of input"),
        ("foo bar", '1:5: parse error: unexpected identifier "bar"'),
        ("é + foo bar", "1:1: parse error: unexpected character: 'é'"),
        ('{x="é"} bar', '1:10: parse error: unexpected identifier "bar"'),
        ("foo\n  bar", '2:3: parse error: unexpected identifier "bar"'),
        ("1e400", None),
        ("foo{", None),
        ("{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        ('{a=~".*"}', "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        ('{a="b" or c="d"}', None),
        ('a{b=~"x{1001}"}', None),
        ('a{b=~"(?=x)"}', None),
        ('a{b=~"("}', "1:6: parse error: error parsing regexp: missing closing ): `(`"),
        ("rate(a)", '1:1: parse error: expected type range vector in call to function "rate", got instant vector'),
        ("1 + abs()", '1:5: parse error: expected 1 argument(s) in call to "abs", got 0'),
        ("nofunc(a)", '1:1: parse error: unknown function with name "nofunc"'),
        ("1 == 1", "1:1: parse error: comparisons between scalars must use BOOL modifier"),
        ("a[0s]", "1:3: parse error: duration must be greater than 0"),
        ("a[1/0]", "1:4: parse error: division by zero"),
        ("a[1e300]", "1:3: parse error: duration out of range"),
        ("a[-1^0.5]", "1:3: parse error: duration must be greater than 0"),
        ("a offset 5m offset 6m", None),
        ("a @ 1 @ 2", None),
        ("a @ inf", None),
        ('foo{__name__="bar"}', None),
        ("a + on(x) group_left(x) b", '1:11: parse error: label "x" must not occur in ON and GROUP clause at once'),
        ("a and fill(0) b", "1:7: parse error: filling in missing series not allowed for set operators"),
        ('"\\xg"', None),
        ('"abc', "1:1: parse error: unterminated quoted string"),
        ("sum(a,)", None),
        ('sum by ("\\xff") (a)', None),
        ("(a", "1:3: parse error: unclosed left parenthesis"),
        ("a)", None),
    ],
)
def test_errors_and_their_columns(text: str, error: str | None) -> None:
    """What is not PromQL is refused, with line and byte column where they are known."""
    message = refused(text)
    assert ": parse error: " in message
    assert error is None or message == error


@pytest.mark.parametrize(
    "text", ["info(a)", "a anchored", "rate(a[5m] smoothed)", "a </ 5", "a >/ 5", "start_timestamp(a)"]
)
def test_what_v1_leaves_out_is_named(text: str) -> None:
    """Stable PromQL that the engine lacks says so and names the way out."""
    with pytest.raises(NotSupported, match="is not supported by the embedded engine; query a Prometheus by URL"):
        planned(text)


def test_gates() -> None:
    """Experimental parts are off by default, with Prometheus' words and the flag that switches them on."""
    off = PlanOptions()
    message = '1:1: parse error: function "mad_over_time" is not enabled; it needs --enable-feature='
    assert refused("mad_over_time(a[5m])", off) == message + "promql-experimental-functions"
    assert "limitk() is experimental and must be enabled" in refused("limitk(1, a)", off)
    assert "fill modifiers are experimental" in refused("a + fill(0) b", off)
    named = [refused(text, off).rpartition("=")[2] for text in ("step()", "limitk(1, a)", "a + fill(0) b")]
    assert set(named) <= set(FEATURES)
    assert render_node(plan("a[step() + 1s]", Window(0, 0, 1000), off)) == "a[2s]"


def test_positions_are_bytes_of_the_start() -> None:
    """A node knows where it starts: calls, aggregations, parentheses, signs, and the left side of an operation."""
    node = planned('foo{x="é"} + -(sum by (a) (rate(b[5m])) / 2)')
    assert isinstance(node, Binary)
    assert node.pos == 0
    negate = node.right
    assert isinstance(negate, Negate)
    assert (negate.pos, negate.expr.pos) == (14, 15)
    paren = negate.expr
    assert isinstance(paren, Paren)
    inside = paren.expr
    assert isinstance(inside, Binary)
    assert (inside.pos, inside.right.pos) == (16, 43)
    aggregate = inside.left
    assert isinstance(aggregate, Aggregate)
    assert aggregate.expr.pos == 28


def test_strings_keep_bytes() -> None:
    """Go's byte escapes stay bytes, back-quoted text stays as it is."""
    assert planned(r'"\xff"') == String("\udcff")
    assert planned(r'"\xc3\xa9\u00e9\351"') == String("éé\udce9")
    assert planned(r"`\xff`") == String(r"\xff")


def test_selector_matchers() -> None:
    """match[] takes selectors only."""
    assert [m.value for m in selector_matchers('up{a="b"}')] == ["up", "b"]
    for text in ("rate(a[5m])", "a[5m]", "a offset 5m", "1", "a @ 5"):
        with pytest.raises(BadQuery):
            selector_matchers(text)


# -- properties and fuzz ----------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "foo_total", "sum", "x:y", "offset"])
LABELS = st.sampled_from(["l", "job", "by", "utf-8 label", "le"])
TEXTS = st.text(max_size=6)
NUMBERS = st.one_of(st.floats(0, 1e9), st.just(math.inf), st.integers(0, 10**6).map(float))
DURATIONS = st.integers(1, 10**9).map(lambda ms: f"{ms}ms")


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r") + '"'


@st.composite
def selectors(draw: st.DrawFn) -> str:
    name = draw(NAMES)
    pairs = draw(st.lists(st.tuples(LABELS, st.sampled_from(["=", "!="]), TEXTS), max_size=3))
    inside = ",".join(f"{quoted(label)}{op}{quoted(value)}" for label, op, value in pairs)
    return f"{name}{{{inside}}}" if pairs else name


@st.composite
def modifiers(draw: st.DrawFn) -> str:
    offset = draw(
        st.one_of(st.just(""), DURATIONS.map(lambda d: f" offset {d}"), DURATIONS.map(lambda d: f" offset -{d}"))
    )
    at = draw(st.sampled_from(["", " @ 12.5", " @ -3", " @ start()", " @ end()"]))
    return draw(st.sampled_from([offset + at, at + offset]))


def vectors() -> st.SearchStrategy[str]:
    plain = st.builds(lambda s, m: s + m, selectors(), modifiers())
    return st.recursive(plain, _larger, max_leaves=6)


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["+", "-", "*", "/", "%", "^", "==", "> bool", "atan2", "and", "unless on(l)"])
    grouping = st.sampled_from(["", "by (l, job)", "without ()", 'by ("utf-8 label")'])
    return st.one_of(
        st.builds(lambda a, op, b: f"({a}) {op} ({b})", inner, operators, inner),
        st.builds(lambda a, op, n: f"({a}) {op} {n!r}", inner, st.sampled_from(["+", "^", "<"]), NUMBERS),
        st.builds(lambda a: f"-{a}", inner),
        st.builds(lambda a: f"({a})", inner),
        st.builds(lambda g, a: f"sum {g} ({a})", grouping, inner),
        st.builds(lambda n, a: f"topk({n!r}, {a})", NUMBERS, inner),
        st.builds(lambda a, b: f"({a}) * on(l) group_left(job) ({b})", inner, inner),
        st.builds(lambda a, d, m: f"max_over_time(({a})[{d}:1m]{m})", inner, DURATIONS, modifiers()),
        st.builds(lambda s, d, m: f"rate({s}[{d}]{m})", selectors(), DURATIONS, modifiers()),
        st.builds(lambda a, t: f'label_replace({a}, "x", {quoted(t)}, "y", "(.*)")', inner, TEXTS),
    )


@given(vectors())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_print_and_plan_again_is_the_same(text: str) -> None:
    """plan(render(plan(q))) == plan(q), and printing again changes nothing."""
    node = planned(text)
    printed = render_node(node)
    assert planned(printed) == node
    assert render_node(planned(printed)) == printed


WORDS = st.sampled_from(
    [
        "a",
        "sum",
        "rate",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "@",
        "+",
        "-",
        "*",
        "/",
        "^",
        "==",
        "=~",
        "=",
        "!=",
        "and",
        "or",
        "unless",
        "on",
        "ignoring",
        "group_left",
        "bool",
        "by",
        "offset",
        "5m",
        "1",
        "1e400",
        "-5",
        "start()",
        "step()",
        '"x"',
        "'y'",
        "`",
        '"',
        "fill(",
        "nan",
        "inf",
        "0x",
        "1_",
        "�",
        "é",
        "\n",
        "#",
        '{a="b"}',
        "[5m]",
        "[5m:1m]",
        "\\",
        "min_of(",
        "</",
        "anchored",
        "limitk",
        "info",
        "9999999999999999999",
        "@-1",
        "sum",
        "by(x)",
    ]
)


@given(
    st.one_of(
        st.text(max_size=80), st.lists(WORDS, max_size=25).map(" ".join), st.lists(WORDS, max_size=25).map("".join)
    )
)
@settings(max_examples=400, deadline=2000)
def test_any_text_plans_or_is_refused(text: str) -> None:
    """Whatever the text, nothing escapes but the two errors."""
    try:
        planned(text)
    except (BadQuery, NotSupported):
        return


@given(st.binary(max_size=60))
@settings(max_examples=150, deadline=2000)
def test_any_bytes_plan_or_are_refused(raw: bytes) -> None:
    """Bytes that are not UTF-8, as the HTTP API hands them on, neither."""
    try:
        planned(raw.decode("utf-8", "surrogateescape"))
    except (BadQuery, NotSupported):
        return


HOSTILE = {
    "megabyte": "a" * 2**20,
    "parens": "(" * 30_000,
    "closed parens": "(" * 20_000 + "a" + ")" * 20_000,
    "chain": "+".join(["a"] * 30_000),
    "powers": "^".join(["1"] * 30_000),
    "signs": "-" * 60_000 + "a",
    "calls": "abs(" * 15_000 + "a" + ")" * 15_000,
    "subqueries": "max_over_time(" * 3000 + "a" + "[1m:1s])" * 3000,
    "durations": "a[" + "(" * 30_000 + "1" + ")" * 30_000 + "]",
    "duration powers": "a[" + "9^" * 20_000 + "9]",
    "duration signs": "a[" + "-" * 60_000 + "1]",
    "sets": "".join("{" for _ in range(60_000)),
    "regex nests": 'a{b=~"' + "(" * 20_000 + ")" * 20_000 + '"}',
    "regex sizes": 'a{b=~"' + "(x{500}){2}" * 5000 + '"}',
    "groups": "sum by (a) (" * 5000 + "x" + ")" * 5000,
    "matchers": "a{" + ",".join(f'l{i}="1"' for i in range(6000)) + "}",
    "strings": '"' + "\\x41" * 16_000,
    "big number": "1" * 60_000,
    "lone surrogate": '"\ud800"',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_ends_soon(name: str) -> None:
    """Deep, long and broken texts end in an answer or an error within two seconds, without a crash."""
    started = time.process_time()
    with contextlib.suppress(BadQuery, NotSupported):
        planned(HOSTILE[name])
    assert time.process_time() - started < 2.0


def test_depth_limit_is_200() -> None:
    """200 levels are planned, 201 are refused."""
    planned("(" * 200 + "a" + ")" * 200)
    planned("+".join(["a"] * 201))
    assert "nested deeper than 200" in refused("(" * 201 + "a" + ")" * 201)
    assert "nested deeper than 200" in refused("+".join(["a"] * 202))
