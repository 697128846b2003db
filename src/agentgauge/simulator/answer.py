"""A reply as the tokens that are generated and what each of them shows to the client.

A script decides what the model says (``Reply``); here it becomes tokens, is cut at the limit, and each token gets its
``Piece``: a bit of thinking, of text, a finished tool call, or nothing (a tool call under way, the end of sequence).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from agentgauge.simulator.tokens import Tokens, call_tokens, tokens

END = "<|eot|>"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model asks for."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model says to one request: thinking first, then text, then tool calls."""

    content: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """What one generated token shows. ``call`` with its place among the calls when a tool call is complete."""

    content: str = ""
    thinking: str = ""
    call: ToolCall | None = None
    call_index: int = 0
    call_id: str = ""

    def shows(self) -> bool:
        """Tell whether a client sees anything of it."""
        return bool(self.content or self.thinking or self.call)


@dataclass(frozen=True, slots=True)
class Answer:
    """The tokens of a reply, one piece for each, and why it ends."""

    reply: Tokens
    pieces: tuple[Piece, ...]
    done_reason: Literal["stop", "length"]


SILENT = Piece()


def answer_of(reply: Reply, limit: int | None, call_ids: tuple[str, ...] = ()) -> Answer:
    """Return a reply as tokens, at most ``limit`` of them (None or negative = no limit)."""
    thinking, content = tokens(reply.thinking), tokens(reply.content)
    made = thinking + content
    pieces = [Piece(thinking=token) for token in thinking] + [Piece(content=token) for token in content]
    for index, call in enumerate(reply.tool_calls):
        steps = call_tokens({"name": call.name, "arguments": call.arguments})
        made += steps
        call_id = call_ids[index] if index < len(call_ids) else ""
        pieces += [SILENT] * (len(steps) - 1) + [Piece(call=call, call_index=index, call_id=call_id)]
    if limit is not None and 0 <= limit < len(made) + 1:
        n = max(1, limit)
        return Answer(made[:n], tuple(pieces[:n]), "length")
    return Answer((*made, END), (*pieces, SILENT), "stop")


@dataclass(slots=True)
class Said:
    """What a client has been shown so far."""

    content: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    calls: list[Piece] = field(default_factory=list)

    def add(self, piece: Piece) -> None:
        """Add one token's piece."""
        if piece.content:
            self.content.append(piece.content)
        if piece.thinking:
            self.thinking.append(piece.thinking)
        if piece.call:
            self.calls.append(piece)

    def text(self) -> str:
        """Return the text."""
        return "".join(self.content)

    def thoughts(self) -> str:
        """Return the thinking."""
        return "".join(self.thinking)


def arguments_text(call: ToolCall) -> str:
    """Return a call's arguments as the JSON text that /v1 shows."""
    return json.dumps(call.arguments, ensure_ascii=False, separators=(",", ":"))
