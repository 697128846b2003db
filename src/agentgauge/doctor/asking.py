"""Asks addresses over HTTP: targets for their metrics, Ollama for its version and models. Bounded in time and bytes."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urljoin

import aiohttp

from agentgauge.doctor.facts import Answer, FoldedAt, LoadedModel, Ollama
from agentgauge.expose.server import FOLDED_PATH

TIMEOUT_S = 3.0
MAX_BYTES = 8 << 20
MAX_PLACES = 5
MAX_PLACE_CHARACTERS = 300
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def session() -> aiohttp.ClientSession:
    """Return a session for one look; close it."""
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), cookie_jar=aiohttp.DummyCookieJar())


async def ask_target(http: aiohttp.ClientSession, url: str, now_ms: int) -> Answer:
    """Return what an address answers to a request for metrics; never raises."""
    try:
        async with http.get(url, headers={"Accept": "text/plain;version=0.0.4"}, max_redirects=3) as response:
            body = await _bounded(response)
            kind = kind_of(response.status, response.headers.get("Content-Type", ""), body)
            ahead_s = ahead_of(response.headers.get("Date", ""), now_ms)
            return Answer(kind, response.status, len(body), ahead_s)
    except TimeoutError:
        return Answer("nothing", error=f"no answer within {TIMEOUT_S:g} s")
    except (aiohttp.ClientError, ValueError, OSError) as error:
        return Answer("nothing", error=reason(error))


async def ask_ollama(http: aiohttp.ClientSession, url: str, *, named: bool) -> Ollama:
    """Return what an Ollama server says of itself; never raises."""
    try:
        version, tags, loaded = await asyncio.gather(
            *(_json(http, f"{url}/api/{path}") for path in ("version", "tags", "ps"))
        )
        return Ollama(
            url,
            named,
            version=str(version.get("version", "")),
            installed=[str(model["name"]) for model in tags.get("models") or ()],
            loaded=[_loaded(model) for model in loaded.get("models") or ()],
        )
    except TimeoutError:
        return Ollama(url, named, f"no answer within {TIMEOUT_S:g} s")
    except (aiohttp.ClientError, ValueError, OSError, LookupError, TypeError, AttributeError) as error:
        return Ollama(url, named, reason(error))


async def ask_folded(http: aiohttp.ClientSession, url: str, instance: str) -> list[FoldedAt]:
    """Return what a target says of its folded labels, beside its metrics or below them; nothing when it does not."""
    beside, below = urljoin(url, FOLDED_PATH.removeprefix("/")), url.rstrip("/") + FOLDED_PATH
    for address in dict.fromkeys((beside, below)):
        try:
            said = (await _json(http, address))["folded"]
            return [FoldedAt(instance, str(one["metric"]), str(one["label"]), _places(one)) for one in said]
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError, LookupError, TypeError, AttributeError):
            continue  # an older agentgauge, or somebody else's server: what was folded is told all the same
    return []


def _places(one: dict[str, Any]) -> list[str]:
    return [str(place)[:MAX_PLACE_CHARACTERS] for place in one["places"][:MAX_PLACES]]


def kind_of(status: int, content_type: str, body: bytes) -> str:
    """Return what kind of answer it is: ``agentgauge``, ``metrics``, ``html`` or ``other``."""
    kind = content_type.partition(";")[0].strip().lower()
    start = body[:512].lstrip().lower()
    if kind in ("text/html", "application/xhtml+xml") or start.startswith((b"<!doctype", b"<html")):
        return "html"
    if status != 200:
        return "other"
    if b"\nagentgauge_build_info" in body or body.startswith(b"agentgauge_build_info"):
        return "agentgauge"
    is_text = kind in ("text/plain", "application/openmetrics-text", "")
    return "metrics" if is_text and (body.startswith(b"#") or not body.strip()) else "other"


def ahead_of(date: str, now_ms: int) -> float | None:
    """Return how far the clock behind a ``Date`` header is before ours, s; 0 within its second, None without one."""
    words = date.replace(":", " ").split()
    try:
        day, month, year = int(words[1]), _MONTHS.index(words[2]) + 1, int(words[3])
        hour, minute, second = map(int, words[4:7])
        said = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc).timestamp()
    except (ValueError, IndexError):
        return None
    off_s = said - now_ms / 1000
    return off_s + 1 if off_s < -1 else off_s if off_s > 0 else 0.0


def reason(error: Exception) -> str:
    """Return why a connection failed, in the system's words where it has some."""
    inner = getattr(error, "os_error", None)
    number = inner.errno if isinstance(inner, OSError) else None
    if number and number > 0:
        return f"cannot connect: {os.strerror(number)}"
    return f"{type(error).__name__}: {error}"[:200]


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BYTES:
            break
    return bytes(body)


async def _json(http: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with http.get(url) as response:
        found = json.loads(await _bounded(response))
        if not isinstance(found, dict):
            raise ValueError(f"{url} does not answer like Ollama")  # noqa: TRY004 -- it is the answer that is wrong
        return found


def _loaded(model: dict[str, Any]) -> LoadedModel:
    size = model.get("size") or 0
    share = model.get("size_vram", 0) / size if size else 0.0
    return LoadedModel(str(model["name"]), share, int(model.get("context_length") or 0))
