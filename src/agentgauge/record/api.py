"""The recording API: tasks, LLM calls and tool calls, as blocks, decorators and explicit operations.

The one default ``Recorder`` of a process lives here, made on first use, replaceable for tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar, overload

from agentgauge.model.metrics import OTHER
from agentgauge.model.span import UNKNOWN_AGENT, UNKNOWN_MODEL
from agentgauge.record.context import CURRENT
from agentgauge.record.guard import Guard
from agentgauge.record.limit import limit
from agentgauge.record.llm import LLMOperation
from agentgauge.record.measure import Measured
from agentgauge.record.operation import ToolOperation, WaitOperation
from agentgauge.record.overhead import started
from agentgauge.record.propagate import propagate
from agentgauge.record.recorder import Recorder
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

_RECORDERS: list[Recorder] = []
"""The recorder in use, last; those it stands in for (tests) before it."""


def default_recorder() -> Recorder:
    """Return the recorder of this process, made on first use."""
    if not _RECORDERS:
        _RECORDERS.append(Recorder())
    return _RECORDERS[-1]


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


def use_recorder(recorder: Recorder) -> Callable[[], None]:
    """Record into another recorder until the returned function is called."""
    _RECORDERS.append(recorder)

    def restore() -> None:
        _RECORDERS.remove(recorder)

    return restore


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

    def begin(name: str) -> TaskOperation:
        return started(
            default_recorder(),
            TaskOperation,
            CURRENT.get(),
            _name(agent, name or UNKNOWN_AGENT),
            _name(agent_type, ""),
            trace_id=trace_id,
            slo_s=slo_s,
            detached=detached,
        )

    if callable(agent):
        function, agent = agent, ""
        return Measured(begin)(function)
    return Measured(begin)


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

    def begin(name: str) -> LLMOperation:
        parent = CURRENT.get()
        named = _name(model, UNKNOWN_MODEL)
        return started(default_recorder(), LLMOperation, parent, named, race=race, detached=detached)

    if callable(model):
        function, model = model, ""
        return Measured(begin)(function)
    return Measured(begin)


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

    def begin(function_name: str) -> ToolOperation:
        parent = CURRENT.get()
        tool_name = _name(name, function_name or "unknown")
        return started(default_recorder(), ToolOperation, parent, tool_name, race=race, detached=detached)

    if callable(name):
        function, name = name, ""
        return Measured(begin)(function)
    return Measured(begin)


def wait(reason: str, *, component: Literal["wait", "backoff", "client_wait"] = "wait") -> Measured[WaitOperation]:
    """Measure time in which the task waits for its turn: a rate limit, a lock, a person. See also ``limit``.

    Example::

        with ag.wait("approval"):
            answer = input("Go on? ")

    Args:
        reason: what is waited for; one of few.
        component: ``backoff`` for the sleep between attempts, ``client_wait`` for a call held back in this process.
    """

    def begin(_: str) -> WaitOperation:
        return started(default_recorder(), WaitOperation, CURRENT.get(), _name(reason, "unknown"), component)

    return Measured(begin)


def _name(given: object, default: str) -> str:
    """Return a name as it can be counted: the default for none, ``__other__`` for what is no text."""
    if isinstance(given, str):
        return given or default
    if not given:
        return default
    guard().refused("name", f"a name must be a str, not {type(given).__name__}")
    return OTHER
