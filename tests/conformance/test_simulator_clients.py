"""The official clients against the simulated server: what they return is what they return of a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import ollama
import openai
import pytest

from agentgauge.simulator.config import SimulatorConfig
from agentgauge.simulator.faults import Fault
from agentgauge.simulator.server import SimulatedOllama, run_in_thread

CHAT, THINK, EMBED = "llama3.1:8b", "qwen3:8b", "nomic-embed-text"
HELLO = [{"role": "user", "content": "Say hello, at some length."}]


def get_weather(city: str) -> str:
    """Get the weather.

    Args:
        city: where

    Returns:
        str: the weather
    """
    return city


@pytest.fixture(scope="module")
def sim() -> Iterator[SimulatedOllama]:
    """A fast server with two slots."""
    with run_in_thread(SimulatorConfig(speed=50, parallel=2)) as server:
        yield server


@pytest.fixture
def client(sim: SimulatedOllama) -> Iterator[ollama.Client]:
    """The ollama client."""
    client = ollama.Client(sim.url)
    yield client
    client.close()


@pytest.fixture
def openai_client(sim: SimulatedOllama) -> Iterator[openai.OpenAI]:
    """The openai client."""
    with openai.OpenAI(base_url=f"{sim.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_ollama_chat_stream_equals_once(client: ollama.Client, sim: SimulatedOllama) -> None:
    """A stream's parts joined have the text's form, and the counts are those that the server logged."""
    parts = list(client.chat(CHAT, HELLO, stream=True))
    assert all(not part.done for part in parts[:-1])
    assert parts[-1].done_reason == "stop"
    assert "".join(part.message.content or "" for part in parts).startswith("About Say hello")
    assert parts[-1].eval_count == len(parts)  # the end of sequence is counted and not visible
    assert (sim.log[-1].n_prompt, sim.log[-1].n_completion) == (parts[-1].prompt_eval_count, parts[-1].eval_count)
    once = client.chat(CHAT, HELLO)
    assert once.message.content
    assert once.total_duration == sim.log[-1].total_ns


def test_ollama_everything_else(client: ollama.Client) -> None:
    """list, ps, show, generate, embed, load and unload give typed answers."""
    assert {model.model for model in client.list().models} == {CHAT, THINK, f"{EMBED}:latest"}
    assert client.generate(CHAT, "why?", options={"num_predict": 5}).done_reason == "length"
    assert client.generate(CHAT).done_reason == "load"
    assert CHAT in {model.model for model in client.ps().models}
    assert client.show(CHAT).capabilities == ["completion", "tools"]
    assert client.generate(CHAT, keep_alive=0).done_reason == "unload"
    assert CHAT not in {model.model for model in client.ps().models}


def test_ollama_thinking(client: ollama.Client) -> None:
    """Thinking comes before content, and not at all when it is switched off."""
    parts = [part.message for part in client.chat(THINK, HELLO, stream=True)]
    kinds = ["t" if part.thinking else "c" for part in parts if part.thinking or part.content]
    assert kinds == sorted(kinds, reverse=True)
    assert {"t", "c"} == set(kinds)
    assert not client.chat(THINK, HELLO, think=False).message.thinking


def test_ollama_tool_loop(client: ollama.Client) -> None:
    """A fitting tool is called with arguments from the question; its result is answered in words that quote it."""
    messages: list[object] = [{"role": "user", "content": "What is the weather in Lisbon?"}]
    first = client.chat(CHAT, messages, tools=[get_weather]).message
    assert first.tool_calls is not None
    [call] = first.tool_calls
    assert (call.function.name, call.function.arguments) == ("get_weather", {"city": "Lisbon"})
    messages += [first, {"role": "tool", "tool_name": "get_weather", "content": "rain, 14 degrees"}]
    second = client.chat(CHAT, messages, tools=[get_weather]).message
    assert not second.tool_calls
    assert "rain, 14 degrees" in (second.content or "")


def test_ollama_format(client: ollama.Client) -> None:
    """A JSON schema gives JSON that has its required keys."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "who": {"type": "string"}}, "required": ["n"]}
    answer = httpx.Response(200, text=client.chat(CHAT, HELLO, format=schema).message.content or "").json()
    assert isinstance(answer["n"], int)


def test_embeddings_find_what_is_alike(client: ollama.Client) -> None:
    """The text that shares words lies nearest; the same text has the same vector."""
    texts = [
        "a scrape writes stale markers",
        "the price of bread in Vienna",
        "when is a stale marker written by a scrape?",
    ]
    a, b, question = client.embed(EMBED, texts).embeddings
    assert (
        sum(x * y for x, y in zip(a, question, strict=True))
        > sum(x * y for x, y in zip(b, question, strict=True)) + 0.2
    )
    assert client.embed(EMBED, texts[0]).embeddings[0] == a


def test_ollama_errors(client: ollama.Client) -> None:
    """An unknown model and a missing ability raise what the client raises of a real server."""
    with pytest.raises(ollama.ResponseError, match="model 'nope' not found") as missing:
        client.chat("nope", HELLO)
    assert missing.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match="does not support thinking"):
        client.chat(CHAT, HELLO, think=True)


