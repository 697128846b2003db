"""A small HTTP server for one document: GET and HEAD of /metrics, and where folded labels came from.

On the standard library's sockets alone: its ``http.server`` costs more to import than all of agentgauge, has no bound
on threads and no deadline. At most ``MAX_WORKERS`` threads; when all are taken, the connection that has said nothing
for longest is dropped, so idle clients never keep a scraper out. One request per connection.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from time import gmtime, sleep

from agentgauge.expose.document import Document
from agentgauge.model.clock import SystemClock
from agentgauge.record.ledger import Ledger

FOLDED_PATH = "/debug/folded"
MAX_WORKERS = 8
MAX_REQUEST_BYTES = 16_384
DEADLINE_S = 5.0
"""For a whole request to arrive, and for a whole response to leave."""

PAUSE_S = 0.000_05
"""Between two pieces of a document: long enough for a waiting event loop to get the interpreter."""

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_NOT_FOUND = b"the metrics are at /metrics\n"


def pause() -> None:
    """Let the host's threads run."""
    sleep(PAUSE_S)


class Server:
    """Serves a document on a listening socket, from daemon threads.

    Thread-safety: ``close`` and ``abandon`` from any thread.
    """

    def __init__(self, document: Document, listener: socket.socket) -> None:
        self.document = document
        self.listener = listener
        self._lock = threading.Lock()
        self._free = threading.Semaphore(MAX_WORKERS)
        self._silent: dict[socket.socket, None] = {}
        self._closed = False
        self._acceptor = threading.Thread(target=self._accept, name="agentgauge-expose", daemon=True)
        self._acceptor.start()

    def close(self) -> None:
        """Stop serving; the port is free when this returns."""
        self._closed = True
        # close() alone would not wake the thread that waits in accept().
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        if self._acceptor is not threading.current_thread():
            self._acceptor.join(DEADLINE_S)

    def abandon(self) -> None:
        """Give up an inherited socket in a forked child: the parent goes on serving it."""
        self._closed = True
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                if self._closed:
                    return
                sleep(0.05)  # out of file descriptors, or a client that left: neither ends the server
                continue
            if not self._free.acquire(blocking=False):
                self._drop_oldest_silent()
                self._free.acquire()
            with self._lock:
                self._silent[connection] = None
            worker = threading.Thread(target=self._work, args=(connection,), name="agentgauge-scrape", daemon=True)
            try:
                worker.start()
            except RuntimeError:  # no more threads, or the interpreter ends
                self._end(connection)

    def _drop_oldest_silent(self) -> None:
        with self._lock:
            for connection in self._silent:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                del self._silent[connection]
                return

    def _work(self, connection: socket.socket) -> None:
        try:
            with self.document.ledger.guard("scrape"), contextlib.suppress(OSError):
                request = _read_request(connection)
                with self._lock:
                    self._silent.pop(connection, None)
                connection.settimeout(DEADLINE_S)
                connection.sendall(self._answer(request))
        finally:
            self._end(connection)

    def _end(self, connection: socket.socket) -> None:
        with self._lock:
            self._silent.pop(connection, None)
        with contextlib.suppress(OSError):
            # A forked child may hold a copy of this socket; shutting it down ends it for the client all the same.
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()
        self._free.release()

    def _answer(self, request: bytes) -> bytes:
        method, path, headers = _parse(request)
        if not method:
            return _response("400 Bad Request", [], b"not an HTTP request\n")
        if path == FOLDED_PATH and method in {"GET", "HEAD"}:
            body = b"" if method == "HEAD" else folded_json(self.document.ledger)
            return _response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))], body)
        if path.partition("?")[0] != "/metrics":
            return _response("404 Not Found", [], b"" if method == "HEAD" else _NOT_FOUND)
        if method not in {"GET", "HEAD"}:
            return _response("405 Method Not Allowed", [("Allow", "GET, HEAD")], b"")
        accept, encoding = headers.get("accept", ""), headers.get("accept-encoding", "")
        metadata, body = self.document.response(accept, encoding, pause=pause)
        return _response("200 OK", metadata, b"" if method == "HEAD" else body)


def folded_json(ledger: Ledger) -> bytes:
    """Return which labels were folded and where in the user's code their values came from."""
    found = [{"metric": metric, "label": label, "places": places} for metric, label, places in ledger.folded_places()]
    return json.dumps({"folded": found}).encode() + b"\n"


def _read_request(connection: socket.socket) -> bytes:
    """Return a request's head; raises TimeoutError past the deadline, however slowly bytes drip in."""
    deadline_ns = SystemClock.monotonic_ns() + int(DEADLINE_S * 1e9)
    head = b""
    while b"\r\n\r\n" not in head:
        left_s = (deadline_ns - SystemClock.monotonic_ns()) / 1e9
        if left_s <= 0 or len(head) > MAX_REQUEST_BYTES:
            raise TimeoutError
        connection.settimeout(left_s)
        received = connection.recv(4096)
        if not received:
            raise ConnectionError
        head += received
    return head


def _parse(request: bytes) -> tuple[str, str, dict[str, str]]:
    """Return (method, path, headers by lower-case name); an empty method for what is no HTTP request."""
    first, *lines = request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return "", "", {}
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        key = name.strip().lower()
        headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
    return words[0], words[1], headers


def _response(status: str, headers: list[tuple[str, str]], body: bytes) -> bytes:
    if not any(name == "Content-Length" for name, _ in headers):
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), *headers]
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    head = f"HTTP/1.1 {status}\r\nDate: {_date(SystemClock.now_ms())}\r\n{lines}Connection: close\r\n\r\n"
    return head.encode("latin-1") + body


def _date(t_ms: int) -> str:
    """Write a time as HTTP does, by which a scraper sees how far our clock is from its own."""
    t = gmtime(t_ms // 1000)
    # Not strftime: the names of days and months must not follow the host's locale.
    day, month = _DAYS[t.tm_wday], _MONTHS[t.tm_mon - 1]
    return f"{day}, {t.tm_mday:02} {month} {t.tm_year} {t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} GMT"
