"""The native Ollama wire, read from bytes: against recordings of a real server and against what we compose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgauge.model.span import TokenUsage
from agentgauge.providers import CallFacts, ServerTimes
from agentgauge.providers.ollama import OllamaExchange, phases_within

FINAL = (
    b'{"model":"m","created_at":"2026-11-23T22:56:45Z","message":{"role":"assistant","content":""},"done":true,'
    b'"done_reason":"stop","total_duration":350,"load_duration":100,"prompt_eval_count":27,"prompt_eval_duration":40,'
    b'"eval_count":6,"eval_duration":60}\n'
)
TOKEN = (
    b'{"model":"m","created_at":"2026-11-23T22:56:45Z","message":{"role":"assistant","content":" hi"},"done":false}\n'
)


def recorded(shared_data: Path, name: str) -> tuple[dict[str, Any], bytes, list[bytes]]:
    """Return a recording, its request body and the bytes of its response as they were read."""
    exchange = json.loads((shared_data / "ollama" / f"{name}.json").read_text())
    return exchange, json.dumps(exchange["request"]["body"]).encode(), [text.encode() for _, text in exchange["chunks"]]


def facts_of(
    request: bytes, reads: list[bytes], *, status: int = 200, streamed: bool, complete: bool = True
) -> CallFacts:
    """Feed one exchange and sum it up."""
    exchange = OllamaExchange(request)
    exchange.respond(status, streamed=streamed)
    for data in reads:
        exchange.feed(data)
    return exchange.finish(complete=complete)


@pytest.mark.parametrize(
    ("name", "prompt", "completion"),
    [("chat_stream", 27, 6), ("chat_once", 27, 6), ("generate_stream", None, None), ("tools_stream", 206, None)],
)
def test_recorded_calls_give_usage_and_times(
    shared_data: Path, name: str, prompt: int | None, completion: int | None
) -> None:
    """A recorded call is a success whose residual is the few milliseconds of an idle queue."""
    exchange, request, reads = recorded(shared_data, name)
    facts = facts_of(request, reads, streamed="stream" in name)
    assert (facts.status, facts.counts, facts.model) == ("success", True, exchange["request"]["body"]["model"])
    assert facts.usage is not None and facts.times is not None
    assert prompt is None or facts.usage.prompt == prompt
    assert completion is None or facts.usage.completion == completion
    assert facts.usage.cached is None
    assert 1_800_000 <= facts.times.queue_ns <= 2_800_000


def test_recorded_tool_turn_is_held_back(shared_data: Path) -> None:
    """A turn that brings a tool call says that the client's clock knows nothing of its first token."""
    _, request, reads = recorded(shared_data, "tools_stream")
    assert facts_of(request, reads, streamed=True).held_back
    _, request, reads = recorded(shared_data, "chat_stream")
    assert not facts_of(request, reads, streamed=True).held_back


@pytest.mark.parametrize("name", ["load", "unload"])
def test_loading_is_no_call(shared_data: Path, name: str) -> None:
    """Loading and unloading a model stay out of the statistics."""
    _, request, reads = recorded(shared_data, name)
    assert not facts_of(request, reads, streamed=False).counts


@pytest.mark.parametrize(
    ("name", "error_type"),
    [
        ("err_404_chat", "model_not_found"),
        ("err_404_embed", "model_not_found"),
        ("err_400_model", "http_4xx"),
        ("err_400_tools", "http_4xx"),
    ],
)
def test_recorded_refusals(shared_data: Path, name: str, error_type: str) -> None:
    """A refused request is an error of a bounded type."""
    exchange, request, reads = recorded(shared_data, name)
    facts = facts_of(request, reads, status=exchange["status"], streamed=False)
    assert (facts.status, facts.error_type) == ("error", error_type)


@given(st.data())
def test_any_cut_gives_the_same_facts(data: st.DataObject) -> None:
    """Where the reads of a stream are cut changes nothing."""
    body = TOKEN * 5 + FINAL
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=30)))
    reads = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    expected = CallFacts(
        "m", "success", usage=TokenUsage(27, 6, None), times=ServerTimes(350, 100, 40, 60), held_back=False
    )
    assert facts_of(b'{"model":"m","messages":[]}', reads, streamed=True) == expected


def test_byte_by_byte_equals_whole() -> None:
    """A stream that arrives byte by byte gives what it gives in one piece."""
    body = TOKEN * 3 + FINAL
    whole = facts_of(b'{"model":"m"}', [body], streamed=True)
    assert facts_of(b'{"model":"m"}', [bytes([b]) for b in body], streamed=True) == whole


