"""The native API's bytes: /api/chat, /api/generate, /api/embed, and what every protocol's writer has to do.

Pure. A ``Writer`` is fed a reply's pieces as they are generated and returns what is sent for each; for a request
without streaming it returns the whole body at the end. Key order is that of Ollama's structs; zeros are absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from agentgauge.simulator.answer import Piece, Said
from agentgauge.simulator.calls import Call
from agentgauge.simulator.gojson import go_json, rfc3339, without_zeros
from agentgauge.simulator.scheduler import Timing
from agentgauge.simulator.versions import Traits

Headers = tuple[tuple[str, str], ...]

JSON: Headers = (("Content-Type", "application/json; charset=utf-8"),)
NDJSON: Headers = (("Content-Type", "application/x-ndjson"),)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a writer knows of the request that it answers.

    Attributes:
        number: of the request, 0 and up; ids are made from it and the seed.
        context: token numbers of prompt and reply, for ``/api/generate``.
    """

    call: Call
    traits: Traits
    number: int = 0
    context: Sequence[int] = ()
    tools_in_last: bool = False
    ids: Mapping[str, str] = field(default_factory=dict)


class Writer(Protocol):
    """One protocol's way of sending a reply. Times are wall-clock nanoseconds since the epoch."""

    stream_headers: Headers
    json_headers: Headers

    def piece(self, piece: Piece, wall_ns: int) -> bytes:
        """Return what is sent when this piece is there; nothing when it shows nothing yet."""

    def last(self, timing: Timing, done_reason: str, wall_ns: int) -> bytes:
        """Return the end of the stream."""

    def whole(self, timing: Timing, done_reason: str, wall_ns: int) -> bytes:
        """Return the whole answer of a request that does not stream."""

    def broken(self, message: str, wall_ns: int) -> bytes:
        """Return what is sent when the model dies in mid-stream."""


def metrics(timing: Timing, traits: Traits) -> dict[str, int]:
    """Return the native counters and durations, in order, zeros left out."""
    grain = 1_000_000 if traits.whole_milliseconds else 1_000
    n_prompt = timing.n_prompt - (timing.n_cached if traits.count_without_cached else 0)
    fields = {
        "total_duration": timing.total_ns,
        "load_duration": timing.load_ns,
        "prompt_eval_count": n_prompt,
        "prompt_eval_cached_count": 0,
        "prompt_eval_duration": timing.prompt_eval_ns // grain * grain,
        "eval_count": timing.n_generated,
        "eval_duration": timing.eval_ns // grain * grain,
    }
    shown = without_zeros(fields)
    if traits.cached_counts and timing.n_prompt:
        fields["prompt_eval_cached_count"] = timing.n_cached
        shown = {key: value for key, value in fields.items() if value or key == "prompt_eval_cached_count"}
    return shown


def native_calls(calls: Sequence[Piece], traits: Traits) -> list[dict[str, Any]]:
    """Return tool calls as /api/chat shows them."""
    return [_native_call(piece, traits) for piece in calls]


def _native_call(piece: Piece, traits: Traits) -> dict[str, Any]:
    assert piece.call is not None, "BUG: a piece without a call among the calls"
    function: dict[str, Any] = {"index": piece.call_index}
    if not traits.tool_ids and not piece.call_index:
        function = {}
    function |= {"name": piece.call.name, "arguments": piece.call.arguments}
    return {"id": piece.call_id, "function": function} if traits.tool_ids else {"function": function}


