"""The recording API: tasks, LLM calls and tool calls, as blocks, decorators and explicit operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar, overload

from agentgauge.model.metrics import OTHER
from agentgauge.model.span import UNKNOWN_AGENT, UNKNOWN_MODEL
from agentgauge.record.context import CURRENT
from agentgauge.record.default import default_recorder, use_recorder
from agentgauge.record.guard import Guard
from agentgauge.record.limit import limit
from agentgauge.record.llm import LLMOperation
from agentgauge.record.measure import Measured
from agentgauge.record.operation import ToolOperation, WaitOperation
from agentgauge.record.propagate import propagate
from agentgauge.record.run import TaskOperation

__all__ = [
    "current_task",
    "default_recorder",
    "guard",
    "limit",
    "llm_call",
    "propagate",
    "task",
    "tool_call",
    "use_recorder",
    "wait",
]

F = TypeVar("F", bound=Callable[..., Any])


def current_task() -> TaskOperation | None:
    """Return the task this code runs in, None outside any.

    Example::

        running = ag.current_task()
        log.info("searching", extra={"task_id": running.task_id if running else ""})
    """
    enclosing = CURRENT.get()
    running = None if enclosing is None else enclosing.task
    return running if isinstance(running, TaskOperation) else None


def guard() -> Guard:
    """Return the fence of the recorder in use: what integrations report their own failures to."""
    return default_recorder().guard


@overload
def task(agent: F, /) -> F: ...
@overload
def task(
    agent: str = "",
    agent_type: str = "",
    *,
    slo_s: float | None = None,
    detached: bool = False,
    trace_id: str = "",
) -> Measured[TaskOperation]: ...
def task(
    agent: Any = "",
    agent_type: str = "",
    *,
    slo_s: float | None = None,
    detached: bool = False,
    trace_id: str = "",
) -> Any:
    """Measure one run of an agent; inside another task it is a sub-agent's.

    Example::

        with ag.task(agent="researcher"):
            ...

        @ag.task(agent="researcher")
        async def research(question: str) -> str: ...

    Args:
        agent: the agent's name; a decorated function's name when left out.
        agent_type: its kind, for ``agent_active_count``; its name when left out.
        slo_s: seconds it may take; the agent's objective given to ``start``, else its running p95, when left out.
        detached: whether a task inside another is left to itself, so that the outer one's time holds none of it.
        trace_id: an id of the host's tracing, for exemplars.
    """
    if callable(agent):
        return Measured(TaskOperation, "", UNKNOWN_AGENT)(agent)
    facts = (_name(agent_type), trace_id, slo_s, detached)
    return Measured(TaskOperation, _name(agent), UNKNOWN_AGENT, *facts)


@overload
def llm_call(model: F, /) -> F: ...
@overload
def llm_call(model: str = "", *, race: bool = False, detached: bool = False) -> Measured[LLMOperation]: ...
def llm_call(model: Any = "", *, race: bool = False, detached: bool = False) -> Any:
    """Measure one request to a model, sent to last byte read.

    Example::

        with ag.llm_call(model="llama3.1:8b") as call:
            answer = ...
            call.usage(prompt=412, completion=96)

    Args:
        model: the model's name; ``unknown`` when left out, ``call.set_model(name)`` says it later.
        race: whether it runs against others and only the first counts: the task's what-if gets no upper bound.
        detached: whether the task does not wait for it.
    """
    if callable(model):
        return Measured(LLMOperation, "", UNKNOWN_MODEL)(model)
    return Measured(LLMOperation, _name(model), UNKNOWN_MODEL, race, detached)


@overload
def tool_call(name: F, /) -> F: ...
@overload
def tool_call(name: str = "", *, race: bool = False, detached: bool = False) -> Measured[ToolOperation]: ...
def tool_call(name: Any = "", *, race: bool = False, detached: bool = False) -> Any:
    """Measure one execution of a tool.

    A decorated function's arguments and result are compared, as hashes, with those of the task's earlier calls, to
    count calls that repeat; in a block, ``call.arguments(...)`` and ``call.result(...)`` say them.

    Example::

        @ag.tool_call
        def web_search(query: str) -> list[str]: ...

        with ag.tool_call("web_search"):
            ...

    Args:
        name: the tool's name; a decorated function's name when left out.
        race: whether it runs against others and only the first counts: the task's what-if gets no upper bound.
        detached: whether the task does not wait for it.
    """
    if callable(name):
        return Measured(ToolOperation, "", "unknown")(name)
    return Measured(ToolOperation, _name(name), "unknown", race, detached)


def wait(reason: str, *, component: Literal["wait", "backoff", "client_wait"] = "wait") -> Measured[WaitOperation]:
    """Measure time in which the task waits for its turn: a rate limit, a lock, a person. See also ``limit``.

    Example::

        with ag.wait("approval"):
            answer = input("Go on? ")

    Args:
        reason: what is waited for; one of few.
        component: ``backoff`` for the sleep between attempts, ``client_wait`` for a call held back in this process.
    """
    return Measured(WaitOperation, _name(reason) or "unknown", "unknown", component)


def _name(given: object) -> str:
    """Return a name as it can be counted: empty for none, ``__other__`` for what is no text."""
    if isinstance(given, str):
        return given
    if not given:
        return ""
    guard().refused("name", f"a name must be a str, not {type(given).__name__}")
    return OTHER
