"""HTTP/1.1 on one connection, by hand, because here the bytes are the product.

Headers leave in Go's order, with the first chunk in one write; every chunk is flushed at once; a client that goes
away is noticed at once and its request's task is cancelled. Not here: TLS, compression, HTTP/2.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast
from urllib.parse import unquote

from agentgauge.simulator.gojson import http_date

MAX_HEAD_BYTES = 65_536
MAX_BODY_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class Request:
    """A request, whole. Header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    peer: str
    keep_alive: bool


class MalformedError(Exception):
    """Bytes that are no HTTP request, or one that is too big; the status that says so."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def parse_request(buffer: bytearray, peer: str) -> Request | None:
    """Take one request off the front of a buffer; None when it is not all there. Raises MalformedError."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        if len(buffer) > MAX_HEAD_BYTES:
            raise MalformedError(431)
        return None
    method, target, version, headers = _head(bytes(buffer[:end]))
    if "chunked" in headers.get("transfer-encoding", "").lower():
        found = _chunked(buffer, end + 4)
        if found is None:
            return None
        body, stop = found
    else:
        length = headers.get("content-length", "0")
        if not length.isdigit():
            raise MalformedError(400)
        if int(length) > MAX_BODY_BYTES:
            raise MalformedError(413)
        stop = end + 4 + int(length)
        if len(buffer) < stop:
            return None
        body = bytes(buffer[end + 4 : stop])
    del buffer[:stop]
    wish = headers.get("connection", "").lower()
    keep_alive = wish != "close" and (version == "HTTP/1.1" or wish == "keep-alive")
    return Request(method, unquote(target.partition("?")[0]), headers, body, peer, keep_alive)


def _head(head: bytes) -> tuple[str, str, str, dict[str, str]]:
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise MalformedError(400)
    headers = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise MalformedError(400)
        headers[name.lower()] = value.strip()
    return parts[0], parts[1], parts[2], headers


def _chunked(buffer: bytearray, start: int) -> tuple[bytes, int] | None:
    body = bytearray()
    while True:
        end = buffer.find(b"\r\n", start)
        if end < 0:
            return None
        try:
            size = int(bytes(buffer[start:end]).partition(b";")[0], 16)
        except ValueError:
            raise MalformedError(400) from None
        if size + len(body) > MAX_BODY_BYTES:
            raise MalformedError(413)
        if len(buffer) < end + 4 + size:
            return None
        if size == 0:
            return bytes(body), end + 4
        body += buffer[end + 2 : end + 2 + size]
        start = end + 4 + size


Headers = tuple[tuple[str, str], ...]
Answer = Callable[[Request, "Connection"], Awaitable[None]]


class Connection(asyncio.Protocol):
    """One client's connection: requests are answered one after another, each by a task of its own.

    The task writes with ``send``, or ``start``, ``chunk`` and ``end``; it is cancelled when the client goes away.
    """

    def __init__(self, answer: Answer, wall_ns: Callable[[], int], open_connections: set[Connection]) -> None:
        self._answer = answer
        self._wall_ns = wall_ns
        self._open = open_connections
        self._buffer = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._request: Request | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._head: bytes | None = None  # written, with the first chunk, when a stream starts
        self._continued = False
        self._chunked = True

    # -- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the connection."""
        self._transport = cast(asyncio.Transport, transport)
        self._peer = str((transport.get_extra_info("peername") or ("",))[0])
        self._open.add(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes; start on a request when one is whole."""
        self._buffer += data
        if self._task is None:
            self._next_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the request under way."""
        self._open.discard(self)
        self._flowing.set()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """Make writers wait: the client reads slowly."""
        self._flowing.clear()

    def resume_writing(self) -> None:
        """Let writers go on."""
        self._flowing.set()

    def _next_request(self) -> None:
        try:
            request = parse_request(self._buffer, self._peer)
        except MalformedError as error:
            self._refuse(error.status)
            return
        if request is None:
            if not self._continued and b"100-continue" in self._buffer and b"\r\n\r\n" in self._buffer:
                self._continued = True
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        self._continued = False
        self._request = request
        self._task = asyncio.get_running_loop().create_task(self._run(request))

    async def _run(self, request: Request) -> None:
        with suppress(asyncio.CancelledError):
            await self._answer(request, self)
            if not request.keep_alive:
                self._transport.close()
        self._task = None
        if not self._transport.is_closing():
            self._next_request()

    def _refuse(self, status: int) -> None:
        text = f"{status} {HTTPStatus(status).phrase}"
        head = f"HTTP/1.1 {text}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n{text}"
        self._transport.write(head.encode())
        self._transport.close()

    # -- the answering task's side

    async def send(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a whole answer."""
        head = self._head_bytes(status, headers, f"Content-Length: {len(body)}")
        is_head = self._request is not None and self._request.method == "HEAD"
        self._transport.write(head if is_head else head + body)
        await self._flowing.wait()

    def start(self, status: int, headers: Headers) -> None:
        """Begin a stream; its headers leave with the first chunk."""
        self._chunked = self._request is None or self._request.keep_alive
        framing = "Transfer-Encoding: chunked" if self._chunked else "Connection: close"
        self._head = self._head_bytes(status, headers, framing)

    async def chunk(self, data: bytes) -> None:
        """Send a piece of a stream, at once."""
        head, self._head = self._head or b"", None
        self._transport.write(head + (b"%x\r\n%s\r\n" % (len(data), data) if self._chunked else data))
        await self._flowing.wait()

    async def end(self) -> None:
        """End a stream."""
        head, self._head = self._head or b"", None
        self._transport.write(head + (b"0\r\n\r\n" if self._chunked else b""))
        await self._flowing.wait()

    def reset(self) -> None:
        """Cut the connection without a goodbye."""
        self._transport.abort()

    def close(self) -> None:
        """Close the connection; a request under way is cancelled."""
        if self._task is None:
            self._transport.close()
        else:
            self._transport.abort()

    def task(self) -> asyncio.Task[None] | None:
        """Return the task that answers the request under way."""
        return self._task

    def _head_bytes(self, status: int, headers: Headers, framing: str) -> bytes:
        phrase = "Client Closed Request" if status == 499 else HTTPStatus(status).phrase
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers)]
        lines += [f"Date: {http_date(self._wall_ns())}", framing]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
