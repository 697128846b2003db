"""Requests of every protocol, read into one form: a ``Call`` that says what is wanted of which model.

Pure: decoded JSON in, a Call or a ``CallError`` with Ollama's status and words out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from agentgauge.simulator.gojson import ns_from_go_duration

Shape = Literal["chat", "generate", "embed", "embeddings"]
Protocol = Literal["native", "openai", "responses", "anthropic"]


class CallError(Exception):
    """A request that is answered with an error: its HTTP status and Ollama's words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a model, whatever protocol it came by.

    Attributes:
        messages: in the native form; of ``generate`` the prompt as one user message, a system message before it.
        limit: most tokens to generate; None = no limit. keep_alive_ns: negative = for ever, None = not said.
        inputs: the texts to embed. options: native options as sent. body: the request as sent.
    """

    path: str
    shape: Shape
    protocol: Protocol
    model: str
    stream: bool
    messages: tuple[Mapping[str, Any], ...] = ()
    tools: tuple[Mapping[str, Any], ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    format: Any = None
    think: bool | None = None
    keep_alive_ns: int | None = None
    limit: int | None = None
    include_usage: bool = False
    raw: bool = False
    inputs: tuple[str, ...] = ()
    body: Mapping[str, Any] = field(default_factory=dict)

    def empty(self) -> bool:
        """Tell whether it asks for nothing: such a request loads or unloads the model."""
        return self.shape in {"chat", "generate"} and self.protocol == "native" and not self.messages


def call_from_body(path: str, body: bytes) -> Call:
    """Read a request's body; raises CallError with the status and text that Ollama answers with."""
    data = body_object(body)
    try:
        return READERS[path](path, data)
    except (TypeError, AttributeError, KeyError) as error:
        raise CallError(400, f"json: cannot unmarshal the request: {error}") from error


def body_object(body: bytes) -> dict[str, Any]:
    """Return a body's JSON object; raises CallError with Go's complaint."""
    if not body.strip():
        raise CallError(400, "missing request body")
    try:
        data = json.loads(body)
    except ValueError as error:
        raise CallError(400, _json_complaint(body, error)) from error
    if not isinstance(data, dict):
        raise CallError(400, f"json: cannot unmarshal {_go_kind(data)} into Go value of type api.Request")
    return data


def _json_complaint(body: bytes, error: ValueError) -> str:
    position = getattr(error, "pos", 0)
    text = body.decode("utf-8", "replace")
    if position >= len(text.rstrip()):
        return "unexpected EOF"
    wanted = "looking for beginning of value" if position == 0 else "after object key:value pair"
    return f"invalid character {text[position]!r} {wanted}"


def _go_kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    return "array" if isinstance(value, list) else "string" if isinstance(value, str) else "number"


def _model_name(data: Mapping[str, Any]) -> str:
    name = data.get("model") or data.get("name") or ""
    if not isinstance(name, str):
        raise CallError(400, f"json: cannot unmarshal {_go_kind(name)} into Go struct field .model of type string")
    return name


