"""What to fix first, and the sentence that says so with its evidence. Pure.

Candidates are compared by what fixing them saves: a component by the middle of its interval, which prefers what is
sure, repeated calls and failed attempts in full, because they can be left out. Measured: docs/why/what-if.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentgauge.why.answer import AgentAnswer, Bottleneck, Part, Waste
from agentgauge.why.components import AVOIDABLE, WAITS, called
from agentgauge.why.decompose import Decomposition
from agentgauge.why.words import (
    ADVICE,
    counted,
    name_of,
    percent,
    percent_range,
    savings,
    seconds,
    times,
    waits_words,
)

LOUD_SHARE = 0.2
"""Share of the gap between slow and normal tasks that one cause must have to be named."""


LEAST_SLOW = 3
"""Slow tasks below which the sentence draws no conclusion from them; the table still shows them."""


def find_bottleneck(parts: Sequence[Part], waste: Waste) -> Bottleneck | None:
    """Return what saves the most, None when nothing takes time."""
    found = [Bottleneck("component", part.key, part.path_s, _guess_s(part)) for part in parts]
    found = [one for one in found if one.key[0] not in AVOIDABLE]
    if waste.repeats:
        most = waste.repeats[0]
        found.append(Bottleneck("loop", most.key, most.cost_s, most.cost_s))
    failed_s = waste.retry_s + waste.backoff_s
    if failed_s > 0:
        key = max((part for part in parts if part.key[0] in AVOIDABLE), key=lambda part: part.path_s, default=None)
        found.append(Bottleneck("retries", key.key if key else ("retry", ""), failed_s, failed_s))
    return max(found, key=lambda one: (one.saves_s, one.key), default=None)


def _guess_s(part: Part) -> float:
    """Return the middle of the interval without waits: a wait is a candidate of its own."""
    gain = part.what_if
    share = 1.0 - 1.0 / gain.k
    alone_s = min(part.alone_s or 0.0, part.path_s)
    return share * (alone_s + part.path_s) / 2


def sentence(answer: AgentAnswer) -> str:
    """Name the bottleneck with its evidence, and what makes slow tasks slow."""
    found = answer.bottleneck
    if found is None:
        return f"{answer.agent}: no seconds on the critical path."
    named = {"component": _component, "loop": _loop, "retries": _retries}[found.kind](answer, found)
    return " ".join(filter(None, (named, _slow(answer.slow))))


def _component(answer: AgentAnswer, found: Bottleneck) -> str:
    part = answer.part(found.key)
    assert part is not None, "BUG: a bottleneck that is no part"
    component = found.key[0]
    share = percent(part.path_s / answer.mean_s)
    is_called = part.calls and component not in {"own", *WAITS}
    calls = f", {counted(part.calls, 'call')} of {seconds(part.call_s)}" if is_called else ""
    alone = ""
    if part.alone_s is not None and part.what_if.low_s is not None:
        alone = f"; {percent(min(part.alone_s, part.path_s) / answer.mean_s)} of the time nothing else runs beside it"
    gain = part.what_if
    what = "half as long" if component in WAITS and gain.k == 2 else f"{times(gain.k)} faster"
    saves = f"{what} saves {savings(gain, answer.mean_s)}"
    if gain.low_s is None:
        saves = f"what {times(gain.k)} faster would save is {savings(gain, answer.mean_s)}"
    elif gain.high_s is not None and gain.high_s > gain.direct_s:
        direct = percent_range(gain.low_s / answer.mean_s, gain.direct_s / answer.mean_s)
        saves = f"{what} saves {direct}, up to {percent(gain.high_s / answer.mean_s)} if its queue empties too"
    return (
        f"{answer.agent} {waits_words(found.key)}: {share} of the critical path"
        f" ({seconds(part.path_s)} of {seconds(answer.mean_s)} a task{calls}){alone}; {saves}. {_advice(component)}"
    )


def _advice(component: str) -> str:
    advice = ADVICE.get(component, "")
    return f"{advice[0].upper()}{advice[1:]}." if advice else ""


def _loop(answer: AgentAnswer, found: Bottleneck) -> str:
    repeats = answer.waste.repeats[0]
    return (
        f"{answer.agent} repeats itself: {counted(repeats.per_task, 'call')} of {name_of(found.key)} a task"
        f" ({percent(repeats.share)} of them) have the same arguments and the same result as one before; they and their"
        f" turns take about {percent(found.seconds / answer.mean_s)} ({seconds(found.seconds)} of"
        f" {seconds(answer.mean_s)} a task). Stop the loop: tell the model what it already knows, or answer"
        " repeated calls from memory and end the task after a few."
    )


def _retries(answer: AgentAnswer, found: Bottleneck) -> str:
    return (
        f"{answer.agent} loses {percent(found.seconds / answer.mean_s)} ({seconds(found.seconds)} of"
        f" {seconds(answer.mean_s)} a task) to attempts that fail and the pauses after them. {_advice('retry')}"
    )


def _slow(slow: Decomposition | None) -> str:
    """Say what makes slow tasks slow, where a cause stands out."""
    if slow is None or slow.after.n_tasks < LEAST_SLOW:
        return ""
    causes: dict[tuple[str, str], float] = {}
    for change in slow.changes:
        more = ("more calls", name_of(called(change.key)))
        causes[more] = causes.get(more, 0.0) + change.more_calls_s
        causes["slower", name_of(change.key)] = change.slower_calls_s
    (kind, who), worst_s = max(causes.items(), key=lambda item: item[1])
    if worst_s < LOUD_SHARE * slow.gap_s:
        return ""
    why = f"more calls of {who}" if kind == "more calls" else f"{who} taking longer"
    return (
        f"Slow tasks ({slow.after.n_tasks:.0f} of {slow.before.n_tasks + slow.after.n_tasks:.0f}) take"
        f" {seconds(slow.gap_s)} longer, {seconds(worst_s)} of it from {why}."
    )
