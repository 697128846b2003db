"""Counts and what is waited for, in words."""

from __future__ import annotations

import pytest

from agentgauge.why.words import counted, waits_words


@pytest.mark.parametrize(("value", "words"), [(1, "1 call"), (2, "2 calls"), (0.4, "0.40 calls"), (1.5, "1.5 calls")])
def test_counts_have_their_noun(value: float, words: str) -> None:
    """One call, and calls otherwise."""
    assert counted(value, "call") == words


def test_what_an_agent_waits_for_needs_no_glossary() -> None:
    """The phases of a model are said in words, with their name; a tool is itself."""
    assert waits_words(("decode", "m")) == "waits for the model to generate (decode, m)"
    assert waits_words(("queue", "m")) == "waits in the model's queue (queue, m)"
    assert waits_words(("tool", "search")) == "waits for search"


def test_counts_that_read_whole_are_whole() -> None:
    """What ``increase`` extrapolates of one task is one task."""
    assert [counted(value, "task") for value in (1.003, 0.999, 2.04, 2.06)] == [
        "1 task",
        "1 task",
        "2 tasks",
        "2.1 tasks",
    ]


def test_waits_are_named_once() -> None:
    """A bottleneck that is itself a wait is not waited for twice."""
    assert waits_words(("wait", "db slots")) == "waits for db slots"
    assert waits_words(("client_wait", "m")) == "is held back before m"
