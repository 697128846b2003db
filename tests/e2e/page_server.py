"""A page server over made-up data: the routes of the web view in front of a backend that invents plausible agents.

Run as a program by ``test_page.py``, and by whoever works on the page: ``python tests/e2e/page_server.py --port 9095``.
``--empty-for S`` reports nothing for the first S seconds. Prints the port on its first line of output.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import re
import socket
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from agentgauge.errors import BackendError
from agentgauge.model.clock import Clock, SystemClock
from agentgauge.model.labels import Labels, labels_from_mapping
from agentgauge.model.metrics import METRICS
from agentgauge.model.sample import Exemplar, MetricInfo
from agentgauge.model.series import Result, StepMatrix
from agentgauge.server.live import view_routes
from agentgauge.server.stream import Live
from agentgauge.view.panels import metric_names

MODELS = ("qwen3:8b", "llama3.2:3b")
TOOLS = ("search_corpus", "http_fetch", "sql", "calculator")
AGENTS = ("planner", "researcher", "coder", "summarizer")
PATHS = (("decode", "qwen3:8b"), ("prefill", "qwen3:8b"), ("tool", "http_fetch"), ("own", ""), ("queue", "qwen3:8b"))
STATES = {"llm": 3.1, "tool": 1.2, "own": 0.4, "llm+tool": 0.5, "wait": 0.25}
BASE = {
    "tasks_total": 0.8,
    "task_duration": 18.0,
    "first_token": 0.6,
    "tool_latency": 1.4,
    "token_usage": 85.0,
    "active_count": 2.2,
}


@dataclass
class InventedBackend:
    """Answers the page's own queries with smooth made-up numbers, the same for the same time."""

    clock: Clock
    starts_ms: int = 0
    began_ms: int = 0

    async def query(
        self, expr: str, t_ms: int | None = None, *, timeout_s: float | None = None, lookback_ms: int | None = None
    ) -> Result:
        t_ms = self.clock.now_ms() if t_ms is None else t_ms
        return Result("vector", self._steps(expr, np.array([t_ms], np.int64)))

    async def query_range(
        self,
        expr: str,
        start_ms: int,
        end_ms: int,
        step_ms: int,
        *,
        timeout_s: float | None = None,
        lookback_ms: int | None = None,
    ) -> Result:
        if "boom" in expr:
            raise BackendError("invented", "the backend fell over, as asked")
        return Result("matrix", self._steps(expr, np.arange(start_ms, end_ms + 1, step_ms, dtype=np.int64)))

    async def series(
        self, selectors: Sequence[str], start_ms: int | None = None, end_ms: int | None = None, limit: int = 0
    ) -> list[Labels]:
        return [(("__name__", "agent_tasks_total"), ("agent", "planner"))] if self._speaks() else []

    async def label_names(
        self,
        selectors: Sequence[str] = (),
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 0,
    ) -> list[str]:
        return ["agent", "model"]

    async def label_values(
        self,
        name: str,
        selectors: Sequence[str] = (),
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 0,
    ) -> list[str]:
        if not self._speaks():
            return []
        return sorted(METRICS) if name == "__name__" else list(AGENTS)

    async def metadata(self, metric: str | None = None) -> Mapping[str, Sequence[MetricInfo]]:
        return {}

    async def exemplars(self, expr: str, start_ms: int, end_ms: int) -> list[Exemplar]:
        return []

    async def close(self) -> None:
        pass

    def _speaks(self) -> bool:
        return self.clock.now_ms() >= self.starts_ms

    def _steps(self, expr: str, t_ms: np.ndarray[Any, np.dtype[np.int64]]) -> StepMatrix:
        rows = [(labels, self._values(expr, labels, t_ms)) for labels in _label_sets(expr)] if self._speaks() else []
        present = np.array([(t_ms >= self.began_ms) for _ in rows], np.bool_).reshape(len(rows), len(t_ms))
        values = np.array([values for _, values in rows]).reshape(len(rows), len(t_ms))
        return StepMatrix([labels_from_mapping(labels) for labels, _ in rows], t_ms, values, present)

    def _values(self, expr: str, labels: Mapping[str, str], t_ms: Any) -> Any:
        if expr.startswith("count("):
            return np.full(len(t_ms), _level(expr, labels, 0))
        seed = zlib.crc32(repr(sorted(labels.items())).encode()) % 997 / 997
        wave = 1 + 0.22 * np.sin(t_ms / 61_000 + 6 * seed) + 0.1 * np.sin(t_ms / 17_000 + 40 * seed)
        wave = wave + 0.06 * np.sin(t_ms / 3_100 + 11 * seed)
        return wave * _level(expr, labels, seed)