def test_text_that_looks_like_figures_is_text() -> None:
    """An answer that quotes the wire's own fields is not mistaken for them."""
    quoted = json.dumps({"total_duration": 1, "eval_count": 999})
    line = json.dumps({"model": "m", "message": {"content": quoted}, "done": False}, separators=(",", ":")).encode()
    facts = facts_of(b'{"model":"m"}', [line + b"\n", FINAL], streamed=True)
    assert facts.usage is not None and facts.usage.completion == 6


@pytest.mark.parametrize(
    ("reads", "complete", "status", "error_type"),
    [
        ([TOKEN, b'{"error":"an error was encountered while running the model: x"}\n'], True, "error", "stream_error"),
        ([TOKEN, TOKEN], True, "error", "stream_truncated"),
        ([TOKEN, TOKEN[:20]], True, "error", "stream_truncated"),
        ([TOKEN, b"\x00garbage\n"], True, "error", "stream_malformed"),
        ([TOKEN, b"garbage\n"], False, "error", "stream_malformed"),
        ([TOKEN, TOKEN], False, "cancelled", ""),
        ([], False, "cancelled", ""),
        ([TOKEN, FINAL], False, "success", ""),
    ],
)
def test_how_a_stream_ends(reads: list[bytes], complete: bool, status: str, error_type: str) -> None:
    """An error line, a broken-off stream and a reader who left are told apart."""
    facts = facts_of(b'{"model":"m"}', reads, streamed=True, complete=complete)
    assert (facts.status, facts.error_type) == (status, error_type)


@pytest.mark.parametrize(
    ("options", "prompt", "completion", "reason", "expected"),
    [
        ({"num_predict": 6}, 27, 6, "length", "output_limit"),
        ({}, 27, 6, "length", "context"),
        ({"num_predict": 100}, 27, 6, "length", "context"),
        ({"num_ctx": 2048}, 2048, 6, "stop", "context"),
        ({"num_ctx": 2048}, 1026, 6, "stop", "context"),
        ({"num_ctx": 2048}, 1000, 1100, "stop", "context"),
        ({"num_ctx": 2048}, 900, 6, "stop", ""),
        ({}, 900, 6, "stop", ""),
    ],
)
def test_truncation(options: dict[str, int], prompt: int, completion: int, reason: str, expected: str) -> None:
    """A cut context and a reached output limit are told apart, and neither is seen where nothing proves it."""
    request = json.dumps({"model": "m", "options": options, "messages": [{"content": "x" * 9000}]}).encode()
    final = {
        "done": True,
        "done_reason": reason,
        "total_duration": 9,
        "prompt_eval_count": prompt,
        "eval_count": completion,
    }
    body = json.dumps(final, separators=(",", ":")).encode()
    assert facts_of(request, [body], streamed=False).truncation == expected


@given(
    st.builds(ServerTimes, *[st.integers(0, 10**11)] * 4, st.booleans()),
    st.integers(0, 10**11),
)
def test_phases_sum_to_the_wall_clock(times: ServerTimes, wall_ns: int) -> None:
    """Whatever the server claims, the phases are none below zero and sum to the call exactly."""
    p = phases_within(times, wall_ns)
    parts = (p.client_wait_ns, p.queue_ns, p.load_ns, p.prefill_ns, p.decode_ns, p.network_ns)
    assert min(parts) >= 0
    assert sum(parts) == wall_ns


def test_a_residual_of_handling_is_no_queue() -> None:
    """Below 50 ms the residual counts as handling; above it is waiting."""
    idle = ServerTimes(total_ns=107_000_000, load_ns=1_000_000, prefill_ns=6_000_000, decode_ns=93_000_000)
    assert phases_within(idle, 110_000_000).queue_ns == 0
    busy = ServerTimes(total_ns=900_000_000, load_ns=1_000_000, prefill_ns=6_000_000, decode_ns=93_000_000)
    assert phases_within(busy, 910_000_000).queue_ns == 800_000_000


@given(st.binary(max_size=300), st.lists(st.binary(max_size=200), max_size=5), st.booleans(), st.booleans())
def test_garbage_never_raises(request: bytes, reads: list[bytes], streamed: bool, complete: bool) -> None:
    """Any bytes in either direction give facts, never an exception."""
    facts = facts_of(request, reads, streamed=streamed, complete=complete)
    assert facts.status in {"success", "error", "cancelled"}
