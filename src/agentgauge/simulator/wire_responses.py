"""The bytes of /v1/responses. Pure. Keys of stream events are alphabetical, those of the one object are not."""

from __future__ import annotations

from typing import Any

from agentgauge.simulator.answer import Piece, Said, arguments_text
from agentgauge.simulator.gojson import go_json, go_json_sorted
from agentgauge.simulator.scheduler import Timing
from agentgauge.simulator.wire import Exchange, Headers

JSON: Headers = (("Content-Type", "application/json"),)
SSE: Headers = (("Cache-Control", "no-cache"), ("Connection", "keep-alive"), ("Content-Type", "text/event-stream"))


class OpenAIResponses:
    """Writes /v1/responses: output items that open and close around reasoning, text and function calls."""

    stream_headers = SSE
    json_headers = JSON

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._said = Said()
        self._sequence = 0
        self._created_s = 0
        self._open = ""  # the kind of the item under way: reasoning, message or none
        self._items: list[dict[str, Any]] = []

    def piece(self, piece: Piece, wall_ns: int) -> bytes:
        """Return the events of a piece that shows something."""
        self._said.add(piece)
        if piece.call:
            return self._begin(wall_ns) + self._close() + self._function_call(piece)
        if piece.thinking:
            return self._begin(wall_ns) + self._reasoning(piece.thinking)
        return self._begin(wall_ns) + self._text(piece.content) if piece.content else b""

    def last(self, timing: Timing, _done_reason: str, wall_ns: int) -> bytes:
        """Return the ends of what is open and ``response.completed``, whatever the reason."""
        end = self._begin(wall_ns) + self._close()
        done = self._object("completed", self._items, self._usage(timing))
        done["completed_at"] = wall_ns // 1_000_000_000
        return end + self._event("response.completed", {"response": done})

    def whole(self, timing: Timing, _done_reason: str, wall_ns: int) -> bytes:
        """Return the one object."""
        self._created_s = wall_ns // 1_000_000_000
        output: list[dict[str, Any]] = []
        if self._said.thinking:
            output.append(self._reasoning_item(self._said.thoughts()))
        output += [self._call_item(piece, index) for index, piece in enumerate(self._said.calls)]
        if not self._said.calls:
            output.append(self._message_item(self._said.text()))
        body = self._object("completed", output, self._usage(timing))
        body["completed_at"] = self._created_s
        return go_json(body) + b"\n"

    def broken(self, _message: str, _wall_ns: int) -> bytes:
        """Return nothing: the stream just ends."""
        return b""

    # -- events

    def _event(self, kind: str, data: dict[str, Any]) -> bytes:
        data |= {"type": kind, "sequence_number": self._sequence}
        self._sequence += 1
        return b"event: %s\ndata: %s\n\n" % (kind.encode(), go_json_sorted(data))

    def _begin(self, wall_ns: int) -> bytes:
        if self._sequence:
            return b""
        self._created_s = wall_ns // 1_000_000_000
        start = self._event("response.created", {"response": self._object("in_progress", [], None)})
        return start + self._event("response.in_progress", {"response": self._object("in_progress", [], None)})

    def _reasoning(self, text: str) -> bytes:
        start = b""
        if self._open != "reasoning":
            start, self._open = self._close(), "reasoning"
            item = {"id": self._reasoning_id(), "type": "reasoning", "summary": []}
            start += self._event("response.output_item.added", {"output_index": len(self._items), "item": item})
        where = {"item_id": self._reasoning_id(), "output_index": len(self._items), "summary_index": 0}
        return start + self._event("response.reasoning_summary_text.delta", {**where, "delta": text})

    def _text(self, text: str) -> bytes:
        start = b""
        if self._open != "message":
            start, self._open = self._close(), "message"
            item = {"id": self._exchange.ids["item"], "type": "message", "status": "in_progress", "role": "assistant"}
            added = {"output_index": len(self._items), "item": {**item, "content": []}}
            start += self._event("response.output_item.added", added)
            start += self._event("response.content_part.added", {**self._part_at(), "part": _output_text("")})
        return start + self._event("response.output_text.delta", {**self._part_at(), "delta": text, "logprobs": []})

    def _part_at(self) -> dict[str, Any]:
        return {"item_id": self._exchange.ids["item"], "output_index": len(self._items), "content_index": 0}

    def _close(self) -> bytes:
        kind, self._open = self._open, ""
        index = len(self._items)
        if kind == "reasoning":
            text, item = self._said.thoughts(), self._reasoning_item(self._said.thoughts())
            where = {"item_id": self._reasoning_id(), "output_index": index, "summary_index": 0}
            events = self._event("response.reasoning_summary_text.done", {**where, "text": text})
        elif kind == "message":
            text, item = self._said.text(), self._message_item(self._said.text())
            events = self._event("response.output_text.done", {**self._part_at(), "text": text, "logprobs": []})
            events += self._event("response.content_part.done", {**self._part_at(), "part": _output_text(text)})
        else:
            return b""
        self._items.append(item)
        return events + self._event("response.output_item.done", {"output_index": index, "item": item})

    def _function_call(self, piece: Piece) -> bytes:
        index, item = len(self._items), self._call_item(piece, piece.call_index)
        added = {**item, "status": "in_progress", "arguments": ""}
        where = {"item_id": item["id"], "output_index": index}
        events = self._event("response.output_item.added", {"output_index": index, "item": added})
        events += self._event("response.function_call_arguments.delta", {**where, "delta": item["arguments"]})
        events += self._event("response.function_call_arguments.done", {**where, "arguments": item["arguments"]})
        self._items.append(item)
        return events + self._event("response.output_item.done", {"output_index": index, "item": item})

    # -- objects

    def _reasoning_id(self) -> str:
        return self._exchange.ids["response"].replace("resp_", "rs_")

    def _reasoning_item(self, text: str) -> dict[str, Any]:
        summary = [{"type": "summary_text", "text": text}]
        return {"id": self._reasoning_id(), "type": "reasoning", "summary": summary, "encrypted_content": text}

    def _message_item(self, text: str) -> dict[str, Any]:
        start = {"id": self._exchange.ids["item"], "type": "message", "status": "completed", "role": "assistant"}
        return {**start, "content": [_output_text(text)]}

    def _call_item(self, piece: Piece, index: int) -> dict[str, Any]:
        assert piece.call is not None, "BUG: a function call without a call"
        return {
            "id": f"{self._exchange.ids['response'].replace('resp_', 'fc_')}_{index}",
            "type": "function_call",
            "status": "completed",
            "call_id": piece.call_id,
            "name": piece.call.name,
            "arguments": arguments_text(piece.call),
        }

    def _usage(self, timing: Timing) -> dict[str, Any]:
        cached = timing.n_cached if self._exchange.traits.cached_counts else 0
        return {
            "input_tokens": timing.n_prompt,
            "output_tokens": timing.n_generated,
            "total_tokens": timing.n_prompt + timing.n_generated,
            "input_tokens_details": {"cached_tokens": cached},
            "output_tokens_details": {"reasoning_tokens": 0},
        }

    def _object(self, status: str, output: list[dict[str, Any]], counts: dict[str, Any] | None) -> dict[str, Any]:
        asked = self._exchange.call.body
        return {
            "id": self._exchange.ids["response"],
            "object": "response",
            "created_at": self._created_s,
            "completed_at": None,
            "status": status,
            "incomplete_details": None,
            "model": self._exchange.call.model,
            "previous_response_id": None,
            "instructions": asked.get("instructions") or None,
            "output": list(output),
            "error": None,
            "tools": [_tool(tool) for tool in asked.get("tools") or ()],
            "tool_choice": "auto",
            "truncation": asked.get("truncation") or "disabled",
            "parallel_tool_calls": True,
            "text": {"format": (asked.get("text") or {}).get("format") or {"type": "text"}},
            "top_p": asked.get("top_p", 1),
            "presence_penalty": 0,
            "frequency_penalty": 0,
            "top_logprobs": 0,
            "temperature": asked.get("temperature", 1),
            "reasoning": _reasoning_asked(asked.get("reasoning") or {}),
            "usage": counts,
            "max_output_tokens": asked.get("max_output_tokens"),
            "max_tool_calls": None,
            "store": False,
            "background": False,
            "service_tier": "default",
            "metadata": {},
            "safety_identifier": None,
            "prompt_cache_key": None,
        }


def _output_text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    return {key: tool.get(key) for key in ("type", "name", "description", "strict", "parameters")}


def _reasoning_asked(asked: dict[str, Any]) -> dict[str, Any] | None:
    return {"effort": asked.get("effort"), "summary": asked.get("summary")} if asked else None
