"""A running endpoint: its port, its discovery file, its life beside the host's."""

from __future__ import annotations

import atexit
import threading
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING

from agentgauge.expose.announcement import announce, has_sibling, own_folder, target_group
from agentgauge.expose.document import Document
from agentgauge.expose.ending import Termination, at_worker_end, is_child
from agentgauge.expose.last_word import leave_last_word
from agentgauge.expose.ports import listen, moved_message
from agentgauge.expose.server import Server
from agentgauge.model.clock import SystemClock
from agentgauge.record.ledger import Ledger

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8001
DEFAULT_PORT_SEARCH = 100
LINGER_STEP_S = 0.02


class Exposition:
    """An HTTP endpoint that shows a ledger until it is closed or the process ends.

    A forked child gives up the inherited socket and, once it records something, serves on a port of its own. A process
    that ends leaves its last counts for a server (``last_word.py``), so what came after its last scrape is not lost.

    Example::

        exposition = agentgauge.start()
        print(exposition.url)
        exposition.close()

    Args:
        ledger: what it shows.
        host: the address to listen on.
        port: the wished port. Where another process of the same program already serves for the same wish (a pool of
            workers), any free port is taken instead: a worker that replaces a dead one must not continue its series.
        port_search: how many ports after a taken one may be tried; 0 insists on ``port``.
        registry: a prometheus_client registry whose metrics stand beside ours.
        linger_s: how long the end of the process may wait for one more scrape; 0 does not wait.
        discovery_dir: where to say that this process is there; the user's folder when empty.

    Attributes:
        host: the address it listens on.
        port: the port it listens on; 0 after ``close``.

    Thread-safety: any thread.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        port_search: int = DEFAULT_PORT_SEARCH,
        registry: CollectorRegistry | None = None,
        linger_s: float = 0.0,
        discovery_dir: str = "",
    ) -> None:
        self.document = Document(ledger, registry)
        self.host = host
        self.port = 0
        self.settings = (host, port, port_search, registry, linger_s, discovery_dir)
        self._wished = port
        self._folder = Path(discovery_dir) if discovery_dir else own_folder()
        self._linger_s = linger_s
        self._server: Server | None = None
        self._path: Path | None = None
        self._start_ms = ledger.clock.now_ms()
        self._is_closed = False
        self._opening = threading.Lock()
        self._termination = Termination(self.close)
        if port_search and port and has_sibling(self._folder, port):
            self._open(0, 0)
            ledger.guard.once("port", f"other workers of this program serve metrics; this one does on {self.url}")
        else:
            self._open(port, port_search)
        ledger.when_forked.append(self._after_fork)
        atexit.register(self._end)
        if is_child():
            at_worker_end(self._end)
            self._termination.watch()

    def __repr__(self) -> str:
        return f"<Exposition {self.url or 'closed'}>"

    @property
    def url(self) -> str:
        """The address a scraper asks, the empty string after ``close``."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{shown}:{self.port}/metrics" if self.port else ""

    @property
    def is_closed(self) -> bool:
        """Whether it has been closed for good."""
        return self._is_closed

    def _open(self, port: int, port_search: int) -> None:
        listener = listen(self.host, port, port_search)
        self.port = int(listener.getsockname()[1])
        self._server = Server(self.document, listener)
        guard = self.document.ledger.guard
        if port not in {0, self.port}:
            guard.once("port", moved_message(self.host, port, self.url))
        try:
            self._path = announce(self._folder, self.host, self.port, self._wished)
        except OSError as error:
            guard.once("discovery", f"no local server will find {self.url} by itself: {error}")

    def close(self) -> None:
        """Stop serving, take the discovery file back and leave the last counts; closing twice is no error."""
        if self._is_closed:
            return
        with self._termination.held_off():
            self._is_closed = True
            atexit.unregister(self._end)
            ledger = self.document.ledger
            if self._after_fork in ledger.when_forked:
                ledger.when_forked.remove(self._after_fork)
            with ledger.guard("last_word"):
                group = target_group(self.host, self.port, self._wished)
                leave_last_word(self._folder, self.document, group, self._start_ms, ledger.clock.now_ms())
            self._shut()

    def _shut(self) -> None:
        server, self._server, path, self._path, self.port = self._server, None, self._path, None, 0
        if path is not None:
            with self.document.ledger.guard("discovery"):
                path.unlink(missing_ok=True)
        if server is not None:
            server.close()

    def _end(self) -> None:
        """Close with the process, after one more scrape where that is waited for."""
        if self._linger_s > 0 and self._server is not None:
            n_before = self.document.n_rendered
            deadline_ns = SystemClock.monotonic_ns() + round(self._linger_s * 1e9)
            while self.document.n_rendered == n_before and SystemClock.monotonic_ns() < deadline_ns:
                sleep(LINGER_STEP_S)
        self.close()

    def _after_fork(self) -> None:
        """Leave the parent's socket and file to the parent; the child's first event opens its own."""
        if self._server is not None:
            self._server.abandon()
        self._server, self._path, self.port = None, None, 0
        self.document = Document(self.document.ledger, self.document.registry)
        self._start_ms = self.document.ledger.clock.now_ms()
        self._opening = threading.Lock()
        self._termination.forget()
        self.document.ledger.defer(self._open_again)

    def _open_again(self) -> None:
        at_worker_end(self._end)
        self._termination.watch()
        # A thread of its own: this runs under the ledger's lock, where nothing may wait for a socket or a disk.
        threading.Thread(target=self.open_in_child, name="agentgauge-fork", daemon=True).start()

    def open_in_child(self) -> None:
        """Open the endpoint of a forked child, unless it is open or closed for good."""
        with self._opening:
            if self.port or self._is_closed:
                return
            with self.document.ledger.guard("fork"):
                # Any free port: the wished one is the parent's; one that a dead worker had would continue its series.
                self._open(0, 0)
        if self.is_closed:
            self._shut()  # the child has ended meanwhile


