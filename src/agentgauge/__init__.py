"""agentgauge: performance monitoring for LLM agents.

Example::

    import agentgauge as ag

    ag.start()
    ag.instrument()

    with ag.task(agent="researcher"):
        with ag.tool_call("web_search"):
            ...
"""

from __future__ import annotations

from agentgauge.model.version import VERSION as __version__
from agentgauge.record.api import current_task, llm_call, propagate, task, tool_call
from agentgauge.record.operation import LLMOperation, TaskOperation, ToolOperation

__all__ = [
    "LLMOperation",
    "TaskOperation",
    "ToolOperation",
    "__version__",
    "current_task",
    "instrument",
    "llm_call",
    "propagate",
    "task",
    "tool_call",
    "uninstrument",
]


def instrument(*clients: object) -> None:
    """Measure the LLM clients in use without a changed line: all that are known, or only those given.

    Example::

        ag.instrument()  # every supported library, now and when it is imported later
        ag.instrument("ollama")
        ag.instrument(client)

    Args:
        clients: names of libraries, or client objects.

    Raises:
        NotInstalled: a library named here is missing.
    """
    from agentgauge.integrations import install  # an app that does not ask for hooks does not load them

    install(*clients)


def uninstrument() -> None:
    """Take back what ``instrument`` did."""
    from agentgauge.integrations import uninstall as take_back

    take_back()
