"""A small web site on loopback that is sometimes slow and sometimes fails: what a fetching agent meets in real life."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

PAGES = {
    "/prices": "Prices: basic 9 EUR a month, team 29 EUR a month, both with a trial of 14 days.",
    "/status": "Status: all systems operational; the last incident was closed after 42 minutes.",
    "/docs/limits": "Limits: 100 agents, 200 tools and 50 models per process; the rest is folded.",
    "/changelog": "Changelog: faster start, clearer errors, one port less to open.",
}


@dataclass(frozen=True, slots=True)
class Weather:
    """How the site behaves: shares of requests that fail or are slow, and how slow, in seconds."""

    failing: float = 0.12
    slow: float = 0.15
    slow_s: float = 3.0


class FlakySite:
    """The site's server: answers from a thread of its own until closed.

    Example:
        >>> with FlakySite(Weather(failing=0, slow=0)) as site:
        ...     site.url.startswith("http://127.0.0.1:")
        True
    """

    def __init__(self, weather: Weather = Weather(), seed: int = 0) -> None:
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _pages(weather, random.Random(seed), self._closing))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FlakySite:
        """Return the running site."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the site."""
        self.close()

    def close(self) -> None:
        """Stop answering; requests that are being delayed are let go at once."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _pages(weather: Weather, chance: random.Random, closing: threading.Event) -> type[BaseHTTPRequestHandler]:
    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            luck = chance.random()
            if luck < weather.slow:
                closing.wait(weather.slow_s)
            text = PAGES.get(self.path)
            if luck > 1 - weather.failing:
                self._answer(503, "out of order, come back later")
            else:
                self._answer(200 if text else 404, text or "no such page")

        def _answer(self, status: int, text: str) -> None:
            body = text.encode()
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                pass  # the agent lost patience and left: its business

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet: the demo's terminal shows the summary only."""

    return Pages
