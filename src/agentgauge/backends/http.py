"""Any Prometheus-compatible server: Prometheus, Mimir, Thanos, VictoriaMetrics, agentgauge.

The HTTP API v1 in, the same ``Result`` out as from the embedded engine. Questions go as form POST (long PromQL fits)
and once more as GET where a server knows no POST. User and password come from the URL, other headers from the caller;
neither appears in a message.
Source: https://prometheus.io/docs/prometheus/latest/querying/api/.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import aiohttp
import orjson

from agentgauge.backends.answers import exemplars_from_json, infos_from_json, result_from_json
from agentgauge.errors import (
    BackendError,
    BadQuery,
    ConfigError,
    ExecutionError,
    QueryCanceled,
    QueryError,
    QueryTimeout,
)
from agentgauge.model.labels import Labels, labels_from_mapping
from agentgauge.model.sample import Exemplar, MetricInfo
from agentgauge.model.series import Result

MAX_ANSWER_BYTES = 512 * 1024 * 1024
CONNECT_TIMEOUT_S = 5.0
_GRACE_S = 5.0

_Params: TypeAlias = list[tuple[str, str]]

_ERRORS: Mapping[str, type[QueryError]] = {
    "bad_data": BadQuery,
    "422": ExecutionError,
    "canceled": QueryCanceled,
    "execution": ExecutionError,
    "timeout": QueryTimeout,
}


class HttpBackend:
    """Ask a Prometheus-compatible server.

    Thread-safety: used from one event loop. The session is made at the first question.
    """

    def __init__(self, url: str, *, headers: Mapping[str, str] | None = None, timeout_s: float = 120.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{url!r} is not the http(s) URL of a server; for example http://127.0.0.1:9090")
        path = parts.path.rstrip("/").removesuffix("/api/v1")
        self._base = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, "", ""))
        self._headers = dict(headers or {})
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    @property
    def url(self) -> str:
        """The server's address without user and password."""
        return self._base

    async def query(
        self, expr: str, t_ms: int | None = None, *, timeout_s: float | None = None, lookback_ms: int | None = None
    ) -> Result:
        """Evaluate at one time; the server's now when ``t_ms`` is None."""
        params = [("query", expr), *_query_options(timeout_s, lookback_ms)]
        if t_ms is not None:
            params.append(("time", _seconds(t_ms)))
        return result_from_json(await self._ask("query", params, timeout_s), self._base)

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
        """Evaluate from start to end, both included, by step."""
        params = [
            ("query", expr),
            ("start", _seconds(start_ms)),
            ("end", _seconds(end_ms)),
            ("step", _seconds(step_ms)),
            # VictoriaMetrics moves start and end onto multiples of the step unless told not to; others pass it over.
            ("nocache", "1"),
            *_query_options(timeout_s, lookback_ms),
        ]
        answer = await self._ask("query_range", params, timeout_s)
        return result_from_json(answer, self._base, range(start_ms, end_ms + 1, step_ms))

    async def series(
        self, selectors: Sequence[str], start_ms: int | None = None, end_ms: int | None = None, limit: int = 0
    ) -> list[Labels]:
        """Return the label sets that match any selector."""
        answer = await self._ask("series", _set_params(selectors, start_ms, end_ms, limit))
        return sorted(labels_from_mapping(labels) for labels in answer["data"] or [])

    async def label_names(
        self,
        selectors: Sequence[str] = (),
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 0,
    ) -> list[str]:
        """Return the sorted label names."""
        answer = await self._ask("labels", _set_params(selectors, start_ms, end_ms, limit))
        return sorted(answer["data"] or [])

    async def label_values(
        self,
        name: str,
        selectors: Sequence[str] = (),
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 0,
    ) -> list[str]:
        """Return the sorted values of a label."""
        params = _set_params(selectors, start_ms, end_ms, limit)
        answer = await self._ask(f"label/{quote(name, safe='')}/values", params, method="GET")
        return sorted(answer["data"] or [])

    async def metadata(self, metric: str | None = None) -> Mapping[str, Sequence[MetricInfo]]:
        """Return what is known of each metric family."""
        answer = await self._ask("metadata", [("metric", metric)] if metric else [], method="GET")
        return infos_from_json(answer["data"] or {})

    async def exemplars(self, expr: str, start_ms: int, end_ms: int) -> list[Exemplar]:
        """Return the exemplars of the series that an expression selects."""
        params = [("query", expr), ("start", _seconds(start_ms)), ("end", _seconds(end_ms))]
        answer = await self._ask("query_exemplars", params)
        return exemplars_from_json(answer["data"] or [])

    async def targets(self) -> dict[str, Any]:
        """Return what the server scrapes, in the form of ``/api/v1/targets``; not every server that answers can."""
        answer = await self._ask("targets", [], method="GET")
        data = answer["data"]
        if not isinstance(data, dict) or not isinstance(data.get("activeTargets"), list):
            raise BackendError(self._base, f"{self._base} does not say what it scrapes")
        return data

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(
        self, path: str, params: _Params, timeout_s: float | None = None, *, method: str = "POST"
    ) -> dict[str, Any]:
        """Return the envelope of a successful answer.

        Raises:
            QueryError: the server understood and refused, by the class of its ``errorType``.
            BackendError: it did not answer, or not in the API's form.
        """
        limit_s = self._timeout_s if timeout_s is None else min(timeout_s, self._timeout_s)
        url = f"{self._base}/api/v1/{path}"
        try:
            async with asyncio.timeout(limit_s + _GRACE_S):
                status, body = await self._send(method, url, params)
                if method == "POST" and status in (405, 501):
                    status, body = await self._send("GET", url, params)
        except TimeoutError:
            raise QueryTimeout(f"{self._base} gave no answer within {limit_s:g} s") from None
        except aiohttp.ClientConnectorError as error:
            raise BackendError(self._base, f"cannot reach {self._base}: {_reason(error.os_error)}") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise BackendError(self._base, f"{self._base} broke off: {type(error).__name__}: {error}") from None
        return self._envelope(status, body)

    async def _send(self, method: str, url: str, params: _Params) -> tuple[int, bytes]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        form = {"data": params} if method == "POST" else {"params": params}
        async with self._session.request(method, url, **form) as response:  # type: ignore[arg-type]
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise BackendError(self._base, f"{self._base} answers more than {MAX_ANSWER_BYTES:,} bytes")
            return response.status, bytes(body)

    def _envelope(self, status: int, body: bytes) -> dict[str, Any]:
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict) or answer.get("status") not in ("success", "error"):
            hint = {401: "; user and password go into the URL", 404: "; is its path right?"}.get(status, "")
            shown = " ".join(body[:120].decode(errors="replace").split())
            raise BackendError(self._base, f"{self._base} answers HTTP {status}{hint}: {shown}")
        if answer["status"] == "error":
            message = str(answer.get("error", f"HTTP {status}"))
            kind = _ERRORS.get(str(answer.get("errorType")))
            if kind is None:
                raise BackendError(self._base, f"{self._base}: {message}")
            raise kind(message)
        if "data" not in answer:
            raise BackendError(self._base, f"{self._base} answers without data")
        return answer


def _seconds(t_ms: int) -> str:
    """Write milliseconds as decimal seconds, exactly."""
    sign, rest = ("-", -t_ms) if t_ms < 0 else ("", t_ms)
    return f"{sign}{rest // 1000}.{rest % 1000:03d}"


def _query_options(timeout_s: float | None, lookback_ms: int | None) -> _Params:
    options = [] if timeout_s is None else [("timeout", f"{max(1, round(timeout_s * 1000))}ms")]
    return options if lookback_ms is None else [*options, ("lookback_delta", f"{lookback_ms}ms")]


def _set_params(selectors: Sequence[str], start_ms: int | None, end_ms: int | None, limit: int) -> _Params:
    params = [("match[]", selector) for selector in selectors]
    if start_ms is not None:
        params.append(("start", _seconds(start_ms)))
    if end_ms is not None:
        params.append(("end", _seconds(end_ms)))
    return [*params, ("limit", str(limit))] if limit else params


def _reason(error: OSError) -> str:
    """Return the system's words for a failed connection; asyncio's own repeat the address."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
