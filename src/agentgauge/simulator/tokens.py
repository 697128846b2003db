"""Text to tokens, the simulated way: about four characters each, the same text always the same tokens.

A prompt is a tuple of pieces, so that two prompts share a prefix exactly when their texts do; that is what a prompt
cache needs. No real tokenizer is imitated beyond its counts.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

Tokens: TypeAlias = tuple[str, ...]

_PIECE = re.compile(r"\n+|[ \t]?[^\W_]{1,6}|[ \t]?[^\w\s]{1,2}|_|\s", re.UNICODE)
_VOCABULARY = 128_000
_TOOL_PREAMBLE = (
    "You are provided with function signatures. To call one, answer with a JSON object that holds its name and its "
    "arguments, exactly in this form, with no variables: {'name': function name, 'parameters': dictionary of argument "
    "name and its value}. Call only functions that are listed here; answer in words when none of them fits. "
)


@lru_cache(maxsize=4096)
def tokens(text: str) -> Tokens:
    """Return the pieces of a text; joined they are the text again."""
    return tuple(_PIECE.findall(text))


def token_ids(pieces: Iterable[str]) -> list[int]:
    """Return the numbers of tokens, as ``context`` shows them."""
    return [zlib.crc32(piece.encode("utf-8", "surrogatepass")) % _VOCABULARY for piece in pieces]


def header(role: str) -> Tokens:
    """Return the template's tokens around a message of this role."""
    return ("<|start|>", role, "<|end|>", "\n\n")


def message_tokens(message: Mapping[str, Any]) -> Tokens:
    """Return a chat message's tokens, template included. An image counts 576 tokens."""
    calls = message.get("tool_calls") or ()
    body = tokens(str(message.get("content") or ""))
    for call in calls:
        body += call_tokens(call.get("function") or {})
    body += ("<|image|>",) * (576 * len(message.get("images") or ()))
    return (*header(str(message.get("role") or "user")), *body, "<|eot|>")


def call_tokens(function: Mapping[str, Any]) -> Tokens:
    """Return what a model generates to call a function."""
    return tokens(json.dumps({"name": function.get("name"), "parameters": function.get("arguments")}))


def tools_tokens(tools: Sequence[Mapping[str, Any]]) -> Tokens:
    """Return the tokens that offering tools costs: instructions and the schemas; none without tools."""
    if not tools:
        return ()
    return (
        *header("system"),
        *tokens(_TOOL_PREAMBLE),
        *(piece for tool in tools for piece in tokens(json.dumps(tool))),
    )


def chat_prompt(messages: Iterable[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()) -> Tokens:
    """Return the whole prompt of a chat, up to where the model's answer begins."""
    pieces: list[str] = ["<|begin|>", *tools_tokens(tools)]
    for message in messages:
        pieces += message_tokens(message)
    return (*pieces, *header("assistant"))


def common_prefix(a: Sequence[str], b: Sequence[str]) -> int:
    """Return how many tokens two prompts share from the start."""
    n_max = min(len(a), len(b))
    if a[:n_max] == b[:n_max]:
        return n_max
    low, high = 0, n_max
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if a[:middle] == b[:middle] else (low, middle)
    return low
