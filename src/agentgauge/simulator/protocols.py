"""Which protocol writes what on which path: writers, error bodies, headers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from agentgauge.simulator import wire, wire_anthropic, wire_openai, wire_responses
from agentgauge.simulator.calls import Call, CallError
from agentgauge.simulator.scheduler import Timing

WRITERS: Mapping[str, Callable[[wire.Exchange], wire.Writer]] = {
    "/api/chat": wire.NativeChat,
    "/api/generate": wire.NativeGenerate,
    "/v1/chat/completions": wire_openai.OpenAIChat,
    "/v1/completions": wire_openai.OpenAICompletion,
    "/v1/messages": wire_anthropic.AnthropicMessages,
    "/v1/responses": wire_responses.OpenAIResponses,
}


def writer_for(exchange: wire.Exchange) -> wire.Writer:
    """Return the writer of a call's path, fresh."""
    return WRITERS[exchange.call.path](exchange)


def json_headers_for(path: str) -> wire.Headers:
    """Return the headers of a JSON answer on this path, errors included."""
    return wire_openai.JSON if path.startswith("/v1/") else wire.JSON


def error_for(path: str, status: int, message: str, request_id: str = "req_000000000000000000000000") -> bytes:
    """Return the error body of this path's protocol."""
    if path == "/v1/messages":
        return wire_anthropic.anthropic_error(status, message, request_id)
    return wire_openai.openai_error(status, message) if path.startswith("/v1/") else wire.native_error(message)


def refuse_missing(call: Call) -> CallError:
    """Return the error for a model that the server does not have, in the words of its path."""
    if call.shape in {"embed", "embeddings"}:
        return CallError(404, f'model "{call.model}" not found, try pulling it first')
    if not call.model and call.shape == "chat":
        return CallError(400, "model is required")
    return CallError(404, f"model '{call.model}' not found")


def embedded_for(call: Call, vectors: Sequence[Sequence[float]], timing: Timing) -> bytes:
    """Return the answer to a request for embeddings."""
    if call.protocol == "openai":
        encoding = str(call.body.get("encoding_format") or "float")
        return wire_openai.openai_embedded(call.model, vectors, timing, encoding)
    return wire.native_embedded(call, vectors, timing)
