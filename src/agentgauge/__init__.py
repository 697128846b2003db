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
    from agentgauge.expose.job import Job
    from agentgauge.record.ledger import Ledger
    from agentgauge.record.settings import Settings

__all__ = [
    "LLMOperation",
    "TaskOperation",
    "ToolOperation",
    "WaitOperation",
    "__version__",
    "current_task",
    "instrument",
    "job",
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
    port: int | None = None,
    host: str | None = None,
    *,
    port_search: int | None = None,
    registry: CollectorRegistry | None = None,
    slo: Mapping[str, float] | None = None,
    buckets: Mapping[str, Sequence[float]] | None = None,
    limits: Mapping[str, int] | None = None,
    series_limit: int | None = None,
    linger: float | None = None,
) -> Exposition:
    """Serve this process' metrics over HTTP and let local servers find them.

    What is left out comes from the environment (``AGENTGAUGE_PORT``), from agentgauge.toml or ``[tool.agentgauge]`` in
    pyproject.toml, else it is the default. A second call keeps the endpoint, or moves it when it says otherwise.

    Example::

        ag.start()
        ag.start(port=9100, port_search=0, slo={"researcher": 30})

    Args:
        port: where to listen, 8001; taken ports are passed over, once said in the log.
        host: the address to listen on, 127.0.0.1.
        port_search: how many ports to try after the first, 100; 0 insists on ``port``.
        registry: a prometheus_client registry whose metrics stand beside ours.
        slo: agent -> seconds that a task of it may take; each becomes a bucket bound, so shares under it are exact.
        buckets: metric name -> bucket bounds instead of its own; before the first task or call.
        limits: label -> how many distinct values of it this process may have, before others fold into ``__other__``.
        series_limit: how many series this process may hold, 20,000.
        linger: seconds that the end of the process may wait for one more scrape, 0; for a Prometheus that has no
            other way to learn what came after the last one.

    Raises:
        PortInUse: the port is taken and ``port_search`` is 0, or all ports of the search are.
        ConfigError: a setting that is unknown or cannot be used; with its file and line, and the nearest right name.
    """
    from agentgauge.expose.exposition import expose  # an app that is scraped another way does not load a server

    settings = _settings(
        port=port,
        host=host,
        port_search=port_search,
        slo=slo,
        buckets=buckets,
        limits=limits,
        series_limit=series_limit,
        linger=linger,
    )
    return expose(
        _configured(settings),
        host=settings["host"],
        port=settings["port"],
        port_search=settings["port_search"],
        registry=registry,
        linger_s=settings["linger"],
        discovery_dir=settings["discovery_dir"],
    )


def metrics_app(registry: CollectorRegistry | None = None) -> AsgiApp:
    """Return an ASGI app that answers with this process' metrics, to mount in a web application of one's own.

    Example::

        app.mount("/metrics", ag.metrics_app())
    """
    from agentgauge.expose.apps import asgi_app
    from agentgauge.expose.document import Document

    return asgi_app(Document(_configured(_settings()), registry))


def wsgi_app(registry: CollectorRegistry | None = None) -> WsgiApp:
    """Return a WSGI app that answers with this process' metrics, to mount in a web application of one's own.

    Example::

        app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/metrics": ag.wsgi_app()})
    """
    from agentgauge.expose.apps import wsgi_app as app
    from agentgauge.expose.document import Document

    return app(Document(_configured(_settings()), registry))


def job(name: str, *, grouping: Mapping[str, str] | None = None, url: str | None = None) -> Job:
    """Measure a run that is over before anybody scrapes it: what it counts is pushed once, at its end.

    By the end of the block, an exception, the end of the interpreter or SIGTERM, whichever comes first. Nobody there:
    it waits on disk, and the next job sends it too. Sent twice, it counts once.

    Example::

        with ag.job("nightly-eval"):
            evaluate()

    Args:
        name: the value of the label ``job``; what is done, never which run of it.
        grouping: more labels that tell places apart (a shard, a host), never runs.
        url: our server or a Pushgateway, the setting ``push_url`` when left out. A process that is scraped (``start``)
            pushes only where this is given, because both would count everything twice.

    Raises:
        ConfigError: an address or a label that cannot be used.
    """
    from agentgauge.expose.job import Job  # only short runs need it

    settings = _settings(push_url=url)
    place = (settings["push_url"], settings["spool_dir"])
    return Job(_configured(settings), name, grouping or {}, *place, is_forced=url is not None)


def _settings(**arguments: object) -> Settings:
    """Return the settings of this process; what they note is said once."""
    from agentgauge.record.settings import load_settings  # recording alone needs none

    settings = load_settings(arguments)
    for note in settings.notes:
        default_recorder().guard.once(note, note)
    return settings


def _configured(settings: Settings) -> Ledger:
    """Return the ledger of this process, with limits, and with objectives as targets and as bounds."""
    recorder = default_recorder()
    slo, buckets = settings["slo"], settings["buckets"]
    if slo:
        recorder.live.objectives.set(slo)
    thresholds = {"agent_task_duration_seconds": slo.values()} if slo else None
    recorder.ledger.configure(
        buckets=buckets, thresholds=thresholds, limits=settings["limits"], series_limit=settings["series_limit"]
    )
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
