"""The document inside a user's own web application: ASGI and WSGI.

An event loop never renders: a thread does, in small pieces with pauses between, and the loop only sends.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias

from agentgauge.expose.document import Document
from agentgauge.expose.server import FOLDED_PATH, MAX_WORKERS, folded_json, pause

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]
WsgiApp: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Response: TypeAlias = tuple[list[tuple[str, str]], bytes]

SEND_BYTES = 65_536
"""Per message: one large write would copy megabytes on the event loop."""


def asgi_app(document: Document) -> AsgiApp:
    """Return an ASGI app that answers every path it is mounted on with the metrics, ``debug/folded`` apart."""
    renderings = Renderings(document)

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            await _answer(renderings, scope, send)

    return app


def wsgi_app(document: Document) -> WsgiApp:
    """Return a WSGI app that answers every path it is mounted on with the metrics, ``debug/folded`` apart."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method = environ.get("REQUEST_METHOD", "GET")
        if method not in {"GET", "HEAD"}:
            start_response("405 Method Not Allowed", [("Allow", "GET, HEAD"), ("Content-Length", "0")])
            return []
        if environ.get("PATH_INFO", "").endswith(FOLDED_PATH):
            body = folded_json(document.ledger)
            start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
            return [] if method == "HEAD" else [body]
        accept, encoding = environ.get("HTTP_ACCEPT", ""), environ.get("HTTP_ACCEPT_ENCODING", "")
        headers, body = document.response(accept, encoding, pause=pause)
        start_response("200 OK", headers)
        return [] if method == "HEAD" else [body]

    return app


class Renderings:
    """Renders beside an event loop, in at most ``MAX_WORKERS`` threads of its own.

    Not in the loop's default executor: the host may have filled that with its own long jobs.
    """

    def __init__(self, document: Document) -> None:
        self.ledger = document.ledger
        self._document = document
        self._free = threading.Semaphore(MAX_WORKERS)

    async def response(self, accept: str, accept_encoding: str) -> Response | None:
        """Return (headers, body); None when too many are being made already. Raises what rendering raised."""
        import asyncio  # only an app with an event loop comes here, and it has imported it

        if not self._free.acquire(blocking=False):
            return None
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Response] = loop.create_future()

        def finish(response: Response | None, error: BaseException | None) -> None:
            if done.done():
                return  # the client left and the request was cancelled
            if error is not None:
                done.set_exception(error)
            elif response is not None:
                done.set_result(response)

        def render() -> None:
            response, failure = None, None
            try:
                response = self._document.response(accept, accept_encoding, pause=pause)
            except BaseException as error:  # noqa: BLE001 -- carried to the waiting request, which raises it
                failure = error
            finally:
                self._free.release()
            try:
                loop.call_soon_threadsafe(finish, response, failure)
            except RuntimeError:
                return  # the loop has been closed meanwhile

        threading.Thread(target=render, name="agentgauge-scrape", daemon=True).start()
        return await done


async def _answer(renderings: Renderings, scope: Message, send: Send) -> None:
    if scope["method"] not in {"GET", "HEAD"}:
        await _send(send, 405, [("Allow", "GET, HEAD"), ("Content-Length", "0")], b"")
        return
    if scope["path"].endswith(FOLDED_PATH):
        said = folded_json(renderings.ledger)
        head = [("Content-Type", "application/json"), ("Content-Length", str(len(said)))]
        await _send(send, 200, head, b"" if scope["method"] == "HEAD" else said)
        return
    headers: dict[str, str] = {}
    for name, value in scope.get("headers", ()):
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    response = await renderings.response(headers.get("accept", ""), headers.get("accept-encoding", ""))
    if response is None:
        await _send(send, 503, [("Retry-After", "1"), ("Content-Length", "0")], b"")
        return
    metadata, body = response
    await _send(send, 200, metadata, b"" if scope["method"] == "HEAD" else body)


async def _send(send: Send, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    view = memoryview(body)
    for first in range(0, max(len(body), 1), SEND_BYTES):
        more = first + SEND_BYTES < len(body)
        piece = bytes(view[first : first + SEND_BYTES])
        await send({"type": "http.response.body", "body": piece, "more_body": more})


async def _live(receive: Receive, send: Send) -> None:
    """Take part in an application's start and end, for the app that is served alone."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
