"""Durations, shares, intervals and components in words. Pure."""

from __future__ import annotations

from agentgauge.why.components import Key
from agentgauge.why.whatif import WhatIf

_NAMES = {
    "agent": "sub-agent {}",
    "backoff": "back-off before {}",
    "client_wait": "held back before {}",
    "decode": "decode, {}",
    "llm": "{}",
    "load": "loading {}",
    "network": "network, {}",
    "own": "own code",
    "prefill": "prefill, {}",
    "queue": "queue, {}",
    "retry": "failed attempts, {}",
    "tool": "{}",
    "wait": "wait: {}",
}

_UNITS = (("ms", 1e-3, 0.0995), ("s", 1.0, 300.0), ("min", 60.0, 7200.0), ("h", 3600.0, float("inf")))
"""Unit, its seconds, and the duration from which the next one reads better."""

ADVICE = {
    "agent": "it is the sub-agent's own code, between its calls",
    "backoff": "find out what fails: errors by type are in agent_errors_total",
    "client_wait": "this process holds calls back: raise its limit if the server has room",
    "decode": "shorter answers, a faster model or less load on it",
    "llm": "shorter prompts and answers, or a faster model",
    "load": "keep the model loaded (keep_alive), or use one model instead of several",
    "network": "between this process and the model server: connection, proxy, or the server's own handling",
    "own": "no call is open then: profile this code, or record what it waits for with ag.wait",
    "prefill": "shorter prompts, or prompts that begin alike so that the prompt cache serves them",
    "queue": "requests wait for a free slot: more slots (OLLAMA_NUM_PARALLEL), or fewer agents at once",
    "retry": "find out what fails: errors by type are in agent_errors_total",
    "tool": "make the tool faster, cache it, or call it beside other work",
    "wait": "raise the limit, or hold it for less long",
}
"""Component -> what to do about it."""


def name_of(key: Key) -> str:
    """Return what a component is called in a sentence."""
    component, name = key
    return _NAMES.get(component, f"{component} {{}}").format(name or "?")


def seconds(value_s: float) -> str:
    """Write a duration: 4.2 ms, 0.42 s, 14.2 s, 3.1 min, 2.4 h."""
    return _in_unit(value_s, value_s)


def span_of_time(ms: int) -> str:
    """Write a window as people ask for it: 90 s, 15 min, 1 h, 7 days."""
    for unit_ms, name in ((86_400_000, "days"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")):
        if ms >= unit_ms and ms % unit_ms == 0 and not (name == "days" and ms < 2 * unit_ms):
            return f"{ms // unit_ms} {name}"
    return f"{ms} ms"


def seconds_range(low_s: float, high_s: float) -> str:
    """Write a range of durations in one unit: 0.6–1.3 s; one number when both ends read the same."""
    return _range(_in_unit(low_s, high_s), _in_unit(high_s, high_s))


def column(value_s: float, mean_s: float) -> str:
    """Write a duration for a column beside others of its kind: all in the unit and digits that suit the mean."""
    unit, size_s = next((name, size) for name, size, below_s in _UNITS if mean_s < below_s)
    return f"{value_s / size_s:.{2 if mean_s / size_s < 20 else 1 if mean_s / size_s < 200 else 0}f} {unit}"


def column_range(low_s: float, high_s: float, mean_s: float) -> str:
    """Write a range of durations for such a column."""
    return _range(column(low_s, mean_s), column(high_s, mean_s))


def _range(low: str, high: str) -> str:
    number, _, unit = low.rpartition(" ")
    return high if low == high else f"{number}–{high.rpartition(' ')[0]} {unit}"


def _in_unit(value_s: float, scale_s: float) -> str:
    unit, size_s = next((name, size) for name, size, below_s in _UNITS if abs(scale_s) < below_s)
    return f"{_digits(value_s / size_s, abs(scale_s) / size_s)} {unit}"


def _digits(value: float, scale: float) -> str:
    return f"{value:.{0 if scale >= 99.5 else 1 if scale >= 0.995 else 2}f}"


def percent(share: float) -> str:
    """Write a share: 0.4 %, 9 %, 46 %."""
    return f"{_percent_digits(share, share)} %"


def percent_range(low: float, high: float) -> str:
    """Write a range of shares: 4–9 %; one number when both ends read the same."""
    first, last = _percent_digits(low, high), _percent_digits(high, high)
    return f"{last} %" if first == last else f"{first}–{last} %"


def _percent_digits(share: float, scale: float) -> str:
    return f"{share * 100:.{1 if 0 < abs(scale) < 0.0095 else 0}f}"


def times(k: float) -> str:
    """Write how many times faster: 2×."""
    return f"{k:g}×"


def number(value: float) -> str:
    """Write a count per task: 0.04, 2.4, 31."""
    size = abs(value)
    text = f"{value:.{0 if size >= 99.5 else 1 if size >= 0.95 else 2}f}"
    return f"{value:.0f}" if float(text).is_integer() else text


def counted(value: float, noun: str) -> str:
    """Write a count with its noun: 1 call, 2.4 calls."""
    shown = number(value)
    return f"{shown} {noun}" if shown == "1" else f"{shown} {noun}s"


def waits_words(key: Key) -> str:
    """Say what an agent waits for: ``waits for the model to generate (decode, m)``."""
    component, name = key
    if component == "wait" and name:
        return f"waits for {name}"
    form = {
        "client_wait": "is {}",
        "decode": "waits for the model to generate ({})",
        "prefill": "waits for the model to read its prompts ({})",
        "queue": "waits in the model's queue ({})",
    }.get(component, "waits for {}")
    return form.format(name_of(key))


def savings(answer: WhatIf, mean_s: float) -> str:
    """Write what is saved: ``4–9 %: 0.6–1.3 s of 14.2 s``, or as much of it as holds."""
    if answer.low_s is None:
        return f"unknown: {answer.says}"
    if answer.high_s is None:
        return f"at least {percent(answer.low_s / mean_s)}: {seconds(answer.low_s)} of {seconds(mean_s)}"
    share = percent_range(answer.low_s / mean_s, answer.high_s / mean_s)
    return f"{share}: {seconds_range(answer.low_s, answer.high_s)} of {seconds(mean_s)}"
