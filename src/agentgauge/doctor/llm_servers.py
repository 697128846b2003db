"""Checks of model servers: reachable, known, not reloading all the time, not cutting what they are sent. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from agentgauge.doctor.facts import Facts
from agentgauge.doctor.finding import Judgement, bad, counted, listed, ok, times, unknown, warn
from agentgauge.doctor.versions import OLLAMA_SERVER, compare

LOAD_S = 0.2
"""Load seconds above this are a load; a warm model takes milliseconds to a tenth of a second for each call."""

MANY_LOADS = 4
UNNAMED = frozenset({"", "unknown", "__other__"})


def ollama(facts: Facts) -> Judgement:
    """Does the Ollama server answer?"""
    seen = facts.ollama
    if seen is None:
        return unknown("Ollama", "not looked for")
    if not seen.error:
        return ok(seen.url, f"answers; version {seen.version or 'unknown'}")
    failing = facts.values.get("connection_errors")
    if seen.named or failing:
        why = "; agents fail to connect" if failing else ""
        return bad(seen.url, f"{seen.error}{why}", "ollama serve   # or: systemctl start ollama")
    return unknown(seen.url, f"{seen.error}; no agent complains of it", "agentgauge doctor --ollama URL")


def ollama_version(facts: Facts) -> Judgement:
    """Is the Ollama server of a version that is tested?"""
    seen = facts.ollama
    if seen is None or seen.error or not seen.version:
        return unknown("Ollama's version", "no server answers")
    looked_at = f"{seen.url}/api/version"
    verdict = compare(seen.version, OLLAMA_SERVER)
    tested = f"{OLLAMA_SERVER.low} to below {OLLAMA_SERVER.below}"
    if verdict == "old":
        return bad(
            looked_at,
            f"{seen.version} is older than tested ({tested})",
            "curl -fsSL https://ollama.com/install.sh | sh",
        )
    if verdict == "new":
        return warn(looked_at, f"{seen.version} is newer than tested ({tested})", "pip install -U agentgauge")
    return ok(looked_at, f"{seen.version}, tested are {tested}")


def models(facts: Facts) -> Judgement:
    """Are the models there that agents call, and wholly on the GPU or wholly not?"""
    seen = facts.ollama
    if seen is None or seen.error:
        return unknown("Ollama's models", "no server answers")
    looked_at = f"{seen.url}/api/tags and /api/ps"
    called = {labels.get("model", "") for labels, _ in facts.values.get("models", ())} - UNNAMED
    known = {*seen.installed, *(name.removesuffix(":latest") for name in seen.installed)}
    missing = sorted(called - known)
    if missing and seen.named:
        return warn(looked_at, f"agents call models that are not here: {listed(missing)}", f"ollama pull {missing[0]}")
    split = [model for model in seen.loaded if 0 < model.gpu_share < 0.999]
    if split:
        return warn(
            looked_at,
            listed(f"only {model.gpu_share:.0%} of {model.name} is on the GPU" for model in split),
            "ollama ps   # a smaller num_ctx or quantization fits in whole",
        )
    loaded = listed(f"{model.name} (context {model.context_length or 'unknown'})" for model in seen.loaded)
    return ok(looked_at, f"{len(seen.installed)} installed, loaded: {loaded or 'none'}")


def reloads(facts: Facts) -> Judgement:
    """Is a model loaded again and again?"""
    looked_at = "load seconds of LLM calls, last 15 minutes"
    tracks = facts.tracks.get("load")
    if tracks is None:
        return unknown(looked_at, "not answered")
    calls_at = {_caller(labels): dict(zip(t_ms, n, strict=True)) for labels, t_ms, n in facts.tracks.get("calls", ())}
    loads: dict[str, int] = {}
    for labels, t_ms, load_s in tracks:
        n_calls = calls_at.get(_caller(labels), {})
        readings = [(seconds, n_calls.get(at_ms, 0.0)) for seconds, at_ms in zip(load_s, t_ms, strict=True)]
        steps = ((after[0] - before[0], after[1] - before[1]) for before, after in pairwise(readings))
        n_loads = sum(more_s > LOAD_S * max(1.0, n_more) for more_s, n_more in steps)
        loads[labels.get("model", "?")] = loads.get(labels.get("model", "?"), 0) + n_loads
    again = {model: n_loads for model, n_loads in loads.items() if n_loads >= MANY_LOADS}
    if again:
        return warn(
            looked_at,
            "loaded again and again: "
            + listed(f"{model} in {counted(n_loads, 'scrape')}" for model, n_loads in again.items())
            + "; agents with different num_ctx (or native and /v1 callers) make Ollama reload the whole model",
            "set one context for all: systemctl edit ollama → Environment=OLLAMA_CONTEXT_LENGTH=8192",
        )
    n_loads = sum(loads.values())
    return ok(looked_at, f"{counted(n_loads, 'scrape')} with a load, of {counted(len(loads), 'model')}")


def _caller(labels: Mapping[str, str]) -> tuple[str, ...]:
    """Return whose calls of which model a series counts."""
    return tuple(labels.get(name, "") for name in ("job", "instance", "agent", "model"))


def truncation(facts: Facts) -> Judgement:
    """Does a model server cut the prompts that it is sent?"""
    looked_at = "agent_llm_truncations_total, reason context, last hour"
    rows = facts.values.get("truncated")
    if rows is None:
        return unknown(looked_at, "not answered")
    if rows:
        said = listed(
            f"{labels.get('agent') or 'no agent'} on {labels.get('model')} {times(value)}" for labels, value in rows
        )
        return warn(
            looked_at,
            f"the context was cut, silently: {said}",
            "raise num_ctx: client.chat(…, options={'num_ctx': 16384}), or OLLAMA_CONTEXT_LENGTH on the server",
        )
    return ok(looked_at, "no context was cut")
