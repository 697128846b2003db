"""Facts -> answer: per agent, its parts, what-ifs, slow against normal, waste, and one sentence. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from agentgauge.model.series import StepMatrix
from agentgauge.why.answer import MIN_SHARE, AgentAnswer, Answer, Part, Repeats, Waste
from agentgauge.why.bottleneck import find_bottleneck, sentence
from agentgauge.why.components import MODEL_PARTS, OWN, Key, called
from agentgauge.why.decompose import Account, Decomposition, decompose
from agentgauge.why.facts import AgentFacts, facts_by_agent, seen_metrics
from agentgauge.why.missing import what_is_missing
from agentgauge.why.whatif import DOUBTS, LEAST_SHARE, doubt_about, waits_for, what_if
from agentgauge.why.words import counted, percent

LEAST_TASKS = 10
"""Finished tasks below which an answer says that it rests on few."""


def report(
    answers: Mapping[str, StepMatrix], agent: str, window_ms: int, k: float, queries: Mapping[str, str]
) -> Answer:
    """Compute the answer from the results of FACTS (id -> instant vector)."""
    facts = facts_by_agent(answers)
    found = [_agent_answer(one, k) for one in facts.values() if one.both().n_tasks > 0 and one.both().mean_s > 0]
    found.sort(key=lambda one: (-one.n_tasks * one.mean_s, one.agent))
    missing = None if found else what_is_missing(seen_metrics(answers["seen"]), facts, agent, window_ms)
    return Answer(window_ms, k, tuple(found), missing, queries)


def _agent_answer(facts: AgentFacts, k: float) -> AgentAnswer:
    tasks = facts.both()
    mean_s = tasks.mean_s
    doubt = doubt_about(tasks.n_tasks, mean_s * tasks.n_tasks, facts.doubts, facts.detached_s)
    per_task = {key: seconds / tasks.n_tasks for key, seconds in tasks.seconds.items()}
    solo = {key: seconds / tasks.n_tasks for key, seconds in facts.solo.items()} if facts.solo else None
    parts = [_part(key, (key,), tasks, per_task, solo, k, doubt) for key in per_task]
    parts = [part for part in parts if part.path_s >= MIN_SHARE * mean_s]
    parts.sort(key=lambda part: (-part.path_s, part.key))
    waste = _waste(facts, tasks, per_task)
    bottleneck = find_bottleneck(parts, waste)
    answer = AgentAnswer(
        agent=facts.agent,
        n_tasks=tasks.n_tasks,
        mean_s=mean_s,
        parts=tuple(parts),
        models=tuple(_models(tasks, per_task, solo, k, doubt)),
        slow=_slow(facts),
        waste=waste,
        doubt=doubt,
        caveats=tuple(_caveats(facts, tasks, doubt)),
        states=dict(facts.states),
        bottleneck=bottleneck,
        sentence="",
    )
    return replace(answer, sentence=sentence(answer))


def _slow(facts: AgentFacts) -> Decomposition | None:
    """Split what slow tasks take longer; None where they do not: a threshold that was learned while they ran."""
    found = decompose(facts.side("met"), facts.side("missed"))
    return found if found is not None and found.gap_s > 0 else None


def _part(
    key: Key,
    keys: tuple[Key, ...],
    tasks: Account,
    per_task: Mapping[Key, float],
    solo: Mapping[Key, float] | None,
    k: float,
    doubt: str,
) -> Part:
    """Sum components into one part; alone, their seconds add up to a lower bound of the whole's."""
    path_s = sum(per_task.get(one, 0.0) for one in keys)
    alone_s = None if solo is None else sum(solo.get(one, 0.0) for one in keys)
    others = {one: seconds for one, seconds in per_task.items() if one not in keys}
    n_calls = tasks.n_tasks if key == OWN else tasks.calls.get(called(key), 0.0)
    gain = what_if(path_s, alone_s, k, waits_for(key, others), doubt, sum(per_task.values()))
    return Part(key, keys, path_s, alone_s, n_calls / tasks.n_tasks, gain)


def _models(
    tasks: Account, per_task: Mapping[Key, float], solo: Mapping[Key, float] | None, k: float, doubt: str
) -> list[Part]:
    """Return each model's phases as one part, where it has several: a faster model speeds up all but the queue."""
    by_model: dict[str, list[Key]] = {}
    for component, name in sorted(per_task):
        if component in MODEL_PARTS and component != "queue":
            by_model.setdefault(name, []).append((component, name))
    groups = [(("llm", name), tuple(keys)) for name, keys in by_model.items() if len(keys) > 1]
    return [_part(key, keys, tasks, per_task, solo, k, doubt) for key, keys in groups]


def _waste(facts: AgentFacts, tasks: Account, per_task: Mapping[Key, float]) -> Waste:
    repeats = [_repeats(key, n, tasks, per_task) for key, n in facts.repeated.items()]
    return Waste(
        fates=facts.fates,
        repeats=tuple(sorted(repeats, key=lambda one: (-one.cost_s, one.key))),
        retry_s=sum(seconds for (component, _), seconds in per_task.items() if component == "retry"),
        backoff_s=sum(seconds for (component, _), seconds in per_task.items() if component == "backoff"),
        attempts=facts.attempts,
    )


def _repeats(key: Key, n_repeats: float, tasks: Account, per_task: Mapping[Key, float]) -> Repeats:
    """Estimate what repeated calls of a tool or model cost: their own path seconds, and for a tool the turn each took.

    A turn holds one call of each model that is called as often as the tool, or more often; of one that is called more
    rarely, as large a part as of the tool's own calls.
    """
    n_calls = tasks.calls.get(key, 0.0)
    share = min(1.0, n_repeats / n_calls) if n_calls else 0.0
    cost_s = 0.0
    for other, seconds in per_task.items():
        caller = called(other)
        if caller == key:
            cost_s += share * seconds
        elif key[0] == "tool" and caller[0] == "llm":
            n_turns = max(n_calls, tasks.calls.get(caller, 0.0))
            cost_s += seconds * min(1.0, n_repeats / n_turns) if n_turns else 0.0
    return Repeats(key, n_repeats / tasks.n_tasks, share, cost_s)


def _caveats(facts: AgentFacts, tasks: Account, doubt: str) -> list[str]:
    found = []
    if tasks.n_tasks < LEAST_TASKS:
        found.append(f"Only {counted(tasks.n_tasks, 'finished task')} in this time: take the numbers as a first look.")
    if doubt:
        n_doubted = facts.doubts.get(doubt, 0.0)
        who = f"In {percent(min(1.0, n_doubted / tasks.n_tasks))} of the tasks" if n_doubted else "Here"
        missing = "upper end" if DOUBTS[doubt].keeps_low else "what-if"
        found.append(f"{who} {DOUBTS[doubt].says}: no {missing} is shown.")
    if all(key == OWN for key in {*tasks.calls, *tasks.seconds}):
        found.append("No call of a model or tool is recorded inside these tasks: add ag.llm_call and ag.tool_call.")
    if not facts.solo:
        found.append("agent_task_solo_seconds_total is not there: every lower end is 0.")
    lost = tasks.seconds.get(("llm", "__other__"), 0.0) + tasks.seconds.get(("tool", "__other__"), 0.0)
    if lost > LEAST_SHARE * tasks.mean_s * tasks.n_tasks:
        found.append("Some names are folded into __other__: the limit of label values is reached.")
    return found
