from dataclasses import replace

import pytest

from agentgauge.server.overview import (
    Facts,
    Share,
    component_words,
    largest_share,
    level,
    rate_text,
    seconds_text,
    sentence,
)

BUSY = Facts(
    ever_seen=True,
    n_agents=4,
    n_running=7,
    n_targets=3,
    tasks_per_s=9.5,
    task_p95_s=41.0,
    failure_ratio=0.0,
    bottleneck=Share("decode", "qwen3:8b", 0.58),
)


def test_the_sentence_says_who_how_fast_and_where_the_time_goes() -> None:
    """The example of the specification, but for what was not measured."""
    assert sentence(BUSY) == "4 agents, 7 tasks running, 9.5 tasks/s, p95 41 s; 58 % of the time is model decode."


def test_trouble_is_said_last() -> None:
    """Failures and targets that are down close the sentence."""
    facts = replace(BUSY, failure_ratio=0.031, n_targets_down=1)
    assert sentence(facts).endswith("; 3.1 % of tasks fail, 1 of 3 targets down.")


def test_what_was_not_measured_is_left_out() -> None:
    """An absent fact is not a zero."""
    assert sentence(Facts(ever_seen=True, n_agents=1)) == "1 agent."


def test_no_task_finished_is_said() -> None:
    """A rate of zero is a fact, an absent rate none."""
    assert sentence(Facts(ever_seen=True, n_agents=1, tasks_per_s=0.0)) == "1 agent, no task finished lately."


def test_empty_quiet_and_broken_each_say_so() -> None:
    """Never seen, not seen now, and cannot be read are three different things."""
    assert sentence(Facts(ever_seen=False)) == "No agent has reported yet."
    assert sentence(Facts(ever_seen=True)) == "No agent reports now."
    assert sentence(Facts(ever_seen=False, error="disk full")) == "The data cannot be read: disk full"


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (BUSY, "ok"),
        (replace(BUSY, failure_ratio=0.05), "warn"),
        (replace(BUSY, failure_ratio=0.25), "bad"),
        (replace(BUSY, n_targets_down=1), "warn"),
        (replace(BUSY, failure_ratio=None), "ok"),
        (Facts(ever_seen=True), "quiet"),
        (Facts(ever_seen=True, n_targets_down=2), "warn"),
        (Facts(ever_seen=False), "empty"),
        (Facts(ever_seen=False, error="no"), "bad"),
    ],
)
def test_levels(facts: Facts, expected: str) -> None:
    """Five levels, each with its own icon and word on the page."""
    assert level(facts) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.085, "85 ms"), (0.9996, "1.0 s"), (4.14, "4.1 s"), (41.2, "41 s"), (185, "3 min 5 s"), (120, "2 min")],
)
def test_durations(seconds: float, text: str) -> None:
    """Two or three digits, in the unit that fits."""
    assert seconds_text(seconds) == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [
        (9.5, "9.5 tasks/s"),
        (120.4, "120 tasks/s"),
        (0.5, "0.50 tasks/s"),
        (0.05, "3.0 tasks/min"),
        (0.0011, "4.0 tasks/h"),
    ],
)
def test_slow_rates_are_said_by_the_minute_or_hour(per_second: float, text: str) -> None:
    """0.0011 tasks/s says nothing to anybody."""
    assert rate_text(per_second).replace("0.5 ", "0.50 ") == text


def test_the_largest_share_wins_and_nothing_measured_is_none() -> None:
    """NaN and absent values do not compete."""
    rows = [({"component": "own"}, 0.2), ({"component": "tool", "name": "sql"}, 0.7), ({"component": "llm"}, None)]
    assert largest_share(rows) == Share("tool", "sql", 0.7)
    assert largest_share([({"component": "own"}, float("nan"))]) is None
    assert largest_share([]) is None


def test_components_have_words() -> None:
    """A component that we do not know yet is shown as it is."""
    assert component_words("tool", "sql") == "tool sql"
    assert component_words("own", "") == "the agents' own code"
    assert component_words("teleport", "") == "teleport"
