"""An agent's loop, written once: ask the model, use the tools it wants, until it answers.

``deliberate`` is a generator that says what it needs and is sent the result, so that one loop serves agents that run
in threads and agents that run in asyncio; ``run_sync`` and ``run_async`` fetch what it asks for, with the real
``ollama`` clients. Nothing here measures anything but the two lines that name the task and the tool: LLM calls are
seen by ``instrument()``.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import httpx
import ollama

from agentgauge.demo.diary import Diary, Entry, Kind, Note
from agentgauge.demo.tools import Tool
from agentgauge.record.api import propagate, tool_call

Message: TypeAlias = Mapping[str, Any]


class GaveUpError(Exception):
    """The agent ran out of turns, or of tools that work."""


class CutShortError(Exception):
    """A streamed answer ended before it was done; the client does not say so."""


@dataclass(frozen=True, slots=True)
class Persona:
    """Who an agent is: its name, what it is told to be, its tools and its patience."""

    name: str
    system: str
    tools: Mapping[str, Tool]
    n_turns_max: int = 6
    n_tool_failures_max: int = 2
    stream: bool = False


@dataclass(frozen=True, slots=True)
class Mischief:
    """What goes wrong on purpose: shares of streams broken off and of asyncio tasks cancelled."""

    break_off: float = 0.0
    cancel: float = 0.0
    chance: random.Random = field(default_factory=random.Random)


@dataclass(frozen=True, slots=True)
class Desk:
    """What an agent works with: a model's name, its clients, the diary, the mischief of the day."""

    model: str
    client: ollama.Client
    async_client: ollama.AsyncClient
    diary: Diary
    mischief: Mischief = field(default_factory=Mischief)


@dataclass(frozen=True, slots=True)
class Ask:
    """The loop wants the model's next message."""

    messages: Sequence[Message]


@dataclass(frozen=True, slots=True)
class Use:
    """The loop wants these tools used, side by side: (name, arguments)."""

    calls: Sequence[tuple[str, Mapping[str, Any]]]


def deliberate(persona: Persona, question: str) -> Generator[Ask | Use, Any, str]:
    """Run the loop for one question and return the answer; raises ``GaveUpError``."""
    messages: list[Message] = [{"role": "system", "content": persona.system}, {"role": "user", "content": question}]
    n_failures = 0
    for _ in range(persona.n_turns_max):
        message: ollama.Message = yield Ask(messages)
        messages.append(message.model_dump(exclude_none=True))
        if not message.tool_calls:
            return message.content or ""
        wanted = [(call.function.name, call.function.arguments) for call in message.tool_calls]
        results: Sequence[str | Exception] = yield Use(wanted)
        for (name, _), result in zip(wanted, results, strict=True):
            messages.append({"role": "tool", "tool_name": name, "content": str(result)})
        failures = [result for result in results if isinstance(result, Exception)]
        n_failures += len(failures)
        if n_failures > persona.n_tool_failures_max:
            raise failures[-1] if isinstance(failures[-1], TimeoutError) else GaveUpError(f"last: {failures[-1]}")
    raise GaveUpError(f"no answer in {persona.n_turns_max} turns")


def run_sync(persona: Persona, desk: Desk, question: str) -> str:
    """Run an agent in this thread; its tools run in threads beside it when there are several."""
    loop = deliberate(persona, question)
    wish = next(loop)
    try:
        while True:
            wish = loop.send(_ask(persona, desk, wish) if isinstance(wish, Ask) else _use(persona, desk, wish))
    except StopIteration as stop:
        return str(stop.value)


async def run_async(persona: Persona, desk: Desk, question: str) -> str:
    """Run an agent in this event loop; its tools run in threads, gathered."""
    loop = deliberate(persona, question)
    wish = next(loop)
    try:
        while True:
            if isinstance(wish, Ask):
                wish = loop.send(await _ask_async(persona, desk, wish))
            else:
                jobs = (asyncio.to_thread(_use_one, persona, desk, name, args) for name, args in wish.calls)
                wish = loop.send(await asyncio.gather(*jobs))
    except StopIteration as stop:
        return str(stop.value)


