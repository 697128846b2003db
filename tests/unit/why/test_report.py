"""From the results of FACTS to the answer: what is named, what is said, what is missing."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pytest

from agentgauge.model.labels import labels_from_mapping
from agentgauge.model.metrics import METRICS
from agentgauge.model.series import StepMatrix, empty_steps
from agentgauge.why.answer import AgentAnswer, Answer, answer_json
from agentgauge.why.queries import FACTS, fill
from agentgauge.why.report import report

Series = dict[tuple[str, ...], float]
"""Label values in the order of the fact's labels -> value."""

HOUR_MS = 3_600_000


def vector(fact_id: str, series: Series) -> StepMatrix:
    labels = [labels_from_mapping(dict(zip(FACTS[fact_id].labels, values, strict=True))) for values in series]
    values = np.array(list(series.values()), np.float64).reshape(-1, 1)
    return StepMatrix(labels, np.array([0], np.int64), values, np.ones_like(values, np.bool_))


def reported(agent: str = "", k: float = 2.0, **facts: Series) -> Answer:
    answers = {fact_id: vector(fact_id, facts[fact_id]) if fact_id in facts else empty_steps() for fact_id in FACTS}
    return report(answers, agent, HOUR_MS, k, {})


def one(**facts: Series) -> AgentAnswer:
    (agent,) = reported(**facts).agents
    return agent


def sides(parts: Mapping[tuple[str, str], float], slo: str = "met", agent: str = "a") -> Series:
    return {(agent, component, name, slo): value for (component, name), value in parts.items()}


TOOL = sides({("own", ""): 10.0, ("tool", "web"): 60.0, ("decode", "m"): 30.0})
TOOL_CALLS = sides({("own", ""): 10.0, ("tool", "web"): 20.0, ("llm", "m"): 20.0})
TOOL_SOLO: Series = {("a", "tool", "web"): 40.0, ("a", "decode", "m"): 20.0, ("a", "own", ""): 10.0}


def test_the_interval_on_screen() -> None:
    """A tool that holds six of ten seconds: two to three are saved, and the sentence says so with its evidence."""
    agent = one(path=TOOL, calls=TOOL_CALLS, solo=TOOL_SOLO)
    assert agent.bottleneck is not None
    assert (agent.bottleneck.kind, agent.bottleneck.key) == ("component", ("tool", "web"))
    part = agent.parts[0]
    assert (part.path_s, part.alone_s, part.calls, part.call_s) == (6.0, 4.0, 2.0, 3.0)
    assert (part.what_if.low_s, part.what_if.high_s) == (2.0, 3.0)
    assert "web: 60 % of the critical path (6.0 s of 10.0 s a task, 2 calls of 3.0 s)" in agent.sentence
    assert "40 % of the time nothing else runs beside it" in agent.sentence
    assert "2× faster saves 20–30 %: 2.0–3.0 s of 10.0 s" in agent.sentence


def test_shares_sum_to_one() -> None:
    """The parts of the path are all of the task."""
    agent = one(path=TOOL, calls=TOOL_CALLS, solo=TOOL_SOLO)
    assert sum(part.path_s for part in agent.parts) == pytest.approx(agent.mean_s)


def test_a_queue_is_its_own_candidate() -> None:
    """A queue outweighs the model behind it, though the model's upper end holds the queue."""
    path = sides({("own", ""): 1.0, ("queue", "m"): 60.0, ("decode", "m"): 39.0})
    agent = one(path=path, calls=sides({("own", ""): 10.0, ("llm", "m"): 10.0}), solo={("a", "queue", "m"): 50.0})
    assert agent.bottleneck is not None
    assert agent.bottleneck.key == ("queue", "m")
    assert "half as long saves" in agent.sentence
    decode = agent.part(("decode", "m"))
    assert decode is not None
    assert decode.what_if.high_s == pytest.approx(3.9 / 2 + 6.0)


