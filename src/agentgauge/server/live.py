"""ROUTES of the web view: the page's files and the three answers made for it alone.

``/api/panels`` says what is shown, ``/api/overview`` is one tick, ``/api/live`` the stream of them. Everything else the
page asks of the Prometheus HTTP API, like anybody.
"""

from __future__ import annotations

from pathlib import Path

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from agentgauge.backends.backend import Backend
from agentgauge.model.clock import Clock
from agentgauge.server.static import STATIC_DIR, static_routes
from agentgauge.server.stream import Live, TooManyClients
from agentgauge.server.tick import compute_tick
from agentgauge.view.panels import ALL_AGENTS, PANELS, Display, Panel, fill, rate_window_s, step_for

DEFAULT_RANGE_S = 900.0
MAX_RANGE_S = 10 * 365 * 86_400.0
MAX_AGENT_CHARS = 1000


def view_routes(
    backend: Backend,
    clock: Clock,
    *,
    interval_s: float = 5.0,
    version: str = "",
    static_dir: Path = STATIC_DIR,
    live: Live | None = None,
) -> list[Route]:
    """Return the routes of the web view; pass ``live`` to be able to close its streams."""
    live = live or Live(backend, clock, interval_s)

    async def panels(request: Request) -> Response:
        display = _display(request, interval_s)
        if isinstance(display, Response):
            return display
        return _json(panels_json(display, version))

    async def overview(request: Request) -> Response:
        display = _display(request, interval_s)
        if isinstance(display, Response):
            return display
        t_ms = _whole(request.query_params.get("t_ms")) or clock.now_ms()
        return _json_bytes(await compute_tick(backend, display, t_ms))

    async def ticks(request: Request) -> Response:
        display = _display(request, interval_s)
        if isinstance(display, Response):
            return display
        try:
            live.check_room(display)
        except TooManyClients as error:
            return PlainTextResponse(str(error), 503, headers={"Retry-After": "10"})
        last_id = _whole(request.headers.get("last-event-id"))
        return StreamingResponse(
            live.stream(display, last_id),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )

    return [
        *static_routes(static_dir),
        Route("/api/panels", panels),
        Route("/api/overview", overview),
        Route("/api/live", ticks),
    ]


def panels_json(display: Display, version: str = "") -> dict[str, object]:
    """Return PANELS with the queries filled in for a display, and the numbers that a client needs to draw them."""
    return {
        "version": version,
        "interval_s": display.interval_s,
        "step_s": display.step_s,
        "range_s": display.range_s,
        "panels": [_panel_json(panel, display) for panel in PANELS.values()],
    }


def _panel_json(panel: Panel, display: Display) -> dict[str, object]:
    floor_s = float(panel.hints.get("min_window_s", 0))
    return {
        "id": panel.id,
        "title": panel.title,
        "question": panel.question,
        "kind": panel.kind,
        "page": panel.page,
        "unit": panel.unit,
        "help": panel.help,
        "source": panel.source,
        "metrics": panel.metrics,
        "window_s": rate_window_s(display.step_s, display.interval_s, floor_s),
        "queries": [{"expr": fill(panel, query.expr, display), "legend": query.legend} for query in panel.queries],
        "hints": dict(panel.hints),
    }


def _display(request: Request, interval_s: float) -> Display | Response:
    """Read range and agents from the query string; a Response says what is wrong with them."""
    params = request.query_params
    agent = params.get("agent") or ALL_AGENTS
    try:
        range_s = float(params.get("range", DEFAULT_RANGE_S))
    except ValueError:
        return PlainTextResponse(f"range must be seconds, not {params['range']!r}", 400)
    if not interval_s <= range_s <= MAX_RANGE_S:
        return PlainTextResponse(f"range must be {interval_s:g} s to ten years, not {range_s:g} s", 400)
    if len(agent) > MAX_AGENT_CHARS:
        return PlainTextResponse(f"agent must be at most {MAX_AGENT_CHARS} characters", 400)
    return Display(range_s, step_for(range_s, interval_s), interval_s, agent)


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else None


def _json(content: object) -> Response:
    return _json_bytes(orjson.dumps(content))


def _json_bytes(body: bytes) -> Response:
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})