def _level(expr: str, labels: Mapping[str, str], seed: float) -> float:
    if "state" in labels:
        return STATES[labels["state"]]
    if "component" in labels:
        return (0.52, 0.17, 0.16, 0.1, 0.05)[[name for name, _ in PATHS].index(labels["component"])]
    if "failure|timeout" in expr:
        return 0.012 + 0.05 * seed * ("by (agent)" in expr)
    if expr.startswith("count(up =="):
        return 0.0
    if expr.startswith("count("):
        return float(len(AGENTS))
    if ") / sum by (agent)" in expr or "> 0)" in expr:
        return 1800 + 2600 * seed
    base = next((value for key, value in BASE.items() if key in "".join(metric_names(expr)[:1])), 1.0)
    quantile = re.match(r"histogram_quantile\(([\d.]+)", expr)
    spread = {"0.5": 0.35, "0.99": 1.9}.get(quantile[1], 1.0) if quantile else 1.0
    total = math.prod((len(AGENTS) if expr.startswith("sum(rate") else 1, spread))
    return base * total * (0.4 + 1.2 * seed if labels else 1.0)


def _label_sets(expr: str) -> list[dict[str, str]]:
    if expr.startswith("count(up =="):
        return []
    if "component" in expr:
        agents: Sequence[str] = AGENTS if "agent, component" in expr else ("",)
        return [{"agent": agent, "component": c, "name": n} for agent in agents for c, n in PATHS]
    by = re.search(r"by \((\w+)", expr)
    values: Mapping[str, Sequence[str]] = {"agent": AGENTS, "model": MODELS, "tool_name": TOOLS, "state": tuple(STATES)}
    if by is None or by[1] not in values or expr.startswith("count("):
        return [{}]
    return [{by[1]: value} for value in values[by[1]]]


def _matrix_json(result: Result, *, instant: bool) -> dict[str, object]:
    steps = result.steps
    rows = []
    for i, labels in enumerate(steps.labels):
        cells = zip(steps.t_ms, steps.values[i], steps.present[i], strict=True)
        pairs = [[int(t_ms) / 1000, repr(float(value))] for t_ms, value, present in cells if present]
        if pairs:
            rows.append({"metric": dict(labels), **({"value": pairs[-1]} if instant else {"values": pairs})})
    kind = "vector" if instant else "matrix"
    return {"status": "success", "data": {"resultType": kind, "result": rows}}


async def _parameters(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode() or request.url.query))


def api_routes(backend: InventedBackend) -> list[Route]:
    """The few answers of the Prometheus HTTP API that the page asks for."""

    async def query_range(request: Request) -> JSONResponse:
        form = await _parameters(request)
        start, end, step = (round(float(form[key]) * 1000) for key in ("start", "end", "step"))
        try:
            result = await backend.query_range(form["query"], start, end, step)
        except BackendError as error:
            return JSONResponse({"status": "error", "errorType": "execution", "error": str(error)}, 422)
        return JSONResponse(_matrix_json(result, instant=False))

    async def query(request: Request) -> JSONResponse:
        form = await _parameters(request)
        return JSONResponse(_matrix_json(await backend.query(form["query"]), instant=True))

    async def label_values(request: Request) -> JSONResponse:
        values = await backend.label_values(request.path_params["name"])
        return JSONResponse({"status": "success", "data": values})

    async def targets(request: Request) -> JSONResponse:
        active = [
            {
                "labels": {"instance": "127.0.0.1:8001", "job": "agentgauge", "process": "agents.py"},
                "scrapeUrl": "http://127.0.0.1:8001/metrics",
                "health": "up",
                "lastError": "",
                "lastScrape": "2026-01-01T00:00:00Z",
                "lastScrapeDuration": 0.0031,
                "scrapeInterval": "5s",
            }
        ]
        return JSONResponse(
            {"status": "success", "data": {"activeTargets": active if backend._speaks() else [], "droppedTargets": []}}
        )

    return [
        Route("/api/v1/query_range", query_range, methods=["GET", "POST"]),
        Route("/api/v1/query", query, methods=["GET", "POST"]),
        Route("/api/v1/label/{name}/values", label_values),
        Route("/api/v1/targets", targets),
    ]


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--empty-for", type=float, default=0.0)
    parser.add_argument("--interval", type=float, default=1.0)
    options = parser.parse_args()
    clock = SystemClock()
    now_ms = clock.now_ms()
    backend = InventedBackend(clock, now_ms + round(options.empty_for * 1000), now_ms - 780_000)
    live = Live(backend, clock, options.interval)
    routes = [
        *view_routes(backend, clock, interval_s=options.interval, live=live, version="test"),
        *api_routes(backend),
    ]
    listener = socket.create_server(("127.0.0.1", options.port))
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(Starlette(routes=routes), log_level="warning", timeout_graceful_shutdown=1)
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
