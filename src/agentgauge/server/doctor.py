"""``/api/doctor``: the doctor's rows for the page, looked for at most every few seconds however many ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentgauge.doctor.check import examine, findings_json
from agentgauge.doctor.facts import Facts
from agentgauge.model.clock import Clock

FRESH_MS = 5_000
"""A look costs forty queries and a request to every target: not one per browser tab."""


def doctor_routes(gather: Callable[[], Awaitable[Facts]], clock: Clock) -> list[Route]:
    """Return the route of the doctor's rows."""
    looking = _Looking(gather, clock)

    async def doctor(request: Request) -> Response:
        return Response(await looking.rows(), media_type="application/json", headers={"Cache-Control": "no-store"})

    return [Route("/api/doctor", doctor)]


class _Looking:
    """The last look; lives in one event loop."""

    def __init__(self, gather: Callable[[], Awaitable[Facts]], clock: Clock) -> None:
        self._gather = gather
        self._clock = clock
        self._turn = asyncio.Lock()
        self._body = b""
        self._seen_ms = 0

    async def rows(self) -> bytes:
        """Return the rows as JSON, of a look no older than ``FRESH_MS``."""
        async with self._turn:
            if not self._body or not 0 <= self._clock.now_ms() - self._seen_ms < FRESH_MS:
                facts = await self._gather()
                self._body = orjson.dumps({"t_ms": facts.now_ms, **findings_json(examine(facts))})
                self._seen_ms = self._clock.now_ms()
            return self._body