LOOP: dict[str, Series] = {
    "path": sides({("own", ""): 1.0, ("tool", "search"): 30.0, ("decode", "m"): 69.0}),
    "calls": sides({("own", ""): 10.0, ("tool", "search"): 70.0, ("llm", "m"): 80.0}),
    "solo": {("a", "decode", "m"): 69.0, ("a", "tool", "search"): 30.0},
    "repeated": {("a", "tool", "search"): 60.0},
}


def test_a_loop_outweighs_the_parts_it_is_made_of() -> None:
    """Six of seven calls repeat: their time and their turns' can be left out whole."""
    agent = one(**LOOP)
    assert agent.bottleneck is not None
    assert (agent.bottleneck.kind, agent.bottleneck.key) == ("loop", ("tool", "search"))
    assert agent.bottleneck.seconds == pytest.approx(3.0 * 6 / 7 + 6.9 * 60 / 80)
    assert agent.sentence.startswith("a repeats itself: 6 calls of search a task (86 % of them)")


def test_a_few_repeats_are_waste_not_the_bottleneck() -> None:
    """One repeat in ten tasks is told, and not named."""
    agent = one(**{**LOOP, "repeated": {("a", "tool", "search"): 1.0}})
    assert agent.bottleneck is not None
    assert agent.bottleneck.kind == "component"
    assert agent.waste.repeats[0].per_task == pytest.approx(0.1)


def test_failed_attempts_are_named_when_they_cost_most() -> None:
    """Attempts thrown away and the pauses after them count in full."""
    path = sides({("own", ""): 10.0, ("retry", "m"): 30.0, ("backoff", "m"): 20.0, ("decode", "m"): 40.0})
    agent = one(path=path, calls=sides({("own", ""): 10.0, ("llm", "m"): 10.0}))
    assert agent.bottleneck is not None
    assert (agent.bottleneck.kind, agent.bottleneck.seconds) == ("retries", pytest.approx(5.0))
    assert "loses 50 %" in agent.sentence


def test_slow_tasks_are_explained() -> None:
    """The gap between the sides is split, and its loudest cause named."""
    path = {
        **sides({("own", ""): 9.0, ("tool", "web"): 90.0}),
        **sides({("own", ""): 1.0, ("tool", "web"): 50.0}, "missed"),
    }
    calls = {
        **sides({("own", ""): 90.0, ("tool", "web"): 90.0}),
        **sides({("own", ""): 10.0, ("tool", "web"): 50.0}, "missed"),
    }
    agent = one(path=path, calls=calls)
    assert agent.slow is not None
    assert agent.slow.gap_s == pytest.approx(4.0)
    assert sum(change.total_s for change in agent.slow.changes) == pytest.approx(4.0, abs=1e-9)
    assert "Slow tasks (10 of 100) take 4.0 s longer, 4.0 s of it from more calls of web." in agent.sentence


def test_slow_tasks_that_are_not_slower_need_no_explanation() -> None:
    """Early tasks may miss a threshold that later ones raise: nothing is said of them."""
    path = {**sides({("own", ""): 90.0}), **sides({("own", ""): 2.0}, "missed")}
    calls = {**sides({("own", ""): 90.0}), **sides({("own", ""): 10.0}, "missed")}
    assert one(path=path, calls=calls).slow is None


def test_races_keep_the_lower_end_only() -> None:
    """Where the first of several wins there is no upper end, in the sentence, in the caveats, in JSON."""
    answer = reported(path=TOOL, calls=TOOL_CALLS, solo=TOOL_SOLO, doubts={("a", "race"): 3.0})
    (agent,) = answer.agents
    assert "at least 20 %: 2.0 s of 10.0 s" in agent.sentence
    assert any("race" in caveat or "wins" in caveat for caveat in agent.caveats)
    gain = answer_json(answer)["agents"][0]["path"][0]["what_if"]
    assert (gain["low_seconds"], gain["high_seconds"], gain["reason"]) == (2.0, None, "race")


