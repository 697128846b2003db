"""Ollama's native API: newline-delimited JSON, the figures in the last line.

Reads only what it needs: the request's head, the end of the response. Answers can be long and embeddings are; parsing
them whole would cost more than the client does. The last object's figures stand at its end, in a fixed order, and no
string inside JSON can look like an unescaped ``"total_duration":``, so the last occurrence is the field.

What the fields mean, and why waiting is in none of them: docs/why/ollama.md. Source: ollama/ollama
``docs/api.md``, ``server/routes.go``; measured on 0.33.
"""

from __future__ import annotations

import json
import re
import zlib
from typing import Any, Literal

from agentgauge.model.span import UNKNOWN_MODEL, CallStatus, Phases, TokenUsage
from agentgauge.providers import CallFacts, ServerTimes

CALL_PATHS = ("/api/chat", "/api/generate", "/api/embed", "/api/embeddings")

_FIGURES = re.compile(
    rb'"total_duration":(\d+)(?:,"load_duration":(\d+))?(?:,"prompt_eval_count":(\d+))?'
    rb'(?:,"prompt_eval_cached_count":(\d+))?(?:,"prompt_eval_duration":(\d+))?'
    rb'(?:,"eval_count":(\d+))?(?:,"eval_duration":(\d+))?\}\s*$'
)
"""The end of a complete answer as every version so far writes it; anything else is read as JSON, at twice the time."""

_FIELDS = (
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_cached_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
)
_FIRST = re.compile(rb'\{"model":"([^"\\]*)"')
_MODEL = re.compile(rb'"model"\s*:\s*("(?:[^"\\]|\\.)*")')
_NUM_CTX = re.compile(rb'"num_ctx"\s*:\s*(\d+)')
_NUM_PREDICT = re.compile(rb'"num_predict"\s*:\s*(\d+)')
_CONTENT = re.compile(rb'"(?:messages|prompt|input)"\s*:')
_DONE_REASON = re.compile(rb'"done_reason"\s*:\s*"(\w+)"')
_CREATED = re.compile(rb'"created_at":"[^"]*",')
_CALL_ID = re.compile(rb'"id":"call_[^"]*",')
_HEAD_BYTES = 2_048
_TAIL_BYTES = 65_536
_MAX_FIGURES_BYTES = 400
"""More than the figures at the end of a line take."""

_NUM_KEEP = 4
_NEWLINE = 0x0A
NOISE_NS = 50_000_000
_BYTES_PER_TOKEN_AT_LEAST = 2


