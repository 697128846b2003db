"""From a question's coroutine to an HTTP answer: errors to codes, a leaving asker to a stop, gzip."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from agentgauge.errors import AgentgaugeError, BackendError, QueryCanceled, QueryError
from agentgauge.server.json import encode, failure, success
from agentgauge.server.params import Params, params_from_request

_CODES = {"bad_data": 400, "execution": 422, "timeout": 503, "canceled": 499, "internal": 500, "not_found": 404}
_GZIP_FROM_BYTES = 1024
_GZIP_LEVEL = 1  # the wire is mostly loopback: what matters is that compression does not hold up the answer
_OFF_LOOP_FROM_BYTES = 64 * 1024

_T = TypeVar("_T")

Handler = Callable[[Params, Request], Awaitable[bytes]]
"""Makes the body of a successful answer from the parameters."""


def endpoint(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Turn a handler into a route's endpoint: parameters in, the API's envelope out, whatever happens."""

    async def answer(request: Request) -> Response:
        try:
            params = await params_from_request(request)
            body = await _while_asked(request, handler(params, request))
        except QueryError as error:
            return await respond(request, failure(error.error_type, str(error)), _CODES[error.error_type])
        except BackendError as error:
            return await respond(request, failure("internal", str(error)), 502)
        except AgentgaugeError as error:
            return await respond(request, failure("internal", str(error)), 500)
        return await respond(request, body)

    return answer


def data_only(view: Callable[[], object]) -> Callable[[Request], Awaitable[Response]]:
    """Turn a view without parameters into a route's endpoint."""

    async def handler(_params: Params, _request: Request) -> bytes:
        return success(encode(view()))

    return endpoint(handler)


async def respond(request: Request, body: bytes, status: int = 200) -> Response:
    """Answer with JSON, compressed when the client takes it and it is worth it."""
    headers = {"Vary": "Accept-Encoding", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    if len(body) >= _GZIP_FROM_BYTES and "gzip" in request.headers.get("accept-encoding", ""):
        body = await off_loop(len(body), lambda: gzip.compress(body, _GZIP_LEVEL, mtime=0))
        headers["Content-Encoding"] = "gzip"
    return Response(body, status, headers, "application/json")


async def off_loop(size_bytes: int, work: Callable[[], _T]) -> _T:
    """Run work in a thread when it is large, so that other answers are not held up."""
    return work() if size_bytes < _OFF_LOOP_FROM_BYTES else await asyncio.to_thread(work)


async def _while_asked(request: Request, work: Awaitable[bytes]) -> bytes:
    """Await the work; cancel it when the client closes the connection."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
        return await task
    except asyncio.CancelledError:
        if not gone.done():
            raise  # the server is stopping
        raise QueryCanceled("the client closed the connection") from None
    finally:
        task.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
