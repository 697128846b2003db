"""From a call to the work it makes: the model's reply, the prompt cut to the context, the options that bind a runner.

Pure. Checks what the model can do and refuses with Ollama's words.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentgauge.simulator.answer import Answer, Reply, answer_of
from agentgauge.simulator.behaviour import Turn
from agentgauge.simulator.calls import Call, CallError
from agentgauge.simulator.config import SimulatorConfig
from agentgauge.simulator.faults import Fault, fault_for
from agentgauge.simulator.presets import GB, Model, Preset
from agentgauge.simulator.runner import Kind, Options, Work
from agentgauge.simulator.tokens import Tokens, chat_prompt, token_ids, tokens
from agentgauge.simulator.versions import Traits
from agentgauge.simulator.wire import Exchange

RUNNER_OPTIONS = (
    "draft_num_predict", "main_gpu", "num_batch", "num_gpu", "num_thread", "shift", "use_mmap",
)  # fmt: skip
"""Options besides num_ctx whose change reloads a model."""

_NUM_KEEP = 5  # num_keep's default of 4, and the first token
_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that is settled before a request meets the scheduler."""

    work: Work
    answer: Answer
    exchange: Exchange
    fault: Fault | None
    truncated: bool


def check(call: Call, model: Model, traits: Traits) -> None:
    """Raise CallError when the model cannot do what is asked."""
    if call.shape in {"embed", "embeddings"}:
        return
    if call.think and traits.thinking and not model.can("thinking"):
        raise CallError(400, f'"{call.model}" does not support thinking')
    if not model.can("completion"):
        raise CallError(400, f'"{call.model}" does not support {call.shape}')
    if call.tools and not model.can("tools"):
        raise CallError(400, f"registry.ollama.ai/library/{model.name} does not support tools")


def seed_of(call: Call, seed: int) -> int:
    """Return the number that decides everything about the answer to this request under this seed."""
    text = json.dumps([seed, call.path, call.body], sort_keys=True, default=str)
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def prepare(
    call: Call, model: Model, config: SimulatorConfig, machine: Preset, traits: Traits, number: int, n_seen: int
) -> Prepared:
    """Settle a request; ``n_seen`` is how often the same request came before."""
    seed = seed_of(call, config.seed)
    draw = seed + n_seen
    fault = fault_for(config.faults, draw)
    options = runner_options(call, model, config, machine, traits)
    kind: Kind = "embed" if call.inputs else "load" if call.shape not in {"chat", "generate"} else "generate"
    if call.empty():
        kind = "unload" if call.keep_alive_ns == 0 else "load"
    prompt, truncated = _prompt(call, options.num_ctx, traits)
    reply = _reply(call, model, config, traits, seed, n_seen, fault) if kind == "generate" else Reply()
    limit = call.limit if fault is None or fault.kind != "truncated" else 8
    ids = _ids(seed, number)
    call_ids = tuple(f"{ids['call']}{index or ''}" for index in range(len(reply.tool_calls)))
    answer = answer_of(reply, limit, call_ids)
    work = Work(
        number, model, options, kind, prompt, answer.reply if kind == "generate" else (), call.keep_alive_ns, draw
    )
    shown = [piece for piece, token in zip(answer.pieces, answer.reply, strict=True) if token and piece.content]
    context = token_ids((*prompt, *(piece.content for piece in shown))) if call.shape == "generate" else ()
    exchange = Exchange(call, traits, number, context, model.tools_in_last, ids)
    return Prepared(work, answer, exchange, fault, truncated)


def runner_options(call: Call, model: Model, config: SimulatorConfig, machine: Preset, traits: Traits) -> Options:
    """Return the options that a runner must have to serve this call."""
    asked = call.options.get("num_ctx")
    num_ctx = asked if isinstance(asked, int) and asked > 0 else config.context_length
    num_ctx = num_ctx or default_context(machine, traits)
    given = {name: call.options[name] for name in RUNNER_OPTIONS if call.options.get(name) is not None}
    if given.get("num_gpu") == -1:
        del given["num_gpu"]
    return Options(min(num_ctx, model.context_length), tuple(sorted(given.items())))


def default_context(machine: Preset, traits: Traits) -> int:
    """Return the context when nobody sets one: by the graphics memory from 0.15.5 on."""
    if not traits.context_by_memory:
        return traits.default_context
    vram = machine.hardware.vram_bytes if machine.hardware.gpu else 0
    return 262_144 if vram >= 47 * GB else 32_768 if vram >= 23 * GB else 4096


def _reply(
    call: Call, model: Model, config: SimulatorConfig, traits: Traits, seed: int, n_seen: int, fault: Fault | None
) -> Reply:
    thinks = model.can("thinking") and traits.thinking
    think = thinks and (traits.thinks_unasked if call.think is None else call.think)
    bad = fault is not None and fault.kind == "badargs"
    turn = Turn(call.model, call.messages, call.tools, call.format, think, seed, n_seen, bad_arguments=bad)
    reply = config.script(turn)
    return reply if think else replace(reply, thinking="")


def _prompt(call: Call, num_ctx: int, traits: Traits) -> tuple[Tokens, bool]:
    """Return a call's prompt within the context, and whether something had to go."""
    if call.inputs:
        return tuple(piece for text in call.inputs for piece in (*tokens(text), "<|end|>")), False
    if call.raw:
        return _cut(tokens(str(call.body.get("prompt") or "")), num_ctx, traits)
    prompt = chat_prompt(call.messages, call.tools)
    if len(prompt) <= num_ctx:
        return prompt, False
    if call.body.get("truncate") is False:
        raise CallError(400, "the prompt is longer than the context length currently set for the model")
    messages = _newest(call.messages, call.tools, num_ctx) if call.shape == "chat" else call.messages
    return _cut(chat_prompt(messages, call.tools), num_ctx, traits)[0], True


def _newest(
    messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], num_ctx: int
) -> list[Mapping[str, Any]]:
    """Drop the oldest messages until the rest fits; system messages and the last one stay."""
    for start in range(1, len(messages)):
        kept = [message for message in messages[:start] if message.get("role") == "system"]
        kept += messages[start:]
        if len(chat_prompt(kept, tools)) <= num_ctx:
            return kept
    return [message for message in messages[:-1] if message.get("role") == "system"] + list(messages[-1:])


def _cut(prompt: Tokens, num_ctx: int, traits: Traits) -> tuple[Tokens, bool]:
    """Cut a prompt that is too long: to the context, or from 0.30.11 to about half of it; the start stays."""
    if len(prompt) <= num_ctx:
        return prompt, False
    n_keep = min(_NUM_KEEP, num_ctx - 1)
    n = num_ctx - (num_ctx - n_keep) // 2 if traits.truncates_to_half else num_ctx
    return prompt[:n_keep] + prompt[len(prompt) - (n - n_keep) :], True


def _ids(seed: int, number: int) -> dict[str, str]:
    """Return the ids that an answer may need, in the form of each protocol."""
    rng = random.Random(f"ids:{seed}:{number}")
    return {
        "call": "call_" + "".join(rng.choices(_ID_LETTERS, k=8)),
        "chatcmpl": f"chatcmpl-{rng.randrange(999)}",
        "cmpl": f"cmpl-{rng.randrange(999)}",
        "msg": f"msg_{rng.getrandbits(96):024x}",
        "response": f"resp_{rng.randrange(999_999)}",
        "item": f"msg_{rng.randrange(999_999)}",
        "request": f"req_{rng.getrandbits(96):024x}",
    }
