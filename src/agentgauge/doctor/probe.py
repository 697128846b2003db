"""Gathers the facts: the backend by PromQL, targets, model servers, this machine; all at once, each bounded."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import aiohttp

from agentgauge.backends.backend import Backend
from agentgauge.doctor import machine
from agentgauge.doctor.asking import ahead_of, ask_folded, ask_ollama, ask_target, session
from agentgauge.doctor.facts import Facts, FoldedAt, Host, Ollama, Rows, Server, TargetFact, Track, Wide
from agentgauge.doctor.queries import QUERIES, TRACKS
from agentgauge.errors import AgentgaugeError
from agentgauge.model.clock import Clock, SystemClock
from agentgauge.model.discovery import PID_LABEL
from agentgauge.model.labels import METRIC_NAME
from agentgauge.model.metrics import LABEL_LIMITS
from agentgauge.model.series import Result

QUERY_TIMEOUT_S = 10.0
MAX_ASKED = 20
"""Targets that are asked one by one; a server with more is asked about the first."""

MAX_VALUES = max(LABEL_LIMITS.values()) + 50
"""More values of one label on one instance than agentgauge itself would ever let through."""

DEFAULT_OLLAMA = "http://127.0.0.1:11434"

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNITS_S = {"ms": 0.001, "h": 3600.0, "m": 60.0, "s": 1.0}

TargetsView = Callable[[], Awaitable[Mapping[str, Any] | None]]


@dataclass(frozen=True, slots=True)
class Where:
    """What to look at: the server's address, its data, the discovery folder, the metrics port, the model server."""

    server: str
    environ: Mapping[str, str]
    data_path: str = ""
    folder: str = ""
    port: int = 8001
    ollama: str = ""
    is_http: bool = False


@dataclass(slots=True)
class _Asked:
    values: dict[str, Rows] = field(default_factory=dict)
    tracks: dict[str, Sequence[Track]] = field(default_factory=dict)
    error: str = ""
    took_s: float = 0.0


async def gather(backend: Backend, where: Where, targets_view: TargetsView, clock: Clock | None = None) -> Facts:
    """Return the facts as they are now; never raises for what does not answer."""
    clock = clock or SystemClock()
    now_ms = clock.now_ms()
    async with session() as http:
        host, asked, targets, ollama, ahead_s = await asyncio.gather(
            _machine(http, where, now_ms),
            _ask(backend, clock),
            _targets(http, targets_view, clock),
            _ollama(http, where),
            _ahead(http, where, clock),
        )
        wide = [] if asked.error else await _wide(backend, asked.values.get("widest", ()))
        folded_at = await _folded_at(http, targets or (), asked.values.get("folded", ()))
    server = Server(where.server, asked.error, asked.took_s, ahead_s)
    return Facts(now_ms, host, server, targets, asked.values, asked.tracks, wide, ollama, folded_at)


async def _machine(http: aiohttp.ClientSession, where: Where, now_ms: int) -> Host:
    host = await asyncio.to_thread(machine.look, where.environ, where.folder, where.data_path, where.port)
    return replace(host, port_answer=await ask_target(http, f"http://127.0.0.1:{where.port}/metrics", now_ms))


async def _ask(backend: Backend, clock: Clock) -> _Asked:
    """Ask one thing first: a backend that does not answer it is not asked thirty more."""
    asked = _Asked()
    start_ns = clock.monotonic_ns()
    try:
        asked.values["up"] = rows_of(await backend.query(QUERIES["up"], timeout_s=QUERY_TIMEOUT_S))
    except AgentgaugeError as error:
        asked.error = str(error)
        return asked
    asked.took_s = (clock.monotonic_ns() - start_ns) / 1e9
    rest = {key: expr for key, expr in QUERIES.items() if key != "up"} | TRACKS
    results = await asyncio.gather(*(_query(backend, expr) for expr in rest.values()))
    for key, result in zip(rest, results, strict=True):
        if result is not None and key in TRACKS:
            asked.tracks[key] = tracks_of(result)
        elif result is not None:
            asked.values[key] = rows_of(result)
    return asked


async def _query(backend: Backend, expr: str) -> Result | None:
    try:
        return await backend.query(expr, timeout_s=QUERY_TIMEOUT_S)
    except AgentgaugeError:
        return None


def rows_of(result: Result) -> list[tuple[dict[str, str], float]]:
    """Return labels and value of each series of an instant answer; what is no number is left out."""
    steps = result.steps
    if steps.values.shape[1] == 0:
        return []
    found = zip(steps.labels, steps.values[:, -1].tolist(), steps.present[:, -1].tolist(), strict=True)
    return [(dict(labels), value) for labels, value, present in found if present and not math.isnan(value)]