class NativeChat:
    """Writes /api/chat."""

    stream_headers = NDJSON
    json_headers = JSON

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._said = Said()
        self._held = exchange.call.tools and not exchange.traits.streams_with_tools
        self._held_calls: list[Piece] = []

    def piece(self, piece: Piece, wall_ns: int) -> bytes:
        """Return one object and a newline for a piece that shows something."""
        self._said.add(piece)
        if piece.call and self._exchange.tools_in_last:
            self._held_calls.append(piece)
            return b""
        if not piece.shows() or (self._held and not piece.call):
            return b""
        message = self._message(piece.content, piece.thinking, [piece] if piece.call else [])
        return go_json({**self._start(wall_ns), "message": message, "done": False}) + b"\n"

    def last(self, timing: Timing, done_reason: str, wall_ns: int) -> bytes:
        """Return the final object and a newline."""
        text = self._said.text() if self._held and not self._said.calls else ""
        message = self._message(text, "", self._held_calls)
        return go_json(self._final(message, timing, done_reason, wall_ns)) + b"\n"

    def whole(self, timing: Timing, done_reason: str, wall_ns: int) -> bytes:
        """Return the one object."""
        message = self._message(self._said.text(), self._said.thoughts(), self._said.calls)
        return go_json(self._final(message, timing, done_reason, wall_ns))

    def broken(self, message: str, _wall_ns: int) -> bytes:
        """Return the error line."""
        return go_json({"error": message}) + b"\n"

    def _start(self, wall_ns: int) -> dict[str, Any]:
        return {"model": self._exchange.call.model, "created_at": rfc3339(wall_ns)}

    def _message(self, content: str, thinking: str, calls: Sequence[Piece]) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": content}
        if thinking:
            message["thinking"] = thinking
        if calls:
            message["tool_calls"] = native_calls(calls, self._exchange.traits)
        return message

    def _final(self, message: dict[str, Any], timing: Timing, done_reason: str, wall_ns: int) -> dict[str, Any]:
        end = {"message": message, "done": True, "done_reason": done_reason}
        return {**self._start(wall_ns), **end, **metrics(timing, self._exchange.traits)}


class NativeGenerate:
    """Writes /api/generate."""

    stream_headers = NDJSON
    json_headers = JSON

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._said = Said()

    def piece(self, piece: Piece, wall_ns: int) -> bytes:
        """Return one object and a newline for a piece that shows something."""
        self._said.add(piece)
        if not piece.shows():
            return b""
        return go_json({**self._start(wall_ns, piece.content, piece.thinking), "done": False}) + b"\n"

    def last(self, timing: Timing, done_reason: str, wall_ns: int) -> bytes:
        """Return the final object and a newline."""
        return go_json(self._final("", "", timing, done_reason, wall_ns)) + b"\n"

    def whole(self, timing: Timing, done_reason: str, wall_ns: int) -> bytes:
        """Return the one object."""
        return go_json(self._final(self._said.text(), self._said.thoughts(), timing, done_reason, wall_ns))

    def broken(self, message: str, _wall_ns: int) -> bytes:
        """Return the error line."""
        return go_json({"error": message}) + b"\n"

    def _start(self, wall_ns: int, response: str, thinking: str) -> dict[str, Any]:
        start = {"model": self._exchange.call.model, "created_at": rfc3339(wall_ns), "response": response}
        return {**start, "thinking": thinking} if thinking else start

    def _final(self, text: str, thoughts: str, timing: Timing, done_reason: str, wall_ns: int) -> dict[str, Any]:
        final = {**self._start(wall_ns, text, thoughts), "done": True, "done_reason": done_reason}
        if not self._exchange.call.raw:
            final["context"] = list(self._exchange.context)
        return {**final, **metrics(timing, self._exchange.traits)}


def native_loaded(call: Call, done_reason: str, wall_ns: int) -> bytes:
    """Return the answer to a request that only loads or unloads a model."""
    start: dict[str, Any] = {"model": call.model, "created_at": rfc3339(wall_ns)}
    shown = {"response": ""} if call.shape == "generate" else {"message": {"role": "assistant", "content": ""}}
    return go_json({**start, **shown, "done": True, "done_reason": done_reason})


def native_embedded(call: Call, vectors: Sequence[Sequence[float]], timing: Timing) -> bytes:
    """Return the answer of /api/embed, or of the older /api/embeddings."""
    if call.shape == "embeddings":
        return go_json({"embedding": vectors[0] if vectors else []})
    counts = {"total_duration": timing.total_ns, "load_duration": timing.load_ns, "prompt_eval_count": timing.n_prompt}
    return go_json({"model": call.model, "embeddings": vectors, **without_zeros(counts)})


def native_error(message: str) -> bytes:
    """Return the native error object."""
    return go_json({"error": message})