async def test_ollama_async(sim: SimulatedOllama) -> None:
    """The asynchronous client streams, and eight of its calls at once are all answered."""
    client = ollama.AsyncClient(sim.url)
    stream = await client.chat(CHAT, HELLO, stream=True)
    assert [part.done async for part in stream][-1]
    answers = await asyncio.gather(*(client.chat(CHAT, HELLO, options={"num_predict": 9}) for _ in range(8)))
    assert {answer.eval_count for answer in answers} == {9}
    await client.close()


def test_openai_chat(openai_client: openai.OpenAI, sim: SimulatedOllama) -> None:
    """Completions, streams with usage, and tool calls through the openai client."""
    once = openai_client.chat.completions.create(model=CHAT, messages=HELLO, max_tokens=6)  # type: ignore[arg-type]
    assert once.choices[0].finish_reason == "length"
    assert once.usage is not None
    assert once.usage.completion_tokens == 6
    stream = openai_client.chat.completions.create(
        model=CHAT, messages=HELLO, stream=True, stream_options={"include_usage": True}  # type: ignore[arg-type]
    )  # fmt: skip
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == sim.log[-1].n_completion
    assert chunks[-1].usage.prompt_tokens_details is not None
    assert chunks[-1].usage.prompt_tokens_details.cached_tokens == sim.log[-1].n_cached


def test_openai_everything_else(openai_client: openai.OpenAI) -> None:
    """models, embeddings, completions, responses and a missing model through the openai client."""
    assert CHAT in {model.id for model in openai_client.models.list()}
    assert openai_client.models.retrieve(CHAT).owned_by == "library"
    assert len(openai_client.embeddings.create(model=EMBED, input=["a", "b"]).data[1].embedding) == 768
    assert openai_client.completions.create(model=CHAT, prompt="x", max_tokens=4).choices[0].text
    answer = openai_client.responses.create(model=CHAT, input="Say hello")
    assert answer.output_text
    kinds = [event.type for event in openai_client.responses.create(model=CHAT, input="Say hello", stream=True)]
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    with pytest.raises(openai.NotFoundError, match="model 'nope' not found"):
        openai_client.chat.completions.create(model="nope", messages=HELLO)  # type: ignore[arg-type]


async def test_openai_async_tools(sim: SimulatedOllama) -> None:
    """A streamed tool call finishes with tool_calls through the asynchronous openai client."""
    tool = {"type": "function", "function": {"name": "get_weather", "description": "Get the weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}  # fmt: skip
    async with openai.AsyncOpenAI(base_url=f"{sim.url}/v1", api_key="none") as client:
        stream = await client.chat.completions.create(
            model=CHAT, messages=[{"role": "user", "content": "weather in Oslo?"}], tools=[tool], stream=True  # type: ignore[call-overload]
        )  # fmt: skip
        chunks = [chunk async for chunk in stream]
    calls = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or ()]
    assert [call.function.arguments for call in calls] == ['{"city":"Oslo"}']
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_faults_as_clients_see_them() -> None:
    """Each fault is the exception or the end that the client makes of a real one."""
    seen = {}
    for kind in ("busy", "crash", "midstream", "early-end", "reset", "truncated"):
        with run_in_thread(SimulatorConfig(speed=50, faults=(Fault(kind, 1.0),))) as sim:
            client = ollama.Client(sim.url)
            try:
                parts = list(client.chat(CHAT, HELLO, stream=True))
                seen[kind] = parts[-1].done_reason or "no end"
            except ollama.ResponseError as error:
                seen[kind] = str(error.status_code)
            except httpx.HTTPError:
                seen[kind] = "broken"
            client.close()
            assert sim.log[-1].fault == kind
    assert seen == {
        "busy": "503", "crash": "500", "midstream": "-1", "early-end": "no end", "reset": "broken",
        "truncated": "length",
    }  # fmt: skip


def test_early_break_is_cancelled() -> None:
    """A client that closes its stream is noticed: the log says cancelled, the slot is free."""
    with run_in_thread(SimulatorConfig(speed=2)) as sim, httpx.Client(base_url=sim.url) as client:
        with client.stream("POST", "/api/chat", json={"model": CHAT, "messages": HELLO}) as answer:
            next(answer.iter_raw())
        for _ in range(2000):
            if sim.log:
                break
            client.get("/api/version")
        assert sim.log[-1].outcome == "cancelled"
        assert sim.log[-1].n_completion >= 1
        assert sim.queue_lengths() == (0, 0, 0)


def test_same_seed_same_answers() -> None:
    """Two servers with one seed answer alike, another seed differs."""

    def answers(seed: int) -> list[str]:
        with run_in_thread(SimulatorConfig(speed=100, seed=seed)) as sim:
            client = ollama.Client(sim.url)
            texts = [
                client.chat(CHAT, [{"role": "user", "content": f"say {i}"}]).message.content or "" for i in range(3)
            ]
            client.close()
            return texts

    assert answers(1) == answers(1) != answers(2)