def tracks_of(result: Result) -> list[Track]:
    """Return the samples of each series that a range selector answered."""
    block = result.samples
    if block is None:
        return []
    return [
        (dict(labels), block.t_ms[start:end].tolist(), block.values[start:end].tolist())
        for labels, start, end in zip(block.labels, block.offsets[:-1], block.offsets[1:], strict=True)
    ]


async def _wide(backend: Backend, widest: Rows) -> list[Wide]:
    """Find the label that makes a metric wide; one with an own limit passes up to it."""
    found = []
    for labels, _ in widest:
        name, instance = labels.get(METRIC_NAME, ""), labels.get("instance", "")
        try:
            every = await backend.series([f'{{__name__="{name}", instance="{_escaped(instance)}"}}'], limit=20_000)
        except AgentgaugeError:
            continue
        values: dict[str, set[str]] = {}
        for one in every:
            for label, value in one:
                values.setdefault(label, set()).add(value)
        label = max(values, key=lambda one: len(values[one]), default="")
        if label and label != "le" and len(values[label]) > MAX_VALUES:
            found.append(Wide(name, instance, label, len(values[label])))
    return sorted(found, key=lambda one: -one.n_values)


async def _folded_at(http: aiohttp.ClientSession, targets: Sequence[TargetFact], folded: Rows) -> list[FoldedAt]:
    """Ask those that fold labels where in their code the values were made."""
    folding = {(labels.get("job", ""), labels.get("instance", "")) for labels, _ in folded}
    asked = [one for one in targets if (one.job, one.instance) in folding and one.health == "up"][:MAX_ASKED]
    found = await asyncio.gather(*(ask_folded(http, one.url, one.instance) for one in asked))
    return [one for several in found for one in several]


async def _targets(http: aiohttp.ClientSession, view: TargetsView, clock: Clock) -> list[TargetFact] | None:
    try:
        seen = await view()
    except (AgentgaugeError, TypeError, KeyError):
        return None
    if seen is None:
        return None
    targets = [target_of(one) for one in seen["activeTargets"]]
    answers = await asyncio.gather(*(ask_target(http, one.url, clock.now_ms()) for one in targets[:MAX_ASKED]))
    asked = [replace(one, answer=answer) for one, answer in zip(targets, answers, strict=False)]
    return [*asked, *targets[MAX_ASKED:]]


def target_of(seen: Mapping[str, Any]) -> TargetFact:
    """Read one target of ``/api/v1/targets``, ours or Prometheus'."""
    labels = seen.get("labels") or {}
    pid = str((seen.get("discoveredLabels") or {}).get(PID_LABEL, ""))
    return TargetFact(
        url=str(seen.get("scrapeUrl", "")),
        job=str(labels.get("job", "")),
        instance=str(labels.get("instance", "")),
        health=str(seen.get("health", "unknown")),
        error=str(seen.get("lastError", "")),
        last_scrape_ms=_ms_of(str(seen.get("lastScrape", ""))),
        interval_s=_seconds_of(str(seen.get("scrapeInterval", ""))),
        pid=int(pid) if pid.isascii() and pid.isdigit() else 0,
    )


async def _ollama(http: aiohttp.ClientSession, where: Where) -> Ollama:
    chosen = where.ollama or where.environ.get("OLLAMA_HOST", "").strip()
    url = chosen.replace("0.0.0.0", "127.0.0.1").rstrip("/") or DEFAULT_OLLAMA
    if "://" not in url:
        url = f"http://{url}" if ":" in url else f"http://{url}:11434"
    return await ask_ollama(http, url, named=bool(chosen))


async def _ahead(http: aiohttp.ClientSession, where: Where, clock: Clock) -> float | None:
    if not where.is_http:
        return None
    try:
        async with http.get(where.server, allow_redirects=False) as response:
            return ahead_of(response.headers.get("Date", ""), clock.now_ms())
    except (aiohttp.ClientError, TimeoutError, ValueError, OSError):
        return None  # that it does not answer is another row


def _ms_of(text: str) -> int:
    """Read RFC 3339 as Prometheus writes it, nanoseconds and all; 0 for never and for what is none."""
    found = _RFC3339.match(text)
    if found is None:
        return 0
    t = datetime.fromisoformat(f"{found[1]}{'+00:00' if found[3] == 'Z' else found[3]}")
    return round(t.timestamp() * 1000) + int((found[2] or "").ljust(3, "0")[:3]) if t.year > 1970 else 0


def _seconds_of(text: str) -> float:
    """Read a Go duration of the kind that stands in a scrape interval: ``5s``, ``500ms``, ``1m0s``; 0 for none."""
    return sum(float(number) * _UNITS_S[unit] for number, unit in _DURATION.findall(text))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
