"""ROUTES: everything the server answers, combined into one ASGI app that a user can also mount under a prefix."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from agentgauge.backends.backend import Backend
from agentgauge.doctor.facts import Facts
from agentgauge.expose.apps import AsgiApp
from agentgauge.model.clock import Clock
from agentgauge.remote.receiver import Receiver
from agentgauge.scrape.handover import Handover
from agentgauge.server.api import api_routes
from agentgauge.server.doctor import doctor_routes
from agentgauge.server.guard import Guard
from agentgauge.server.live import view_routes
from agentgauge.server.push import push_routes
from agentgauge.server.remote_write import remote_write_route
from agentgauge.server.status import Status
from agentgauge.server.stream import Live
from agentgauge.server.why import why_routes


@dataclass(frozen=True, slots=True)
class State:
    """What the routes answer from."""

    backend: Backend
    clock: Clock
    live: Live
    targets_view: Callable[[], dict[str, Any]]
    metrics_app: AsgiApp
    status: Status
    facts: Callable[[], Awaitable[Facts]]
    interval_s: float = 5.0
    version: str = ""
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    receiver: Receiver | None = None
    handover: Handover | None = None


def create_app(state: State) -> Starlette:
    """Return the app: the HTTP API, the page and its ticks, the server's own metrics."""
    return Starlette(
        routes=routes(state),
        middleware=[Middleware(Guard, hosts=state.allowed_hosts, origins=state.allowed_origins)],
    )


def routes(state: State) -> list[BaseRoute]:
    """Return ROUTES for a state."""
    return [
        *api_routes(state.backend, state.targets_view, clock=state.clock, status=state.status),
        *doctor_routes(state.facts, state.clock),
        *why_routes(state.backend, state.clock),
        Route("/metrics", _Asgi(state.metrics_app), methods=["GET", "HEAD"]),
        *(push_routes(state.handover, state.clock) if state.handover is not None else ()),
        *([remote_write_route(state.receiver)] if state.receiver is not None else ()),
        *view_routes(state.backend, state.clock, interval_s=state.interval_s, version=state.version, live=state.live),
    ]


class _Asgi:
    """An ASGI app as a route's endpoint: Starlette takes functions for request handlers, other callables as apps."""

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        await self._app(scope, receive, send)
