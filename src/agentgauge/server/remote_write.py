"""``POST /api/v1/write``: remote write 1.0 from Prometheus, agents behind NAT, jobs too short to be scraped."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from agentgauge.remote.receiver import MAX_BODY_BYTES, Receiver


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
