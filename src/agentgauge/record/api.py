"""The recording API: tasks, LLM calls and tool calls, as blocks, decorators and explicit operations.

The one default ``Recorder`` of a process lives here, made on first use, replaceable for tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from agentgauge.model.span import UNKNOWN_AGENT, UNKNOWN_MODEL
from agentgauge.record.context import CURRENT, current_task
from agentgauge.record.guard import Guard
from agentgauge.record.measure import Measured
from agentgauge.record.operation import LLMOperation, TaskOperation, ToolOperation
from agentgauge.record.propagate import propagate
from agentgauge.record.recorder import Recorder

__all__ = ["current_task", "default_recorder", "guard", "llm_call", "propagate", "task", "tool_call", "use_recorder"]

F = TypeVar("F", bound=Callable[..., Any])

_RECORDERS: list[Recorder] = []
"""The recorder in use, last; those it stands in for (tests) before it."""


def default_recorder() -> Recorder:
    """Return the recorder of this process, made on first use."""
    if not _RECORDERS:
        _RECORDERS.append(Recorder())
    return _RECORDERS[-1]


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
def task(agent: str = "", agent_type: str = "", *, trace_id: str = "") -> Measured[TaskOperation]: ...
def task(agent: Any = "", agent_type: str = "", *, trace_id: str = "") -> Any:
    """Measure one run of an agent; inside another task it is a sub-agent's.

    Example::

        with ag.task(agent="researcher"):
            ...

        @ag.task(agent="researcher")
        async def research(question: str) -> str: ...

    Args:
        agent: the agent's name; a decorated function's name when left out.
        agent_type: its kind, for ``agent_active_count``; its name when left out.
        trace_id: an id of the host's tracing, for exemplars.
    """

    def begin(name: str) -> TaskOperation:
        return TaskOperation(default_recorder(), CURRENT.get(), agent or name or UNKNOWN_AGENT, agent_type, trace_id)

    if callable(agent):
        function, agent = agent, ""
        return Measured(begin)(function)
    return Measured(begin)


@overload
def llm_call(model: F, /) -> F: ...
@overload
def llm_call(model: str = "") -> Measured[LLMOperation]: ...
def llm_call(model: Any = "") -> Any:
    """Measure one request to a model, sent to last byte read.

    Example::

        with ag.llm_call(model="llama3.1:8b") as call:
            answer = ...
            call.usage(prompt=412, completion=96)

    Args:
        model: the model's name; ``unknown`` when left out, ``call.set_model(name)`` says it later.
    """

    def begin(name: str) -> LLMOperation:
        return LLMOperation(default_recorder(), CURRENT.get(), model or UNKNOWN_MODEL)

    if callable(model):
        function, model = model, ""
        return Measured(begin)(function)
    return Measured(begin)


@overload
def tool_call(name: F, /) -> F: ...
@overload
def tool_call(name: str = "") -> Measured[ToolOperation]: ...
def tool_call(name: Any = "") -> Any:
    """Measure one execution of a tool.

    Example::

        @ag.tool_call
        def web_search(query: str) -> list[str]: ...

        with ag.tool_call("web_search"):
            ...

    Args:
        name: the tool's name; a decorated function's name when left out.
    """

    def begin(function_name: str) -> ToolOperation:
        return ToolOperation(default_recorder(), CURRENT.get(), name or function_name or "unknown")

    if callable(name):
        function, name = name, ""
        return Measured(begin)(function)
    return Measured(begin)
