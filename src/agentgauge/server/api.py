"""ROUTES of the Prometheus HTTP API v1, over any backend: what Grafana and promtool speak.

Each handler reads parameters, asks the backend once and encodes; what all share is in ``answer``.
Source: https://prometheus.io/docs/prometheus/latest/querying/api/; Prometheus web/api/v1/api.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from agentgauge.backends.backend import Backend
from agentgauge.errors import BadQuery
from agentgauge.model.clock import Clock, SystemClock
from agentgauge.model.labels import Labels
from agentgauge.model.sample import Exemplar
from agentgauge.model.series import QueryStats, Result, StepMatrix
from agentgauge.promql.nodes import Window
from agentgauge.promql.numbers import format_float
from agentgauge.promql.plan import PlanOptions, plan, selector_matchers
from agentgauge.promql.quote import go_quote
from agentgauge.promql.render import render_node
from agentgauge.server.answer import data_only, endpoint, off_loop
from agentgauge.server.json import encode, labels_json, result_data, success
from agentgauge.server.params import MAX_TIME_MS, Params, invalid
from agentgauge.server.status import Status, buildinfo_json, runtimeinfo_json, tsdb_json

MAX_STEPS = 11_000
TRUNCATED = "results truncated due to limit"

_TOO_MANY_STEPS = (
    "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"
)
_NO_STEP = "zero or negative query resolution step widths are not accepted. Try a positive integer"
_EMPTY_MATCHERS = "vector selector must contain at least one non-empty matcher"
_ALL_SERIES = '{__name__!=""}'
_ESCAPED = re.compile(r"__|_([0-9a-fA-F]{1,6})_")
_BYTES_A_POINT = 30
_ANY_LANGUAGE = PlanOptions(experimental_functions=True, fill_modifiers=True, fold_window=False)


def api_routes(
    backend: Backend,
    targets_view: Callable[[], Mapping[str, Any]],
    *,
    clock: Clock | None = None,
    status: Status | None = None,
    is_ready: Callable[[], bool] = lambda: True,
) -> list[Route]:
    """Return the routes of ``/api/v1``, ``/-/healthy`` and ``/-/ready``.

    ``targets_view`` gives the data of ``/api/v1/targets``; ``status`` what only the composition root knows.
    """
    api, facts = _Api(backend, clock or SystemClock()), status or Status()
    both, get = ["GET", "POST"], ["GET"]

    def route(path: str, handler: Any, methods: list[str]) -> Route:
        return Route(f"/api/v1/{path}", endpoint(handler), methods=methods)

    async def targets(params: Params, _request: Request) -> bytes:
        return success(encode(_targets(targets_view(), params.text("state"))))

    async def healthy(_request: Request) -> Response:
        return PlainTextResponse("agentgauge is healthy.\n")

    async def ready(_request: Request) -> Response:
        if is_ready():
            return PlainTextResponse("agentgauge is ready.\n")
        return PlainTextResponse("agentgauge is starting.\n", 503)

    return [
        route("query", api.query, both),
        route("query_range", api.query_range, both),
        route("query_exemplars", api.query_exemplars, both),
        route("format_query", api.format_query, both),
        route("series", api.series, both),
        route("labels", api.labels, both),
        route("label/{name:path}/values", api.label_values, get),
        route("metadata", api.metadata, get),
        route("targets", targets, get),
        route("status/tsdb", api.tsdb, get),
        Route("/api/v1/rules", data_only(lambda: {"groups": []}), methods=get),
        Route("/api/v1/alerts", data_only(lambda: {"alerts": []}), methods=get),
        Route("/api/v1/alertmanagers", data_only(_no_alertmanagers), methods=get),
        Route("/api/v1/status/buildinfo", data_only(lambda: buildinfo_json(facts)), methods=get),
        Route("/api/v1/status/runtimeinfo", data_only(lambda: runtimeinfo_json(facts)), methods=get),
        Route("/api/v1/status/flags", data_only(lambda: dict(facts.flags)), methods=get),
        Route("/api/v1/status/config", data_only(lambda: {"yaml": facts.config}), methods=get),
        Route("/-/healthy", healthy, methods=get),
        Route("/-/ready", ready, methods=get),
    ]


class _Api:
    """The handlers that ask the backend."""

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self._backend = backend
        self._clock = clock

    async def query(self, params: Params, _request: Request) -> bytes:
        """Evaluate at one time."""
        t_ms = params.time_ms("time")
        t_ms = self._clock.now_ms() if t_ms is None else t_ms
        limit, options = params.limit(), _query_options(params)
        started_ns = self._clock.monotonic_ns()
        try:
            result = await self._backend.query(params.text("query"), t_ms, **options)
        except BadQuery as error:
            raise _about("query", error) from error
        return await self._encoded(result, t_ms, limit, params, started_ns)

    async def query_range(self, params: Params, _request: Request) -> bytes:
        """Evaluate from start to end by step."""
        start_ms, end_ms, step_ms = _range(params)
        limit, options = params.limit(), _query_options(params)
        started_ns = self._clock.monotonic_ns()
        try:
            result = await self._backend.query_range(params.text("query"), start_ms, end_ms, step_ms, **options)
        except BadQuery as error:
            raise _about("query", error) from error
        return await self._encoded(result, start_ms, limit, params, started_ns)

    async def _encoded(self, result: Result, t_ms: int, limit: int, params: Params, started_ns: int) -> bytes:
        seconds = (self._clock.monotonic_ns() - started_ns) / 1e9
        stats = _stats(result.stats, seconds) if params.text("stats") else None
        warnings = result.warnings
        if limit and result.samples is None and len(result.steps.labels) > limit:
            result, warnings = _cut(result, limit), (*warnings, TRUNCATED)
        n_points = result.steps.values.size if result.samples is None else len(result.samples.t_ms)
        data = await off_loop(n_points * _BYTES_A_POINT, lambda: result_data(result, t_ms, stats))
        return success(data, warnings, result.infos)

    async def query_exemplars(self, params: Params, _request: Request) -> bytes:
        """Return the exemplars of the series that an expression selects."""
        start_ms, end_ms = params.time_range_ms()
        start_ms = -MAX_TIME_MS if start_ms is None else start_ms
        end_ms = MAX_TIME_MS if end_ms is None else end_ms
        try:
            found = await self._backend.exemplars(params.text("query"), start_ms, end_ms)
        except BadQuery as error:
            raise _about("query", error) from error
        return success(encode(_exemplars_json(found)))

    async def format_query(self, params: Params, _request: Request) -> bytes:
        """Return a query as canonical text."""
        try:
            node = plan(params.text("query"), Window(0, 0), _ANY_LANGUAGE)
        except BadQuery as error:
            raise _about("query", error) from error
        return success(encode(render_node(node)))

    async def series(self, params: Params, _request: Request) -> bytes:
        """Return the label sets that match."""
        selectors = _selectors(params)
        if not selectors:
            raise BadQuery("no match[] parameter provided")
        start_ms, end_ms = params.time_range_ms()
        limit = params.limit()
        found = await self._backend.series(selectors, start_ms, end_ms, limit and limit + 1)
        kept, warnings = _limited(found, limit)
        data = await off_loop(len(kept) * 200, lambda: b"[" + b",".join(map(labels_json, kept)) + b"]")
        return success(data, warnings)

    async def labels(self, params: Params, _request: Request) -> bytes:
        """Return the label names."""
        start_ms, end_ms = params.time_range_ms()
        limit = params.limit()
        found = await self._backend.label_names(_selectors(params), start_ms, end_ms, limit and limit + 1)
        kept, warnings = _limited(found, limit)
        return success(encode(kept), warnings)

    async def label_values(self, params: Params, request: Request) -> bytes:
        """Return the values of a label."""
        name = label_name_from_path(request.path_params["name"])
        start_ms, end_ms = params.time_range_ms()
        limit = params.limit()
        found = await self._backend.label_values(name, _selectors(params), start_ms, end_ms, limit and limit + 1)
        kept, warnings = _limited(found, limit)
        return success(encode(kept), warnings)

    async def metadata(self, params: Params, _request: Request) -> bytes:
        """Return what is known of each metric family."""
        limit, limit_each = params.limit(), params.limit("limit_per_metric")
        found = await self._backend.metadata(params.text("metric") or None)
        names = list(found)[:limit] if limit else list(found)
        data = {
            name: [
                {"type": info.type, "help": info.help, "unit": info.unit}
                for info in (found[name][:limit_each] if limit_each else found[name])
            ]
            for name in names
        }
        return success(encode(data))

    async def tsdb(self, params: Params, _request: Request) -> bytes:
        """Return where cardinality comes from."""
        limit = params.limit() or 10
        found = await self._backend.series([_ALL_SERIES])
        return success(encode(await off_loop(len(found) * 200, lambda: tsdb_json(found, limit))))


def label_name_from_path(text: str) -> str:
    """Decode a label's name from a path: ``U__`` marks one whose other characters are escaped.

    Raises:
        BadQuery: no label can have this name.
    """
    name = _ESCAPED.sub(_unescaped, text.removeprefix("U__")) if text.startswith("U__") else text
    if not name or any("\ud800" <= char <= "\udfff" for char in name):
        raise BadQuery(f"invalid label name: {go_quote(text)}")
    return name


def _unescaped(match: re.Match[str]) -> str:
    if match[1] is None:
        return "_"
    point = int(match[1], 16)
    return chr(point) if point <= 0x10FFFF else "\ud800"


def _range(params: Params) -> tuple[int, int, int]:
    """Read start, end and step. Raises BadQuery."""
    start_ms, end_ms = _required_time(params, "start"), _required_time(params, "end")
    if end_ms < start_ms:
        raise invalid("end", "end timestamp must not be before start time")
    step_s = params.duration_s("step")
    if step_s is None:
        raise invalid("step", 'cannot parse "" to a valid duration')
    step_ms = int(round(step_s * 1e9) / 1e6)  # Prometheus counts nanoseconds, then cuts to ms
    if step_ms <= 0:
        raise invalid("step", _NO_STEP)
    if (end_ms - start_ms) // step_ms > MAX_STEPS:
        raise BadQuery(_TOO_MANY_STEPS)
    return start_ms, end_ms, step_ms


def _required_time(params: Params, name: str) -> int:
    t_ms = params.time_ms(name)
    if t_ms is None:
        raise invalid(name, 'cannot parse "" to a valid timestamp')
    return t_ms


def _query_options(params: Params) -> dict[str, Any]:
    timeout_s, lookback_s = params.duration_s("timeout"), params.duration_s("lookback_delta")
    if lookback_s is not None and lookback_s <= 0:
        raise invalid("lookback_delta", "a lookback must be greater than 0")
    return {"timeout_s": timeout_s, "lookback_ms": None if lookback_s is None else max(1, round(lookback_s * 1000))}


def _selectors(params: Params) -> list[str]:
    """Read ``match[]``; each must be a selector. Raises BadQuery."""
    selectors = params.texts("match[]")
    for selector in selectors:
        try:
            selector_matchers(selector)
        except BadQuery as error:
            if str(error).endswith(_EMPTY_MATCHERS):
                raise BadQuery("match[] must contain at least one non-empty matcher") from None
            raise _about("match[]", error) from error
    return selectors


def _about(name: str, error: BadQuery) -> BadQuery:
    text = str(error)
    return error if text.startswith("invalid parameter") else invalid(name, text)


def _cut(result: Result, limit: int) -> Result:
    """Keep the first series."""
    steps = result.steps
    kept = StepMatrix(steps.labels[:limit], steps.t_ms, steps.values[:limit], steps.present[:limit])
    return replace(result, steps=kept)


def _limited(found: list[Any], limit: int) -> tuple[list[Any], tuple[str, ...]]:
    return (found[:limit], (TRUNCATED,)) if limit and len(found) > limit else (found, ())


def _stats(stats: QueryStats, seconds: float) -> dict[str, Any]:
    timings = {"evalTotalTime": seconds, "execTotalTime": seconds, **dict(stats.timings_s)}
    samples = {"totalQueryableSamples": stats.samples_read, "peakSamples": stats.samples_peak}
    return {"timings": timings, "samples": samples}


def _exemplars_json(found: Iterable[Exemplar]) -> list[dict[str, Any]]:
    by_series: dict[Labels, list[Exemplar]] = {}
    for exemplar in found:
        by_series.setdefault(exemplar.series, []).append(exemplar)
    return [
        {"seriesLabels": dict(series), "exemplars": [_exemplar_json(exemplar) for exemplar in _by_time(exemplars)]}
        for series, exemplars in sorted(by_series.items())
    ]


def _exemplar_json(exemplar: Exemplar) -> dict[str, Any]:
    value = format_float(exemplar.value)
    return {"labels": dict(exemplar.labels), "value": value, "timestamp": exemplar.t_ms / 1000}


def _by_time(exemplars: Sequence[Exemplar]) -> list[Exemplar]:
    return sorted(exemplars, key=lambda exemplar: exemplar.t_ms)


def _targets(view: Mapping[str, Any], state: str) -> dict[str, Any]:
    """Leave out what was not asked for: ``state`` is active, dropped or any."""
    data = dict(view)
    if state == "active":
        data["droppedTargets"] = []
    elif state == "dropped":
        data["activeTargets"] = []
    return data


def _no_alertmanagers() -> dict[str, list[Any]]:
    return {"activeAlertmanagers": [], "droppedAlertmanagers": []}
