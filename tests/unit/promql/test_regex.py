"""RE2's meaning on Python's engine, refusals, and no pattern that runs away."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgauge.errors import BadQuery
from agentgauge.promql.automaton import Automaton
from agentgauge.promql.re2_syntax import parse_re2
from agentgauge.promql.regex import compile_re2


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("a.b", ["a\nb"], ["ab", "xa.b"]),
        ("a(?i)b", ["aB", "ab"], ["AB"]),
        ("[[:alpha:]]+", ["abc"], ["a1", ":"]),
        ("[[:^digit:]]", ["a"], ["1"]),
        (r"\pL+", ["éa"], ["1"]),
        (r"\P{Lu}", ["a"], ["A"]),
        (r"\d{2}", ["12"], ["١٢"]),
        (r"a\z", ["a"], ["a\n"]),
        ("a$", ["a"], ["a\n"]),
        (r"\Qa.b\E+", ["a.bb"], ["axb"]),
        (r"\x{41}\x42\103", ["ABC"], []),
        ("(?P<n>a)|(?<m>b)", ["a", "b"], ["ab"]),
        ("foo|bar|", ["", "foo"], ["foobar"]),
        ("a{,3}", ["a{,3}"], ["aaa"]),
        ("[]a]+", ["]a"], []),
        ("(?U)a+", ["aa"], []),
        ("(?-s).", ["a"], ["\n"]),
        ("(?m)a$\nb", ["a\nb"], []),
        ("(?i)[^a]", ["b"], ["A", "a"]),
        ("((?i)k|s)+", ["K\u212aS"], ["x"]),
        (r"\bfoo\b.*", ["foo bar"], ["foobar"]),
        ("[\\d-]+", ["1-2"], ["a"]),
    ],
)
def test_meaning(pattern: str, matching: list[str], other: list[str]) -> None:
    """Both engines agree on what RE2 says."""
    tree, n_groups = parse_re2(pattern)
    for regex in (compile_re2(pattern), Automaton(pattern, tree, n_groups)):
        assert all(regex.fullmatch(text) for text in matching)
        assert not any(regex.fullmatch(text) for text in other)


@pytest.mark.parametrize(
    "pattern",
    ["(?=a)", "(?!a)", "(?<=a)b", "(?<!a)b", r"(a)\1", "a**", "a++", "*", "a|*", "a{1001}", "(a{100}){100}", "(", ")",
     "[a", "[[:foo:]]", r"\p{Greek}", r"\y", "(?P=n)", "(?>a)", "(?#c)", "a{3,2}", "[b-a]", "(?P<n>a)(?P<n>b)", "\\",
     "(?z)", r"\C", "(?i", r"\x{110000}", r"[\b]", "(?P<é>a)", "(" * 500 + ")" * 500, "x{1000}" * 60],
)  # fmt: skip
def test_refusals(pattern: str) -> None:
    """What RE2 refuses, what v1 lacks and what is too large ends in a BadQuery."""
    with pytest.raises(BadQuery, match="error parsing regexp: "):
        compile_re2(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+b", "(a|aa)+b", "(a*)*b", ".*.*.*.*.*b", "(.*)*(.*)*b", "(a|a?)+b", "(?:a{1,50}){1,20}b", "a*a*a*a*b"],
)
def test_nothing_runs_away(pattern: str) -> None:
    """Patterns that make a backtracking engine explode are answered in time linear in the text."""
    started = time.process_time()
    regex = compile_re2(pattern)
    assert regex.fullmatch("a" * 3000) is None
    assert regex.fullmatch("a" * 900 + "b") is not None
    assert time.process_time() - started < 5.0


def test_groups_of_the_automaton() -> None:
    """Groups are found by preference, unknown ones raise, names may begin with a digit."""
    match = compile_re2("(?:(a+)|(b))+(c)?").fullmatch("aab")
    assert match is not None
    assert [match.group(i) for i in range(4)] == ["aab", "aa", "b", None]
    with pytest.raises(IndexError):
        match.group(4)
    match = compile_re2("(?P<1x>a)(x)?b").fullmatch("ab")
    assert match is not None
    assert (match.group("1x"), match.group(2)) == ("a", None)


PATTERNS = st.recursive(
    st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\w", "^", "$", r"\b"]),
    lambda inner: st.one_of(
        st.builds("({})".format, inner),
        st.builds("(?:{})*".format, inner),
        st.builds("(?:{})??".format, inner),
        st.builds("(?:{}){{1,2}}".format, inner),
        st.builds("{}{}".format, inner, inner),
        st.builds("(?:{}|{})".format, inner, inner),
    ),
    max_leaves=6,
)


@given(PATTERNS, st.text("ab\n ", max_size=6))
@settings(max_examples=200, deadline=None)
def test_both_engines_match_the_same(pattern: str, text: str) -> None:
    """The automaton and Python's engine agree on which texts match."""
    tree, n_groups = parse_re2(pattern)
    python = re.compile(pattern.replace("$", r"\Z").replace(r"\b", r"(?a:\b)"), re.DOTALL | re.ASCII)
    assert bool(Automaton(pattern, tree, n_groups).fullmatch(text)) == bool(python.fullmatch(text))


@given(st.text("ab()[]{}|*+?\\^$.-,1:<>P=!iQEpLxz", max_size=30))
@settings(max_examples=400, deadline=2000)
def test_any_pattern_compiles_or_is_refused(pattern: str) -> None:
    """Whatever the pattern, nothing escapes but a BadQuery."""
    try:
        compile_re2(pattern).fullmatch("ab1")
    except BadQuery:
        return


def test_a_long_list_of_names_is_no_attack() -> None:
    """The alternation that a dashboard's variable makes compiles, whatever its length."""
    regex = compile_re2("|".join(f"host-{i}\\.example" for i in range(2000)))
    assert regex.fullmatch("host-1999.example")
    assert not regex.fullmatch("host-1999xexample")
