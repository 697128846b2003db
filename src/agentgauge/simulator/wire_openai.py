"""The bytes of /v1/chat/completions, /v1/completions, /v1/embeddings and /v1/models. Pure."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from typing import Any

from agentgauge.simulator.answer import Piece, Said, arguments_text
from agentgauge.simulator.gojson import go_json
from agentgauge.simulator.presets import Model
from agentgauge.simulator.scheduler import Timing
from agentgauge.simulator.versions import Traits
from agentgauge.simulator.wire import Exchange, Headers

JSON: Headers = (("Content-Type", "application/json"),)
SSE: Headers = (("Content-Type", "text/event-stream"),)
DONE = b"data: [DONE]\n\n"

_ERROR_TYPES = {400: "invalid_request_error", 404: "not_found_error"}


def usage(timing: Timing, traits: Traits) -> dict[str, Any]:
    """Return the ``usage`` object."""
    n_prompt = timing.n_prompt - (timing.n_cached if traits.count_without_cached else 0)
    counts: dict[str, Any] = {
        "prompt_tokens": n_prompt,
        "completion_tokens": timing.n_generated,
        "total_tokens": n_prompt + timing.n_generated,
    }
    if traits.cached_counts:
        counts["prompt_tokens_details"] = {"cached_tokens": timing.n_cached}
    return counts


def openai_error(status: int, message: str) -> bytes:
    """Return the error object of /v1."""
    error = {"message": message, "type": _ERROR_TYPES.get(status, "api_error"), "param": None, "code": None}
    return go_json({"error": error}) + b"\n"


def openai_models(models: Sequence[tuple[Model, int]]) -> bytes:
    """Return /v1/models; each model with the second it was changed."""
    data = [
        {"id": model.name, "object": "model", "created": changed_s, "owned_by": "library"}
        for model, changed_s in models
    ]
    return go_json({"object": "list", "data": data}) + b"\n"


def openai_model(model: Model, changed_s: int) -> bytes:
    """Return /v1/models/NAME."""
    return go_json({"id": model.name, "object": "model", "created": changed_s, "owned_by": "library"}) + b"\n"


def openai_embedded(model: str, vectors: Sequence[Sequence[float]], timing: Timing, encoding: str) -> bytes:
    """Return /v1/embeddings, as numbers or as base64 of little-endian float32."""
    shown: Sequence[object] = vectors
    if encoding == "base64":
        shown = [base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() for vector in vectors]
    data = [{"object": "embedding", "embedding": vector, "index": index} for index, vector in enumerate(shown)]
    counts = {"prompt_tokens": timing.n_prompt, "total_tokens": timing.n_prompt}
    return go_json({"object": "list", "data": data, "model": model, "usage": counts}) + b"\n"


def _event(value: object) -> bytes:
    return b"data: " + go_json(value) + b"\n\n"


class OpenAIChat:
    """Writes /v1/chat/completions."""

    stream_headers = SSE
    json_headers = JSON

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._said = Said()
        self._created_s = 0
        self._started = False

    def piece(self, piece: Piece, wall_ns: int) -> bytes:
        """Return one event for a piece that shows something."""
        self._said.add(piece)
        if not piece.shows():
            return b""
        delta: dict[str, Any] = {"content": piece.content}
        if piece.thinking:
            delta["reasoning"] = piece.thinking
        if piece.call:
            delta["tool_calls"] = [_openai_call(piece)]
        return self._chunk(delta, None, wall_ns)

    def last(self, timing: Timing, done_reason: str, wall_ns: int) -> bytes:
        """Return the finish, the usage when it was asked for, and ``[DONE]``."""
        traits = self._exchange.traits
        delta = {} if traits.finish_chunk and self._started else {"content": ""}
        reason = self._reason(done_reason) if traits.finish_chunk else done_reason
        end = self._chunk(delta, reason, wall_ns)
        if self._exchange.call.include_usage and traits.usage_in_streams:
            end += _event({**self._start(wall_ns), "choices": [], "usage": usage(timing, traits)})
        return end + DONE

    def whole(self, timing: Timing, done_reason: str, wall_ns: int) -> bytes:
        """Return the one object."""
        message: dict[str, Any] = {"role": "assistant", "content": self._said.text()}
        if self._said.thinking:
            message["reasoning"] = self._said.thoughts()
        if self._said.calls:
            message["tool_calls"] = [_openai_call(piece) for piece in self._said.calls]
        choice = {"index": 0, "message": message, "finish_reason": self._reason(done_reason)}
        start = {**self._start(wall_ns), "object": "chat.completion"}
        return go_json({**start, "choices": [choice], "usage": usage(timing, self._exchange.traits)}) + b"\n"

    def broken(self, _message: str, wall_ns: int) -> bytes:
        """Return the empty chunk that a dying model leaves: no model, no text, and then the stream ends."""
        choice = {"index": 0, "delta": self._with_role({"content": ""}), "finish_reason": None}
        return _event({**self._start(wall_ns), "model": "", "choices": [choice]})

    def _start(self, wall_ns: int) -> dict[str, Any]:
        if not self._created_s or not self._exchange.traits.finish_chunk:
            self._created_s = wall_ns // 1_000_000_000
        return {
            "id": self._exchange.ids["chatcmpl"],
            "object": "chat.completion.chunk",
            "created": self._created_s,
            "model": self._exchange.call.model,
            "system_fingerprint": "fp_ollama",
        }

    def _with_role(self, delta: dict[str, Any]) -> dict[str, Any]:
        first_or_old = not self._started or not self._exchange.traits.finish_chunk
        self._started = True
        return {"role": "assistant", **delta} if first_or_old and delta else delta

    def _chunk(self, delta: dict[str, Any], reason: str | None, wall_ns: int) -> bytes:
        choice = {"index": 0, "delta": self._with_role(delta), "finish_reason": reason}
        return _event({**self._start(wall_ns), "choices": [choice]})

    def _reason(self, done_reason: str) -> str:
        return "tool_calls" if self._said.calls and done_reason == "stop" else done_reason


def _openai_call(piece: Piece) -> dict[str, Any]:
    assert piece.call is not None, "BUG: a piece without a call among the calls"
    function = {"name": piece.call.name, "arguments": arguments_text(piece.call)}
    return {"id": piece.call_id, "index": piece.call_index, "type": "function", "function": function}


class OpenAICompletion:
    """Writes /v1/completions. With include_usage every chunk has a usage, zeros but for the last."""

    stream_headers = SSE
    json_headers = JSON

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._said = Said()

    def piece(self, piece: Piece, wall_ns: int) -> bytes:
        """Return one event for a piece of text."""
        self._said.add(piece)
        return self._chunk(piece.content, None, wall_ns) if piece.content else b""

    def last(self, timing: Timing, done_reason: str, wall_ns: int) -> bytes:
        """Return the finish, the usage when it was asked for, and ``[DONE]``."""
        end = self._chunk("", done_reason, wall_ns)
        if self._exchange.call.include_usage:
            counts = {"usage": usage(timing, self._exchange.traits)}
            end += _event({**self._start(wall_ns, "text_completion", []), **counts})
        return end + DONE

    def whole(self, timing: Timing, done_reason: str, wall_ns: int) -> bytes:
        """Return the one object."""
        call = self._exchange.call
        object_ = {
            "id": self._exchange.ids["cmpl"],
            "object": "text_completion",
            "created": wall_ns // 1_000_000_000,
            "model": call.model,
            "system_fingerprint": "fp_ollama",
            "choices": [{"text": self._said.text(), "index": 0, "finish_reason": done_reason}],
            "usage": usage(timing, self._exchange.traits),
        }
        return go_json(object_) + b"\n"

    def broken(self, _message: str, wall_ns: int) -> bytes:
        """Return the empty chunk that a dying model leaves."""
        choices = [{"text": "", "index": 0, "finish_reason": None}]
        return _event({**self._start(wall_ns, "text_completion", choices), "model": ""})

    def _chunk(self, text: str, reason: str | None, wall_ns: int) -> bytes:
        value = self._start(wall_ns, "text_completion", [{"text": text, "index": 0, "finish_reason": reason}])
        if self._exchange.call.include_usage:
            value["usage"] = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        return _event(value)

    def _start(self, wall_ns: int, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._exchange.ids["cmpl"],
            "object": kind,
            "created": wall_ns // 1_000_000_000,
            "choices": choices,
            "model": self._exchange.call.model,
            "system_fingerprint": "fp_ollama",
        }