_SERVED: dict[int, Exposition] = {}
"""The open endpoint of each ledger, by ``id``: a second one would show, and so count, everything twice."""


def expose(
    ledger: Ledger,
    *,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    port_search: int = DEFAULT_PORT_SEARCH,
    registry: CollectorRegistry | None = None,
    linger_s: float = 0.0,
    discovery_dir: str = "",
) -> Exposition:
    """Return the one endpoint of a ledger: the one there is, or a new one in its place when settings differ.

    A notebook cell that runs again, or a worker that starts what its parent had started, keeps its endpoint.
    """
    running = exposition_of(ledger)
    if running is not None:
        if running.settings == (host, port, port_search, registry, linger_s, discovery_dir):
            running.open_in_child()
            return running
        running.close()
    try:
        exposition = Exposition(
            ledger,
            host=host,
            port=port,
            port_search=port_search,
            registry=registry,
            linger_s=linger_s,
            discovery_dir=discovery_dir,
        )
    except Exception:
        if running is not None:  # the wished port may be the one it held, so it had to close first
            _SERVED[id(ledger)] = _like(running)
        raise
    _SERVED[id(ledger)] = exposition
    return exposition


def _like(closed: Exposition) -> Exposition:
    """Open an endpoint again with the settings it had."""
    host, port, port_search, registry, linger_s, discovery_dir = closed.settings
    return Exposition(
        closed.document.ledger,
        host=host,
        port=port,
        port_search=port_search,
        registry=registry,
        linger_s=linger_s,
        discovery_dir=discovery_dir,
    )


def exposition_of(ledger: Ledger) -> Exposition | None:
    """Return the open endpoint of a ledger, None when it has none."""
    running = _SERVED.get(id(ledger))
    return running if running is not None and not running.is_closed and running.document.ledger is ledger else None


def write_text_file(document: Document, path: str | Path) -> None:
    """Write the metrics as text 0.0.4, atomically: for node_exporter's textfile collector, or a job's last word.

    May raise OSError.
    """
    target = Path(path)
    draft = target.with_name(f".{target.name}.{threading.get_native_id()}.draft")
    draft.write_bytes(document.render()[1])
    draft.replace(target)