def test_unrecorded_concurrency_says_so_instead_of_a_number() -> None:
    """Steps of threads without branches leave no bound, and the sentence says why."""
    agent = one(path=TOOL, calls=TOOL_CALLS, solo=TOOL_SOLO, doubts={("a", "unwrapped"): 3.0})
    assert agent.parts[0].what_if.low_s is None
    assert "ag.propagate" in agent.sentence
    assert "%: " not in agent.sentence.split("would save")[1]


def test_agents_come_by_their_seconds() -> None:
    """The one that spends most comes first; one without finished tasks is left out."""
    path = {**sides({("own", ""): 5.0}, agent="small"), **sides({("own", ""): 50.0}, agent="big")}
    calls = {**sides({("own", ""): 5.0}, agent="small"), **sides({("own", ""): 5.0}, agent="big")}
    answer = reported(path=path, calls=calls, states={("idle", "own"): 3.0})
    assert [agent.agent for agent in answer.agents] == ["big", "small"]


def test_json_is_plain() -> None:
    """The JSON form holds only plain values, and every agent's whole answer."""
    answer = reported(**LOOP, fates={("a", "useful"): 90.0, ("a", "repeated"): 10.0})
    text = json.dumps(answer_json(answer))
    agent = json.loads(text)["agents"][0]
    assert agent["waste"]["wasted_share"] == pytest.approx(0.1)
    assert agent["bottleneck"]["kind"] == "loop"


SEEN: Series = {
    ("a", "agent_tasks_total"): 1.0,
    ("a", "agent_task_path_seconds_total"): 1.0,
    ("sub", "agent_tasks_total"): 1.0,
}


@pytest.mark.parametrize(
    ("agent", "facts", "says"),
    [
        ("", {}, "There is no agent_tasks_total in the last 1 h"),
        ("x", {"seen": SEEN}, "There is no agent 'x' in the last 1 h"),
        ("usb", {"seen": SEEN}, "Did you mean 'sub'?"),
        ("", {"seen": {("a", "agent_tasks_total"): 1.0}}, "There is no agent_task_path_seconds_total"),
        ("sub", {"seen": SEEN, "tasks": {("sub", "success"): 4.0}}, "it ran only inside other agents' tasks"),
        ("", {"seen": SEEN}, "No task finished in the last 1 h, and none was running"),
        ("", {"seen": SEEN, "states": {("a", "tool"): 9.0, ("a", "llm"): 1.0}}, "tool 90 %, llm 10 %"),
    ],
)
def test_what_is_missing_is_said(agent: str, facts: dict[str, Series], says: str) -> None:
    """Without an answer there is the metric that is missing and something to do."""
    missing = reported(agent, **facts).missing
    assert missing is not None
    assert says in missing.says
    assert missing.metric in METRICS
    assert missing.do


def test_facts_read_metrics_of_the_table() -> None:
    """Every fact asks for a metric of METRICS by labels it has."""
    for fact in FACTS.values():
        assert fact.metric in METRICS
        if fact.id != "seen":
            assert set(fact.labels) <= set(METRICS[fact.metric].labels)


def test_agent_names_are_quoted() -> None:
    """A name with quotes and backslashes stays one matcher."""
    assert '{agent="a\\"b\\\\c"}' in fill(FACTS["path"], 'a"b\\c', HOUR_MS)
    assert '{agent!=""}[90s]' in fill(FACTS["path"], "", 90_000)


def test_seconds_without_calls_say_no_calls() -> None:
    """Where a counter of calls is not there yet, none are told; the seconds still count."""
    agent = one(path=TOOL, calls=sides({("own", ""): 10.0}))
    assert "calls of" not in agent.sentence
    assert not any("No call" in caveat for caveat in agent.caveats)
    idle = one(path=sides({("own", ""): 10.0}), calls=sides({("own", ""): 10.0}))
    assert any("No call of a model or tool is recorded" in caveat for caveat in idle.caveats)
