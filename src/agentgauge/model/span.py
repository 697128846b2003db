"""Finished work: a task, an LLM call or a tool call, frozen.

All ways in (recording API, SDK hooks, later the proxy and OTLP) meet in these types; ``record/recorder.py`` turns
them into metrics. Times are nanoseconds of the process' monotonic clock. ``None`` means unknown, never zero.

Named tuples, not frozen dataclasses as elsewhere: one is made for every call of the host, at a fifth of the time.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

CallStatus: TypeAlias = Literal["success", "error", "timeout", "cancelled"]
TaskStatus: TypeAlias = Literal["success", "failure", "timeout", "cancelled"]

UNKNOWN_AGENT = "unknown"
"""The agent of a call outside any task: recorded and visible, never lost."""

UNKNOWN_MODEL = "unknown"
"""The model of a call that does not say, or of a failed request that named one nobody has."""


class TokenUsage(NamedTuple):
    """Tokens of one LLM call as its provider reports them.

    ``prompt`` includes what the cache served, ``completion`` includes reasoning; ``cached``, ``cache_write`` and
    ``reasoning`` are parts of those two, never added to them.
    """

    prompt: int | None = None
    completion: int | None = None
    cached: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None


class Phases(NamedTuple):
    """Where the wall clock of one LLM call went, in nanoseconds; the six sum to the call exactly."""

    client_wait_ns: int = 0
    queue_ns: int = 0
    load_ns: int = 0
    prefill_ns: int = 0
    decode_ns: int = 0
    network_ns: int = 0


class LLMCall(NamedTuple):
    """One request to a model, sent to last byte read, as the caller lived it."""

    agent: str
    model: str
    status: CallStatus
    start_ns: int
    end_ns: int
    first_token_ns: int | None = None
    """Nanoseconds from start to the first content, reasoning or tool-call token."""
    per_token_ns: float | None = None
    """Nanoseconds per output token after the first, where the provider's own times say so; else derived."""
    usage: TokenUsage | None = None
    phases: Phases | None = None
    error_type: str = ""
    truncation: Literal["", "context", "output_limit"] = ""
    attempts_ok: int = 0
    attempts_retried: int = 0
    attempts_failed: int = 0
    n_tool_calls: int = 0
    """Tool calls that the answer asks for."""
    task_id: str = ""
    trace_id: str = ""


class ToolCall(NamedTuple):
    """One execution of a tool."""

    agent: str
    tool_name: str
    status: CallStatus
    start_ns: int
    end_ns: int
    error_type: str = ""
    task_id: str = ""
    trace_id: str = ""


class Task(NamedTuple):
    """One run of an agent, request to result; a sub-agent's run is a task with ``is_root`` False."""

    agent: str
    agent_type: str
    status: TaskStatus
    start_ns: int
    end_ns: int
    is_root: bool = True
    n_llm_calls: int = 0
    n_tool_calls: int = 0
    error_type: str = ""
    task_id: str = ""
    trace_id: str = ""


Span: TypeAlias = LLMCall | ToolCall | Task