def _ask(persona: Persona, desk: Desk, wish: Ask) -> ollama.Message:
    with noted(desk.diary, "llm", persona.name, desk.model) as note:
        tools = list(persona.tools.values())
        if not persona.stream:
            return _read(note, desk.client.chat(desk.model, wish.messages, tools=tools))
        parts, part = [], None
        for part in desk.client.chat(desk.model, wish.messages, tools=tools, stream=True):
            parts.append(_read(note, part))
            if _had_enough(desk.mischief, parts):
                note.outcome = "cancelled"
                return _joined(parts)
        return _whole(parts, part)


async def _ask_async(persona: Persona, desk: Desk, wish: Ask) -> ollama.Message:
    with noted(desk.diary, "llm", persona.name, desk.model) as note:
        tools = list(persona.tools.values())
        if not persona.stream:
            return _read(note, await desk.async_client.chat(desk.model, wish.messages, tools=tools))
        parts, part = [], None
        stream = await desk.async_client.chat(desk.model, wish.messages, tools=tools, stream=True)
        async for part in stream:
            parts.append(_read(note, part))
            if _had_enough(desk.mischief, parts):
                note.outcome = "cancelled"
                await stream.aclose()  # type: ignore[attr-defined]  # it is an async generator
                return _joined(parts)
        return _whole(parts, part)


def _read(note: Note, answer: ollama.ChatResponse) -> ollama.Message:
    """Return an answer's message; the diary is told the tokens that its last part names."""
    note.n_prompt += answer.prompt_eval_count or 0
    note.n_completion += answer.eval_count or 0
    return answer.message


def _had_enough(mischief: Mischief, parts: Sequence[ollama.Message]) -> bool:
    """Break off a stream of words now and then, never one that brings tool calls."""
    words_only = not any(part.tool_calls for part in parts)
    return words_only and len(parts) == 3 and mischief.chance.random() < mischief.break_off


def _whole(parts: Sequence[ollama.Message], last: ollama.ChatResponse | None) -> ollama.Message:
    if last is None or not last.done:
        raise CutShortError(f"the answer ended after {len(parts)} parts without a last one")
    return _joined(parts)


def _joined(parts: Sequence[ollama.Message]) -> ollama.Message:
    calls = [call for part in parts for call in part.tool_calls or ()]
    content = "".join(part.content or "" for part in parts)
    return ollama.Message(role="assistant", content=content, tool_calls=calls or None)


def _use(persona: Persona, desk: Desk, wish: Use) -> list[str | Exception]:
    if len(wish.calls) == 1:
        return [_use_one(persona, desk, *wish.calls[0])]
    with ThreadPoolExecutor(len(wish.calls)) as pool:
        jobs = [pool.submit(propagate(_use_one), persona, desk, name, args) for name, args in wish.calls]
        return [job.result() for job in jobs]


def _use_one(persona: Persona, desk: Desk, name: str, arguments: Mapping[str, Any]) -> str | Exception:
    """Use one tool and return what it says, or the exception: the model is told, the loop decides."""
    try:
        with noted(desk.diary, "tool", persona.name, name), tool_call(name) as call:
            call.arguments(**arguments)
            result = persona.tools[name](**arguments)
            call.result(result)
            return result
    except Exception as error:  # noqa: BLE001  # whatever a tool raises is news for the model, not an end
        return error


@contextmanager
def noted(diary: Diary, kind: Kind, agent: str, name: str) -> Generator[Note]:
    """Write the diary's entry for what happens inside; the yielded note can be filled in."""
    note = Note()
    try:
        yield note
    except (TimeoutError, httpx.TimeoutException):
        note.outcome = "timeout"
        raise
    except (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt):
        note.outcome = "cancelled"
        raise
    except BaseException:
        note.outcome = "failure" if kind == "task" else "error"
        raise
    finally:
        diary.write(Entry(kind, agent, name, note.outcome, note.n_prompt, note.n_completion))
