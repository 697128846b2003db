"""Why there is no answer yet: which metric is missing, and what to do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from agentgauge.why.answer import Missing
from agentgauge.why.facts import AgentFacts
from agentgauge.why.queries import PATH_METRIC, STATE_METRIC, TASKS_METRIC
from agentgauge.why.words import percent, span_of_time


def what_is_missing(
    seen: Mapping[str, set[str]], facts: Mapping[str, AgentFacts], agent: str, window_ms: int
) -> Missing:
    """Tell what stands between here and an answer.

    Args:
        seen: metric -> agents that have it in the window, whichever agent was asked for.
        facts: what was found of the agents asked for.
        agent: the one asked for; empty for all.
        window_ms: the window.
    """
    last = f"in the last {span_of_time(window_ms)}"
    if not seen:
        return Missing(
            TASKS_METRIC,
            f"There is no {TASKS_METRIC} {last}: no agent is recorded here.",
            "Record tasks with ag.task() and ag.start() in the agents, scrape them with `agentgauge serve` "
            "(or your Prometheus), or ask further back with --last. To see how it looks: agentgauge demo --db demo.db",
        )
    known = sorted(set().union(*seen.values()) - {""})
    if agent and agent not in known:
        nearest = get_close_matches(agent, known, 1)
        meant = f" Did you mean {nearest[0]!r}?" if nearest else ""
        return Missing(
            TASKS_METRIC,
            f"There is no agent {agent!r} {last}.{meant}",
            f"Known are: {', '.join(known)}. Ask for one of them.",
        )
    with_path = seen.get(PATH_METRIC, set())
    if agent in facts and facts[agent].tasks and not facts[agent].states:
        return _inside_others(agent, last, sorted(set(known) - {agent}))
    if (agent and agent not in with_path) or not with_path:
        return _without_path(f"{agent} has no" if agent else "There is no", last)
    return _nothing_finished(facts, last)


def _inside_others(agent: str, last: str, others: list[str]) -> Missing:
    return Missing(
        PATH_METRIC,
        f"{agent} has no {PATH_METRIC} {last}: it ran only inside other agents' tasks.",
        f"Its time is part of theirs; ask for one of: {', '.join(others)}.",
    )


def _without_path(who: str, last: str) -> Missing:
    return Missing(
        PATH_METRIC,
        f"{who} {PATH_METRIC} {last}, though tasks are counted: what records them keeps no time accounts.",
        "Record with a current agentgauge inside the agents' process (ag.task, ag.llm_call, ag.tool_call).",
    )


def _nothing_finished(facts: Mapping[str, AgentFacts], last: str) -> Missing:
    states: dict[str, float] = {}
    for one in facts.values():
        for state, state_s in one.states.items():
            states[state] = states.get(state, 0.0) + state_s
    total_s = sum(states.values())
    do = "Wait for the first task to end (two scrapes must see it), or ask further back with --last."
    if total_s <= 0:
        return Missing(PATH_METRIC, f"No task finished {last}, and none was running.", do)
    shares = sorted(states.items(), key=lambda item: -item[1])[:3]
    now = ", ".join(f"{state} {percent(state_s / total_s)}" for state, state_s in shares)
    return Missing(
        PATH_METRIC,
        f"No task finished {last}; those running spent their time so far ({STATE_METRIC}): {now}.",
        do,
    )