def _keep_alive(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise CallError(400, f"time: invalid duration {value!r}")
    if isinstance(value, str):
        try:
            return ns_from_go_duration(value)
        except ValueError as error:
            raise CallError(400, str(error)) from error
    return -1 if value < 0 else round(value * 1_000_000_000)


def _think(value: object) -> bool | None:
    return None if value is None else bool(value) and value != "none"


def _limit(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _native_chat(path: str, data: Mapping[str, Any]) -> Call:
    options = data.get("options") or {}
    return Call(
        path, "chat", "native", _model_name(data), data.get("stream") is not False,
        messages=tuple(dict(message) for message in data.get("messages") or ()),
        tools=tuple(data.get("tools") or ()),
        options=options, format=data.get("format") or None, think=_think(data.get("think")),
        keep_alive_ns=_keep_alive(data.get("keep_alive")), limit=_limit(options.get("num_predict")), body=data,
    )  # fmt: skip


def _native_generate(path: str, data: Mapping[str, Any]) -> Call:
    options = data.get("options") or {}
    messages: list[Mapping[str, Any]] = []
    if data.get("prompt") or data.get("images"):
        if data.get("system"):
            messages.append({"role": "system", "content": data["system"]})
        messages.append({"role": "user", "content": data.get("prompt") or "", "images": data.get("images") or ()})
    return Call(
        path, "generate", "native", _model_name(data), data.get("stream") is not False, messages=tuple(messages),
        options=options, format=data.get("format") or None, think=_think(data.get("think")),
        keep_alive_ns=_keep_alive(data.get("keep_alive")), limit=_limit(options.get("num_predict")),
        raw=bool(data.get("raw")), body=data,
    )  # fmt: skip


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,) if value else ()
    if isinstance(value, list) and all(isinstance(text, str) for text in value):
        return tuple(value)
    if value is None:
        return ()
    raise CallError(400, "invalid input type")


def _native_embed(path: str, data: Mapping[str, Any]) -> Call:
    old = path == "/api/embeddings"
    return Call(
        path, "embeddings" if old else "embed", "native", _model_name(data), False,
        options=data.get("options") or {}, keep_alive_ns=_keep_alive(data.get("keep_alive")),
        inputs=_texts(data.get("prompt" if old else "input")), body=data,
    )  # fmt: skip


def _openai_messages(data: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    if not data.get("messages"):
        raise CallError(400, "[] is too short - 'messages'")
    names: dict[str, str] = {}
    messages = []
    for given in data["messages"]:
        message: dict[str, Any] = {"role": given.get("role", "user"), "content": _joined(given.get("content"))}
        if calls := given.get("tool_calls"):
            names |= {call.get("id", ""): call["function"]["name"] for call in calls}
            message["tool_calls"] = [{"function": _native_function(call["function"])} for call in calls]
        if "tool_call_id" in given:
            message["tool_name"] = given.get("name") or names.get(given["tool_call_id"], "")
        messages.append(message)
    return tuple(messages)


def _native_function(function: Mapping[str, Any]) -> dict[str, Any]:
    try:
        arguments = json.loads(function.get("arguments") or "{}")
    except ValueError as error:
        raise CallError(400, "invalid tool call arguments") from error
    return {"name": function["name"], "arguments": arguments}


def _joined(content: object) -> str:
    """Return the text of a message's content, which may be a list of parts."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise CallError(400, f"invalid message content type: {type(content).__name__}")
    return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))


def _openai_format(data: Mapping[str, Any]) -> Any:
    wanted = data.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        return (wanted.get("json_schema") or {}).get("schema")
    return "json" if wanted.get("type") == "json_object" else None


def _openai_chat(path: str, data: Mapping[str, Any]) -> Call:
    effort = data.get("reasoning_effort") or (data.get("reasoning") or {}).get("effort")
    return Call(
        path, "chat", "openai", _model_name(data), data.get("stream") is True, messages=_openai_messages(data),
        tools=tuple(data.get("tools") or ()), format=_openai_format(data), think=_think(effort),
        limit=_limit(data.get("max_tokens", data.get("max_completion_tokens"))),
        include_usage=bool((data.get("stream_options") or {}).get("include_usage")), body=data,
    )  # fmt: skip


def _openai_completion(path: str, data: Mapping[str, Any]) -> Call:
    prompt = data.get("prompt")
    text = prompt if isinstance(prompt, str) else "".join(prompt or ())
    return Call(
        path, "generate", "openai", _model_name(data), data.get("stream") is True,
        messages=({"role": "user", "content": text},), limit=_limit(data.get("max_tokens")),
        include_usage=bool((data.get("stream_options") or {}).get("include_usage")), body=data,
    )  # fmt: skip


def _openai_embeddings(path: str, data: Mapping[str, Any]) -> Call:
    inputs = _texts(data.get("input"))
    if not inputs:
        raise CallError(400, "invalid input")
    return Call(path, "embed", "openai", _model_name(data), False, inputs=inputs, body=data)


def _responses(path: str, data: Mapping[str, Any]) -> Call:
    given = data.get("input")
    messages: list[Mapping[str, Any]] = []
    if data.get("instructions"):
        messages.append({"role": "system", "content": data["instructions"]})
    if isinstance(given, str):
        messages.append({"role": "user", "content": given})
    else:
        messages += _responses_items(given or ())
    tools = tuple(
        {"type": "function", "function": {key: tool.get(key) for key in ("name", "description", "parameters")}}
        for tool in data.get("tools") or ()
    )
    text = (data.get("text") or {}).get("format") or {}
    wanted = text.get("schema") if text.get("type") == "json_schema" else None
    return Call(
        path, "chat", "responses", _model_name(data), data.get("stream") is True, messages=tuple(messages),
        tools=tools, format=wanted, think=_think((data.get("reasoning") or {}).get("effort")),
        limit=_limit(data.get("max_output_tokens")), body=data,
    )  # fmt: skip


def _responses_items(items: Any) -> list[Mapping[str, Any]]:
    names: dict[str, str] = {}
    messages: list[Mapping[str, Any]] = []
    for item in items:
        kind = item.get("type", "message")
        if kind == "function_call":
            names[item.get("call_id", "")] = item["name"]
            messages.append({"role": "assistant", "content": "", "tool_calls": [{"function": _native_function(item)}]})
        elif kind == "function_call_output":
            name = names.get(item.get("call_id", ""), "")
            messages.append({"role": "tool", "content": _joined(item.get("output")), "tool_name": name})
        elif kind == "message":
            messages.append({"role": item.get("role", "user"), "content": _joined(item.get("content"))})
    return messages


def _anthropic(path: str, data: Mapping[str, Any]) -> Call:
    if not _model_name(data):
        raise CallError(400, "model is required")
    if not isinstance(data.get("max_tokens"), int) or data["max_tokens"] <= 0:
        raise CallError(400, "max_tokens is required and must be positive")
    if not data.get("messages"):
        raise CallError(400, "messages is required")
    messages: list[Mapping[str, Any]] = []
    if data.get("system"):
        messages.append({"role": "system", "content": _joined(data["system"])})
    names: dict[str, str] = {}
    for given in data["messages"]:
        messages += _anthropic_message(given, names)
    tools = tuple(
        {"type": "function", "function": {
            "name": tool["name"], "description": tool.get("description", ""), "parameters": tool.get("input_schema"),
        }}
        for tool in data.get("tools") or ()
    )  # fmt: skip
    thinking = (data.get("thinking") or {}).get("type")
    return Call(
        path, "chat", "anthropic", _model_name(data), data.get("stream") is True, messages=tuple(messages),
        tools=tools, think=True if thinking in {"enabled", "adaptive"} else None, limit=data["max_tokens"], body=data,
    )  # fmt: skip


def _anthropic_message(given: Mapping[str, Any], names: dict[str, str]) -> list[Mapping[str, Any]]:
    content = given.get("content")
    if not isinstance(content, list):
        return [{"role": given.get("role", "user"), "content": _joined(content)}]
    messages: list[Mapping[str, Any]] = []
    calls = [block for block in content if block.get("type") == "tool_use"]
    names |= {block.get("id", ""): block["name"] for block in calls}
    for block in content:
        if block.get("type") == "tool_result":
            name = names.get(block.get("tool_use_id", ""), "")
            messages.append({"role": "tool", "content": _joined(block.get("content")), "tool_name": name})
    text = _joined(content)
    if text or calls:
        functions = [{"function": {"name": call["name"], "arguments": call.get("input") or {}}} for call in calls]
        more = {"tool_calls": functions} if functions else {}
        messages.append({"role": given.get("role", "user"), "content": text, **more})
    return messages


READERS: Mapping[str, Callable[[str, Mapping[str, Any]], Call]] = {
    "/api/chat": _native_chat,
    "/api/embed": _native_embed,
    "/api/embeddings": _native_embed,
    "/api/generate": _native_generate,
    "/v1/chat/completions": _openai_chat,
    "/v1/completions": _openai_completion,
    "/v1/embeddings": _openai_embeddings,
    "/v1/messages": _anthropic,
    "/v1/responses": _responses,
}
"""The paths that call a model -> how their bodies are read."""
