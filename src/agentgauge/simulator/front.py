"""The front door: which path answers what, the router's own refusals, the access line of each request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timezone, tzinfo
from typing import Protocol, TextIO, TypeAlias

from agentgauge.simulator import wire_openai
from agentgauge.simulator.answering import Answering, Desk
from agentgauge.simulator.calls import CallError, body_object
from agentgauge.simulator.catalog import ps_body, show_body, tags_body, version_body
from agentgauge.simulator.connection import Connection, Request
from agentgauge.simulator.gojson import go_duration
from agentgauge.simulator.presets import Model, full_name
from agentgauge.simulator.runner import Runner
from agentgauge.simulator.versions import Traits
from agentgauge.simulator.wire import JSON, Headers, native_error

Response: TypeAlias = tuple[int, Headers, bytes]

_PLAIN: Headers = (("Content-Type", "text/plain"),)
_ROOT: Headers = (("Content-Type", "text/plain; charset=utf-8"),)
_DAY_NS = 86_400_000_000_000

ROUTES: Mapping[str, tuple[str, ...]] = {
    "/": ("GET", "HEAD"),
    "/api/chat": ("POST",),
    "/api/embed": ("POST",),
    "/api/embeddings": ("POST",),
    "/api/generate": ("POST",),
    "/api/ps": ("GET",),
    "/api/show": ("POST",),
    "/api/status": ("GET",),
    "/api/tags": ("GET", "HEAD"),
    "/api/version": ("GET", "HEAD"),
    "/v1/chat/completions": ("POST",),
    "/v1/completions": ("POST",),
    "/v1/embeddings": ("POST",),
    "/v1/messages": ("POST",),
    "/v1/models": ("GET",),
    "/v1/models/": ("GET",),
    "/v1/responses": ("POST",),
}
"""Path -> methods. A path that ends in a slash stands for everything below it."""


class House(Desk, Protocol):
    """What the front door asks the server: its clock, and which models are loaded."""

    def runners(self) -> list[Runner]:
        """Return what ``/api/ps`` lists, in its order."""

    def blocked_until_ns(self) -> int:
        """Return until when ``/api/ps`` is held up."""


class Front:
    """Answers requests: calls to models by ``Answering``, everything else itself."""

    def __init__(
        self, models: tuple[Model, ...], traits: Traits, answering: Answering, house: House, access: TextIO | None
    ) -> None:
        self._models = models
        self._traits = traits
        self._answering = answering
        self._house = house
        self._access = access
        self._zone: tzinfo | None = datetime.now(timezone.utc).astimezone().tzinfo
        self._born_ns = house.wall_ns(house.now_ns())
        self._paths: dict[str, Callable[[Request], Response]] = {
            "/": lambda _: (200, _ROOT, b"Ollama is running"),
            "/api/show": self._show,
            "/api/status": lambda _: (200, JSON, b'{"cloud":{"disabled":true,"source":"none"}}'),
            "/api/tags": lambda _: (200, JSON, tags_body(self._changed(), self._zone)),
            "/api/version": lambda _: (200, JSON, version_body(self._traits)),
            "/v1/models": lambda _: (200, wire_openai.JSON, wire_openai.openai_models(self._changed_s())),
        }

    async def answer(self, request: Request, connection: Connection) -> None:
        """Answer one request."""
        started_ns = self._house.now_ns()
        status = 499
        try:
            status = await self._route(request, connection)
        finally:
            if self._access is not None:
                self._write_access_line(self._access, request, status, started_ns)

    async def _route(self, request: Request, connection: Connection) -> int:
        pattern = "/v1/models/" if request.path.startswith("/v1/models/") else request.path
        methods = ROUTES.get(pattern, ())
        if not methods or not self._exists(pattern):
            response: Response = (404, _PLAIN, b"404 page not found")
        elif request.method not in methods:
            response = (405, _PLAIN, b"405 method not allowed")
        elif pattern == "/api/ps":
            response = await self._ps()
        elif pattern == "/v1/models/":
            response = self._one_model(request.path.removeprefix(pattern))
        elif pattern in self._paths:
            response = self._paths[pattern](request)
        else:
            return await self._answering.answer(request, connection)
        await connection.send(*response)
        return response[0]

    def _exists(self, pattern: str) -> bool:
        since = {"/v1/responses": self._traits.responses, "/v1/messages": self._traits.messages}
        return since.get(pattern, True)

    def _changed(self) -> list[tuple[Model, int]]:
        """Return the models with the time each was changed, newest first: a day apart, the newest a day ago."""
        return [(model, self._born_ns - (index + 1) * _DAY_NS) for index, model in enumerate(self._models)]

    def _changed_s(self) -> list[tuple[Model, int]]:
        return [(model, changed_ns // 1_000_000_000) for model, changed_ns in self._changed()]

    async def _ps(self) -> Response:
        wait_s = (self._house.blocked_until_ns() - self._house.now_ns()) / 1e9
        if wait_s > 0 and self._traits.ps_waits:
            await asyncio.sleep(wait_s)
        now_ns = self._house.now_ns()
        to_wall_ns = self._house.wall_ns(0)
        return 200, JSON, ps_body(self._house.runners(), to_wall_ns, now_ns, self._traits, self._zone)

    def _show(self, request: Request) -> Response:
        try:
            data = body_object(request.body)
        except CallError as error:
            return error.status, JSON, native_error(error.message)
        name = data.get("model") or data.get("name") or ""
        if not name:
            return 400, JSON, native_error("model is required")
        found = self._find(str(name))
        if found is None:
            return 404, JSON, native_error(f"model '{name}' not found")
        return 200, JSON, show_body(*found, self._zone)

    def _one_model(self, name: str) -> Response:
        found = self._find(name)
        if found is None:
            return 404, wire_openai.JSON, wire_openai.openai_error(404, f"model '{name}' not found")
        return 200, wire_openai.JSON, wire_openai.openai_model(found[0], found[1] // 1_000_000_000)

    def _find(self, name: str) -> tuple[Model, int] | None:
        wanted = full_name(name).lower()
        return next((pair for pair in self._changed() if pair[0].name.lower() == wanted), None)

    def _write_access_line(self, access: TextIO, request: Request, status: int, started_ns: int) -> None:
        moment = datetime.fromtimestamp(self._house.wall_ns(started_ns) / 1e9, self._zone)
        took = go_duration(self._house.now_ns() - started_ns)
        line = f"[GIN] {moment:%Y/%m/%d - %H:%M:%S} | {status:3d} | {took:>13} | {request.peer:>15} | "
        print(f'{line}{request.method:<7}  "{request.path}"', file=access, flush=True)
