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

from typing import TYPE_CHECKING

from agentgauge.model.version import VERSION as __version__
from agentgauge.record.api import (
    current_task,
    default_recorder,
    limit,
    llm_call,
    propagate,
    task,
    tool_call,
    wait,
)
from agentgauge.record.llm import LLMOperation
from agentgauge.record.operation import ToolOperation, WaitOperation
from agentgauge.record.run import TaskOperation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from prometheus_client import CollectorRegistry

    from agentgauge.expose.apps import AsgiApp, WsgiApp
    from agentgauge.expose.exposition import Exposition
    from agentgauge.record.ledger import Ledger

__all__ = [
    "LLMOperation",
    "TaskOperation",
    "ToolOperation",
    "WaitOperation",
    "__version__",
    "current_task",
    "instrument",
    "limit",
    "llm_call",
    "metrics_app",
    "propagate",
    "start",
    "task",
    "tool_call",
    "uninstrument",
    "wait",
    "wsgi_app",
]


def start(
    port: int = 8001,
    host: str = "127.0.0.1",
    *,
    port_search: int = 100,
    registry: CollectorRegistry | None = None,
    slo: Mapping[str, float] | None = None,
    buckets: Mapping[str, Sequence[float]] | None = None,
) -> Exposition:
    """Serve this process' metrics over HTTP and let local servers find them.

    Example::

        ag.start()
        ag.start(port=9100, port_search=0, slo={"researcher": 30})

    Args:
        port: where to listen; taken ports are passed over, once said in the log.
        host: the address to listen on.
        port_search: how many ports to try after the first; 0 insists on ``port``.
        registry: a prometheus_client registry whose metrics stand beside ours.
        slo: agent -> seconds that a task of it may take; each becomes a bucket bound, so shares under it are exact.
        buckets: metric name -> bucket bounds instead of its own; before the first task or call.

    Raises:
        PortInUse: the port is taken and ``port_search`` is 0, or all ports of the search are.
        ConfigError: an objective or buckets that cannot be used.
    """
    from agentgauge.expose.exposition import expose  # an app that is scraped another way does not load a server

    ledger = _configured(slo, buckets)
    return expose(ledger, host=host, port=port, port_search=port_search, registry=registry)


def metrics_app(registry: CollectorRegistry | None = None) -> AsgiApp:
    """Return an ASGI app that answers with this process' metrics, to mount in a web application of one's own.

    Example::

        app.mount("/metrics", ag.metrics_app())
    """
    from agentgauge.expose.apps import asgi_app
    from agentgauge.expose.document import Document

    return asgi_app(Document(_configured(None, None), registry))


def wsgi_app(registry: CollectorRegistry | None = None) -> WsgiApp:
    """Return a WSGI app that answers with this process' metrics, to mount in a web application of one's own.

    Example::

        app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/metrics": ag.wsgi_app()})
    """
    from agentgauge.expose.apps import wsgi_app as app
    from agentgauge.expose.document import Document

    return app(Document(_configured(None, None), registry))


def _configured(slo: Mapping[str, float] | None, buckets: Mapping[str, Sequence[float]] | None) -> Ledger:
    """Return the ledger of this process, with objectives as targets and as bounds."""
    recorder = default_recorder()
    if slo:
        recorder.live.objectives.set(slo)
    if slo or buckets:
        thresholds = {"agent_task_duration_seconds": slo.values()} if slo else None
        recorder.ledger.configure(buckets=buckets, thresholds=thresholds)
    return recorder.ledger


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
    """Take back what ``instrument`` did.

    Example::

        ag.uninstrument()  # every hooked library and client is as it was
    """
    from agentgauge.integrations import uninstall as take_back

    take_back()
