"""The bytes of /v1/messages. Pure."""

from __future__ import annotations

import json
from typing import Any

from agentgauge.simulator.answer import Piece, Said, arguments_text
from agentgauge.simulator.gojson import go_json
from agentgauge.simulator.scheduler import Timing
from agentgauge.simulator.wire import Exchange, Headers

JSON: Headers = (("Content-Type", "application/json"),)
SSE: Headers = (("Cache-Control", "no-cache"), ("Connection", "keep-alive"), ("Content-Type", "text/event-stream"))

_ERROR_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    429: "rate_limit_error", 503: "overloaded_error", 529: "overloaded_error",
}  # fmt: skip
_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens"}


def anthropic_error(status: int, message: str, request_id: str) -> bytes:
    """Return the error object of /v1/messages."""
    error = {"type": _ERROR_TYPES.get(status, "api_error"), "message": message}
    return go_json({"type": "error", "error": error, "request_id": request_id}) + b"\n"


def _event(kind: str, data: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), go_json({"type": kind, **data}))


class AnthropicMessages:
    """Writes /v1/messages: content blocks that open and close around thinking, text and tool calls."""

    stream_headers = SSE
    json_headers = JSON

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._said = Said()
        self._started = False
        self._open = ""  # the kind of the block under way
        self._index = 0

    def piece(self, piece: Piece, _wall_ns: int) -> bytes:
        """Return the events of a piece that shows something."""
        self._said.add(piece)
        if piece.call:
            return self._begin() + self._close() + self._tool_use(piece)
        if piece.thinking:
            return self._begin() + self._delta("thinking", "thinking_delta", piece.thinking)
        if piece.content:
            return self._begin() + self._delta("text", "text_delta", piece.content)
        return b""

    def last(self, timing: Timing, done_reason: str, _wall_ns: int) -> bytes:
        """Return the end of the last block, the stop reason with the true usage, and the end of the message."""
        end = self._begin() + self._close()
        delta = {"delta": {"stop_reason": self._reason(done_reason)}, "usage": self._usage(timing)}
        return end + _event("message_delta", delta) + _event("message_stop", {})

    def whole(self, timing: Timing, done_reason: str, _wall_ns: int) -> bytes:
        """Return the one object."""
        content: list[dict[str, Any]] = []
        if self._said.thinking:
            content.append({"type": "thinking", "thinking": self._said.thoughts()})
        if self._said.content:
            content.append({"type": "text", "text": self._said.text()})
        for piece in self._said.calls:
            assert piece.call is not None, "BUG: a piece without a call among the calls"
            name, arguments = piece.call.name, piece.call.arguments
            content.append({"type": "tool_use", "id": piece.call_id, "name": name, "input": arguments})
        end = {"content": content, "stop_reason": self._reason(done_reason), "usage": self._usage(timing)}
        return go_json({**self._message(), **end}) + b"\n"

    def broken(self, _message: str, _wall_ns: int) -> bytes:
        """Return nothing: the stream just ends."""
        return b""

    def _message(self) -> dict[str, Any]:
        call = self._exchange.call
        return {"id": self._exchange.ids["msg"], "type": "message", "role": "assistant", "model": call.model}

    def _begin(self) -> bytes:
        if self._started:
            return b""
        self._started = True
        counts = {"input_tokens": self._estimate(), "output_tokens": 0}
        return _event("message_start", {"message": {**self._message(), "content": [], "usage": counts}})

    def _estimate(self) -> int:
        """Return what the stream's start says of the prompt: its characters, a quarter of them, and nothing better."""
        call = self._exchange.call
        n = sum(len(str(message.get("content") or "")) + len(str(message.get("role"))) for message in call.messages)
        n += sum(len(json.dumps(tool)) for tool in call.tools)
        return max(1, n // 4)

    def _delta(self, kind: str, delta_kind: str, text: str) -> bytes:
        start = b""
        if self._open != kind:
            start = self._close()
            self._open = kind
            block = {"content_block": {"type": kind, kind: ""}}
            start += _event("content_block_start", {"index": self._index, **block})
        key = kind if kind == "thinking" else "text"
        return start + _event("content_block_delta", {"index": self._index, "delta": {"type": delta_kind, key: text}})

    def _close(self) -> bytes:
        if not self._open:
            return b""
        self._open = ""
        self._index += 1
        return _event("content_block_stop", {"index": self._index - 1})

    def _tool_use(self, piece: Piece) -> bytes:
        assert piece.call is not None, "BUG: a tool use without a call"
        block = {"type": "tool_use", "id": piece.call_id, "name": piece.call.name, "input": {}}
        events = _event("content_block_start", {"index": self._index, "content_block": block})
        delta = {"type": "input_json_delta", "partial_json": arguments_text(piece.call)}
        events += _event("content_block_delta", {"index": self._index, "delta": delta})
        self._open = "tool_use"
        return events + self._close()

    def _usage(self, timing: Timing) -> dict[str, int]:
        if not self._exchange.traits.cached_counts:
            return {"input_tokens": timing.n_prompt, "output_tokens": timing.n_generated}
        fresh = timing.n_prompt - timing.n_cached
        return {
            "input_tokens": fresh,
            "output_tokens": timing.n_generated,
            "cache_read_input_tokens": timing.n_cached,
        }

    def _reason(self, done_reason: str) -> str:
        return "tool_use" if self._said.calls else _STOP_REASONS[done_reason]