class OllamaExchange:
    """One call of ``/api/chat``, ``/api/generate`` or ``/api/embed``: feed it the bytes, ask it for the facts.

    Memory: one response line, at most 64 kB of its end.
    """

    __slots__ = (
        "_answer",
        "_head_bytes",
        "_n_tool_calls",
        "_status_code",
        "_streamed",
        "_thinking",
        "_tools",
        "_two_passes",
        "request_bytes",
        "tail",
    )

    def __init__(self, request_body: bytes) -> None:
        self._head_bytes = request_body[:_HEAD_BYTES]
        self.request_bytes = len(request_body)
        self._status_code = 0
        self._streamed = False
        self._tools = False
        self._n_tool_calls = 0
        self._answer: int | None = None
        self.tail = b""

    @property
    def model(self) -> str:
        """The model that the request names."""
        return self.read_model()

    def read_model(self) -> str:
        """Return the model that the request names."""
        first = _FIRST.match(self._head_bytes)
        return first[1].decode("utf-8", "replace") if first else _model_anywhere(self._head_bytes)

    def respond(self, status_code: int, *, streamed: bool) -> None:
        """Take note of the response's status line."""
        self._status_code = status_code
        self._streamed = streamed
        self._thinking = False
        self._two_passes = b'"format":' in self._head_bytes and b'"format":' in self._head()

    def compare(self) -> None:
        """Take a hash of the answer that is about to come, without what differs though the answers are the same."""
        self._answer = 0

    def feed(self, data: bytes) -> int:
        """Take note of bytes of the response's body, cut anywhere; keeps the last line only.

        Returns the number of lines with output that ended: of a stream, about one per token. Searches from the end:
        in lines that are much alike it finds nothing in half the time.
        """
        n_lines = data.count(b"\n")
        if not self.tail.endswith(b"\n"):
            data = self.tail + data
        if not data:
            return 0
        if data.rfind(b'"tool_calls":') >= 0:
            self._note_tools(data)
        if self._two_passes and data.rfind(b'"thinking":') >= 0:
            self._thinking = True
        if self._answer is not None:
            self._answer = zlib.crc32(_said(data[: data.rfind(b"\n") + 1]), self._answer)
        if n_lines and data.rfind(b'"total_duration":', -_MAX_FIGURES_BYTES) >= 0:
            n_lines -= 1
        last = data[data.rfind(b"\n", 0, -1) + 1 :]
        self.tail = last if len(last) <= _TAIL_BYTES else last[-_TAIL_BYTES:]
        return n_lines

    def _note_tools(self, data: bytes) -> None:
        """Note that the answer asks for tools, and count what its whole lines ask for."""
        self._tools = True
        for line in data[: data.rfind(b"\n") + 1].splitlines():
            self._n_tool_calls += _n_tool_calls(line)

    def whole(self, status_code: int, body: bytes) -> None:
        """Take note of a response that was read before anyone looked: its status and all of its body."""
        self._status_code = status_code
        self.tail = body

    def forget(self) -> None:
        """Let go of the answer, which ``finish`` has read; the request's head stays: the model is asked for later."""
        self.tail = b""

    def finish(self, *, complete: bool) -> CallFacts:
        """Sum up; ``complete`` is False when the reader left before the body's end."""
        if self._status_code >= 300:
            return self._refused()
        line = self.tail.rstrip(b"\n")
        if not self._streamed or not self.tail.endswith(b"\n"):
            self._n_tool_calls += _n_tool_calls(line)
        start = line.rfind(b'"total_duration":')
        figures = None if start < 0 else _figures(line, start)
        if figures is None:
            return self._without_figures(line, complete=complete)
        total_ns, load_ns, prompt, cached, prefill_ns, completion, decode_ns = figures
        usage = TokenUsage(prompt, completion, cached)
        return CallFacts(
            self.model,
            "success",
            "",
            usage,
            ServerTimes(total_ns or 0, load_ns or 0, prefill_ns or 0, decode_ns or 0, self._had_two_passes(line)),
            self._truncation(line, start, usage),
            self._tools or not self._streamed,
            True,
            self._n_tool_calls,
            self._answer if self._answer is None or self._streamed else zlib.crc32(_said(line)),
        )

    def _had_two_passes(self, line: bytes) -> bool:
        """Tell whether the server thought first and answered in a format then: it reports the second time only."""
        if self._streamed:
            return self._thinking
        return b'"format":' in self._head_bytes and b'"thinking":' in line and b'"format":' in self._head()

    def _refused(self) -> CallFacts:
        error_types = {404: "model_not_found", 503: "server_busy"}
        error_type = error_types.get(self._status_code, f"http_{self._status_code // 100}xx")
        return CallFacts(self.model, "error", error_type, counts=self._status_code >= 400)

    def _without_figures(self, line: bytes, *, complete: bool) -> CallFacts:
        """Tell a failure in mid-stream, a load, a reader who left and a server that broke off apart."""
        if line.startswith(b'{"error"'):
            return CallFacts(self.model, "error", "stream_error" if self._streamed else "server_error")
        reason = _DONE_REASON.search(line)
        if reason and reason[1] in {b"load", b"unload"}:
            return CallFacts(self.model, "success", counts=False)
        if b'"done":true' in line or (
            complete and line.startswith((b'{"embedding"', b'{"model":')) and not self._streamed
        ):
            return CallFacts(self.model, "success")  # cloud models and the old /api/embeddings send no figures
        if line and self._is_malformed(line):
            return CallFacts(self.model, "error", "stream_malformed")  # what made the reader leave
        status: CallStatus = "error" if complete else "cancelled"
        return CallFacts(self.model, status, "stream_truncated" if complete else "")

    def _is_malformed(self, line: bytes) -> bool:
        """Tell whether the last line can be no object: of a line that was cut, its start must do."""
        if not line.startswith(b"{"):
            return True
        if not self.tail.endswith(b"\n"):
            return False
        try:
            json.loads(line)
        except (ValueError, RecursionError):
            return True
        return False

    def _head(self) -> bytes:
        """Return the request up to its text: the model and the options, which ``ollama`` writes first."""
        content = _CONTENT.search(self._head_bytes)
        return self._head_bytes[: content.start()] if content else self._head_bytes

    def _truncation(self, line: bytes, start: int, usage: TokenUsage) -> Literal["", "context", "output_limit"]:
        """Tell what was cut, where this one exchange proves it; see docs/why/ollama.md."""
        at_length = not line.endswith(b'"stop",', 0, start) and b'"done_reason":"length"' in line
        if not at_length and b'"num_ctx":' not in self._head_bytes:
            return ""
        head = self._head()
        prompt, completion, num_ctx = usage.prompt or 0, usage.completion or 0, _integer(_NUM_CTX, head)
        if num_ctx and (prompt + completion > num_ctx or self._prompt_was_cut(prompt, num_ctx)):
            return "context"
        if not at_length:
            return ""
        limit = _integer(_NUM_PREDICT, head)
        return "context" if limit is None or completion < limit else "output_limit"

    def _prompt_was_cut(self, prompt: int, num_ctx: int) -> bool:
        """A prompt of just the size that truncation leaves, made from a request that must have held more.

        Up to 0.30.10 that is the context's size, later about half of it: num_ctx - (num_ctx - keep) / 2.
        """
        halves = {num_ctx - (num_ctx - _NUM_KEEP - bos) // 2 for bos in (0, 1)}
        return prompt in {num_ctx, *halves} and self.request_bytes > num_ctx * _BYTES_PER_TOKEN_AT_LEAST


def phases_within(times: ServerTimes, wall_ns: int) -> Phases:
    """Split a call's wall clock by the server's times, in the order things happen; the parts sum to it exactly.

    A part that does not fit is cut at the call's end, what no part claims is ``network``: the way, the client, the
    server's handling. A residual under 50 ms is handling too (idle servers show 2-7 ms), and so is that of a call with
    a format and thinking, where the server generates twice and reports the second time only.
    """
    total_ns, load_ns, prefill_ns, decode_ns, two_passes = times
    queue_ns = total_ns - load_ns - prefill_ns - decode_ns
    if queue_ns < NOISE_NS or two_passes:
        queue_ns = 0
    left_ns = wall_ns - load_ns - queue_ns - prefill_ns - decode_ns
    if left_ns >= 0:
        return Phases(0, queue_ns, load_ns, prefill_ns, decode_ns, left_ns)
    load_end_ns = min(load_ns, wall_ns)
    queue_end_ns = min(load_end_ns + queue_ns, wall_ns)
    prefill_end_ns = min(queue_end_ns + prefill_ns, wall_ns)
    return Phases(
        0,
        queue_end_ns - load_end_ns,
        load_end_ns,
        prefill_end_ns - queue_end_ns,
        min(decode_ns, wall_ns - prefill_end_ns),
        max(0, wall_ns - prefill_end_ns - decode_ns),
    )


def _said(lines: bytes) -> bytes:
    """Return whole lines of an answer without its times and the ids of its tool calls."""
    figures = lines.rfind(b'"total_duration":')
    said = _CREATED.sub(b"", lines if figures < 0 else lines[:figures])
    return _CALL_ID.sub(b"", said) if said.rfind(b'"tool_calls":') >= 0 else said


def _n_tool_calls(line: bytes) -> int:
    """Return how many tool calls a line of an answer asks for."""
    if line.rfind(b'"tool_calls":') < 0:
        return 0
    try:
        return len(json.loads(line)["message"]["tool_calls"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return 0  # text that looks like it, or a line that was cut


def _figures(line: bytes, start: int) -> list[int | None] | None:
    """Return the seven figures that end a complete answer from ``start`` on, in their order; None when it has none."""
    found = _FIGURES.match(line, start)
    if found:
        return [None if digits is None else int(digits) for digits in found.groups()]
    try:
        fields = json.loads(b"{" + line[start:])
    except ValueError:
        return None
    return [_count(fields, name) for name in _FIELDS]


def _count(fields: dict[str, Any], name: str) -> int | None:
    """Return a non-negative integer field; absent and malformed are unknown."""
    value = fields.get(name)
    return value if isinstance(value, int) and value >= 0 else None


def _integer(pattern: re.Pattern[bytes], text: bytes) -> int | None:
    found = pattern.search(text)
    return int(found[1]) if found else None


def _model_anywhere(request_body: bytes) -> str:
    """Return the model of a request that another hand composed."""
    found = _MODEL.search(request_body)
    try:
        return str(json.loads(found[1])) if found else UNKNOWN_MODEL
    except ValueError:
        return UNKNOWN_MODEL
