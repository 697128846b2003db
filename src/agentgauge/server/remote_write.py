"""Remote write, wired: ``POST /api/v1/write`` takes it, ``--remote-write`` sends it.

It comes from Prometheus, from agents behind NAT and from jobs too short to be scraped; it goes to any server that takes
remote write 1.0.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from agentgauge.errors import ConfigError
from agentgauge.model.clock import Clock
from agentgauge.remote.receiver import MAX_BODY_BYTES, Receiver
from agentgauge.remote.sender import Count, Destination, Sender, Senders
from agentgauge.store.outbox import Outbox
from agentgauge.store.store import Store


def destinations_from_urls(urls: Sequence[str]) -> tuple[Destination, ...]:
    """Check where to send.

    Raises:
        ConfigError: one is no URL with a path, or stands twice.
    """
    found: dict[str, Destination] = {}
    for url in urls:
        parts = urlsplit(url)
        name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        if parts.scheme not in ("http", "https") or not parts.hostname:
            shown = name if parts.netloc else url
            example = "http://127.0.0.1:9090/api/v1/write"
            raise ConfigError(f"--remote-write {shown!r} is no http or https URL; for example {example}")
        if parts.path in ("", "/"):
            raise ConfigError(f"--remote-write {name!r} has no path; Prometheus takes /api/v1/write")
        if name in found:
            raise ConfigError(f"--remote-write {name!r} stands twice")
        found[name] = Destination(name, url)
    return tuple(found.values())


def senders_to(urls: Sequence[str], limit_bytes: int, store: Store, clock: Clock, count: Count) -> Senders:
    """Return what sends all that is stored from now on; nothing is queued when there is nowhere to send."""
    destinations = destinations_from_urls(urls)
    if destinations:
        store.send_to([destination.name for destination in destinations], limit_bytes)
    queue: Callable[[], Outbox] = lambda: store.outbox  # noqa: E731 - a new one after the file was replaced
    senders = [Sender(destination, queue, store.metadata, clock, count) for destination in destinations]
    return Senders(senders, queue, clock, count)


def remote_write_route(receiver: Receiver) -> Route:
    """Return the route; requests are taken in worker threads."""

    async def write(request: Request) -> Response:
        try:
            body = await _body(request)
        except ClientDisconnect:
            return Response(status_code=499)
        if body is None:
            return PlainTextResponse(f"a body of more than {MAX_BODY_BYTES:,} bytes\n", 413)
        answer = await asyncio.to_thread(receiver.take, body, dict(request.headers))
        if not answer.text:
            return Response(status_code=answer.status)
        return PlainTextResponse(answer.text, answer.status)

    return Route("/api/v1/write", write, methods=["POST"])


async def _body(request: Request) -> bytes | None:
    """Read a body; None when it is too long."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)
