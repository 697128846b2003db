"""``/api/why``: the answer of ``agentgauge why`` for the page, by the same queries."""

from __future__ import annotations

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from agentgauge.backends.backend import Backend
from agentgauge.errors import BackendError, ConfigError, QueryError
from agentgauge.model.clock import Clock
from agentgauge.why.answer import answer_json
from agentgauge.why.ask import DEFAULT_K, DEFAULT_WINDOW_MS, ask

MAX_WINDOW_MS = 10 * 365 * 86_400_000
MAX_AGENT_CHARS = 1000


def why_routes(backend: Backend, clock: Clock) -> list[Route]:
    """Return the route; ``range`` in seconds, ``agent`` by its exact name, ``k`` times faster, ``t_ms`` the end."""

    async def why(request: Request) -> Response:
        params = request.query_params
        agent = params.get("agent", "")[:MAX_AGENT_CHARS]
        try:
            window_ms = round(float(params.get("range", DEFAULT_WINDOW_MS / 1000)) * 1000)
            k = float(params.get("k", DEFAULT_K))
            t_ms = int(params.get("t_ms") or clock.now_ms())
        except (ValueError, OverflowError):
            return PlainTextResponse("range, k and t_ms must be numbers", 400)
        if not 1000 <= window_ms <= MAX_WINDOW_MS or not 0 <= t_ms < 1 << 53:
            return PlainTextResponse("range must be 1 s to ten years, t_ms milliseconds since 1970", 400)
        try:
            answer = await ask(backend, agent, window_ms, k, t_ms)
        except ConfigError as error:
            return PlainTextResponse(str(error), 400)
        except (QueryError, BackendError) as error:
            return PlainTextResponse(str(error), 503)
        body = orjson.dumps({"t_ms": t_ms, **answer_json(answer)})
        return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})

    return [Route("/api/why", why)]
