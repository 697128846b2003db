"""What tests of running programs share: a free port, waiting for what must come true, a target that counts scrapes."""

from __future__ import annotations

import http.server
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from agentgauge.model.clock import SystemClock

LIMIT_S = 60.0

T = TypeVar("T")


def free_port() -> int:
    """Return a port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(what: str, holds: Callable[[], T], limit_s: float = LIMIT_S) -> T:
    """Wait for something true and return it; fail by its name when it does not come."""
    deadline_ns = SystemClock.monotonic_ns() + limit_s * 1e9
    while SystemClock.monotonic_ns() < deadline_ns:
        if found := holds():
            return found
        threading.Event().wait(0.05)
    pytest.fail(f"within {limit_s} s never: {what}")


class CountingTarget(http.server.ThreadingHTTPServer):
    """A target whose metrics are a text of how often they were asked for: a lost or reordered sample shows.

    ``page`` is another way to answer, for targets that do more; ``closing`` is set when it ends, for answers that
    never would.
    """

    daemon_threads = True

    def __init__(
        self, text: Callable[[int], str], page: type[http.server.BaseHTTPRequestHandler] | None = None
    ) -> None:
        super().__init__(("127.0.0.1", 0), page or CountedPage)
        self.text = text
        self.n = 0
        self.closing = threading.Event()
        self.address = f"127.0.0.1:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        """Stop answering, and wait for it."""
        self.closing.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let a scraper that ends go quietly; what else fails is said."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class CountedPage(http.server.BaseHTTPRequestHandler):
    """The metrics, at any path."""

    server: CountingTarget

    def do_GET(self) -> None:
        """Count and answer."""
        self.server.n += 1
        self.answer(200, "text/plain; version=0.0.4", self.server.text(self.server.n))

    def answer(self, status: int, content_type: str, text: str) -> None:
        """Send one whole answer."""
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""
