"""``PUT /metrics/job/<job>{/<label>/<value>}``: the address of a Pushgateway, for jobs that end before a scrape.

Two kinds of push. One that names itself (``X-Agentgauge-Push``) holds what one run counted: it is added to the totals
of its job, once, however often it is sent; counters of repeated runs grow, and no label tells runs apart. One without
(``prometheus_client.push_to_gateway``, curl) is stored as it is, at the time it arrives. Neither is repeated for ever:
what a job was last at can be asked for with ``last_over_time``; nothing needs to be deleted.

Source: https://github.com/prometheus/pushgateway#api, version 1.11.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import zlib
from collections.abc import Callable
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from agentgauge.errors import AgentgaugeError, ConfigError, ParseError, StoreError
from agentgauge.model.clock import Clock
from agentgauge.model.labels import Labels, labels_from_mapping
from agentgauge.scrape.handover import Handover
from agentgauge.scrape.tally import infos_of_text, piece_from_text, samples_of_group

MAX_BODY_BYTES = 16 * 1024 * 1024
PUSH_HEADER, START_HEADER, END_HEADER = "x-agentgauge-push", "x-agentgauge-start-ms", "x-agentgauge-end-ms"

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*$")
_BASE64 = "@base64"
_PUSH_ID = re.compile(r"[\w.:-]{1,128}$", re.ASCII)


def push_routes(handover: Handover, clock: Clock) -> list[BaseRoute]:
    """Return the route that takes pushes."""

    async def push(request: Request) -> Response:
        try:
            await _take(handover, clock, request)
        except StoreError as error:
            return PlainTextResponse(f"{error}\n", 503, headers={"Retry-After": "10"})
        except (AgentgaugeError, ValueError) as error:
            return PlainTextResponse(f"{error}\n", 400)
        return PlainTextResponse("", 200)

    return [Route("/metrics/job{rest:path}", push, methods=["PUT", "POST"])]


async def _take(handover: Handover, clock: Clock, request: Request) -> None:
    path: str = request.scope.get("raw_path", b"").decode("latin-1") or request.url.path
    group = group_from_path(path.partition("?")[0])
    text = await _body(request)
    if request.headers.get(END_HEADER) or request.headers.get(PUSH_HEADER):
        work: Callable[[], object] = _named(handover, clock, request, group, text)
    else:
        now_ms = clock.now_ms()

        def work() -> None:
            handover.put(samples_of_group(text, group, now_ms), infos_of_text(text))

    await asyncio.to_thread(work)


def _named(handover: Handover, clock: Clock, request: Request, group: Labels, text: bytes) -> Callable[[], object]:
    push_id = request.headers.get(PUSH_HEADER, "")
    if _PUSH_ID.match(push_id) is None:
        raise ConfigError(f"{PUSH_HEADER}: 1 to 128 letters, digits or any of ._:- are an id")
    end_ms = int(request.headers.get(END_HEADER, clock.now_ms()))
    start_ms = int(request.headers.get(START_HEADER, end_ms - 1))
    if not 0 <= start_ms <= end_ms:
        raise ConfigError(f"{START_HEADER} {start_ms} is not before {END_HEADER} {end_ms}")
    return lambda: handover.take(piece_from_text(push_id, group, text, start_ms, end_ms))


async def _body(request: Request) -> bytes:
    received = bytearray()
    async for part in request.stream():
        received += part
        if len(received) > MAX_BODY_BYTES:
            raise ParseError(f"more than {MAX_BODY_BYTES} bytes")
    coding = request.headers.get("content-encoding", "identity")
    if coding == "identity":
        return bytes(received)
    if coding != "gzip":
        raise ParseError(f"content encoding {coding!r}; only gzip is read")
    return await asyncio.to_thread(_unpacked, bytes(received))


def _unpacked(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        text = unpacker.decompress(packed, MAX_BODY_BYTES)
    except zlib.error as error:
        raise ParseError(f"not gzip: {error}") from None
    if unpacker.unconsumed_tail:
        raise ParseError(f"more than {MAX_BODY_BYTES} bytes unpacked")
    return text


def group_from_path(path: str) -> Labels:
    """Return the labels in ``/metrics/job/<job>/<label>/<value>…``; ``<label>@base64`` takes any value.

    Raises:
        ConfigError: it is not that.
    """
    parts = path.partition("/metrics/")[2].split("/")
    if len(parts) % 2 or parts[0].removesuffix(_BASE64) != "job":
        raise ConfigError(f"{path!r} is not /metrics/job/<job>, then pairs of /<label>/<value>")
    group = {}
    for name, value in zip(parts[::2], parts[1::2], strict=True):
        label = name.removesuffix(_BASE64)
        if not _LABEL.match(label) or label.startswith("__") or label in group:
            raise ConfigError(f"{label!r} is no label name here")
        group[label] = _decoded(value) if name.endswith(_BASE64) else unquote(value)
    if not group["job"]:
        raise ConfigError("a job needs a name: /metrics/job/<job>")
    return labels_from_mapping(group)


def _decoded(value: str) -> str:
    try:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode()
    except (binascii.Error, ValueError):
        raise ConfigError(f"{value[:80]!r} is not base64 of UTF-8") from None
