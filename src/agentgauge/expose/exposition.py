"""A running endpoint: its port, its discovery file, its life beside the host's."""

from __future__ import annotations

import atexit
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from agentgauge.expose.announcement import announce
from agentgauge.expose.document import Document
from agentgauge.expose.ports import listen, taken_message
from agentgauge.expose.server import Server
from agentgauge.record.ledger import Ledger

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8001
DEFAULT_PORT_SEARCH = 100


class Exposition:
    """An HTTP endpoint that shows a ledger until it is closed or the process ends.

    A forked child gives up the inherited socket and, once it records something, serves on a port of its own.

    Example::

        exposition = agentgauge.start()
        print(exposition.url)
        exposition.close()

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
    ) -> None:
        self.document = Document(ledger, registry)
        self.host = host
        self.port = 0
        self._wished = port
        self._search = port_search
        self._server: Server | None = None
        self._path: Path | None = None
        self._open(port, port_search)
        ledger.when_forked.append(self._after_fork)
        atexit.register(self.close)

    @property
    def url(self) -> str:
        """The address a scraper asks, the empty string after ``close``."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{shown}:{self.port}/metrics" if self.port else ""

    def _open(self, port: int, port_search: int) -> None:
        listener = listen(self.host, port, port_search)
        self.port = int(listener.getsockname()[1])
        self._server = Server(self.document, listener)
        guard = self.document.ledger.guard
        if port not in {0, self.port}:
            guard.once("port", f"{taken_message(self.host, port)}. Serving metrics on {self.url} instead")
        try:
            self._path = announce(self.host, self.port)
        except OSError as error:
            guard.once("discovery", f"no local server will find {self.url} by itself: {error}")

    def close(self) -> None:
        """Stop serving and take the discovery file back; closing twice is no error."""
        atexit.unregister(self.close)
        ledger = self.document.ledger
        if self._after_fork in ledger.when_forked:
            ledger.when_forked.remove(self._after_fork)
        server, self._server, path, self._path, self.port = self._server, None, self._path, None, 0
        if path is not None:
            with ledger.guard("discovery"):
                path.unlink(missing_ok=True)
        if server is not None:
            server.close()

    def _after_fork(self) -> None:
        """Leave the parent's socket and file to the parent; the child's first event opens its own."""
        if self._server is not None:
            self._server.abandon()
        self._server, self._path, self.port = None, None, 0
        self.document = Document(self.document.ledger, self.document.registry)
        self.document.ledger.defer(self._open_again)

    def _open_again(self) -> None:
        # A thread of its own: this runs under the ledger's lock, where nothing may wait for a socket or a disk.
        threading.Thread(target=self._open_in_child, name="agentgauge-fork", daemon=True).start()

    def _open_in_child(self) -> None:
        with self.document.ledger.guard("fork"):
            # The parent holds the wished port, so a pinned one cannot be had: the child takes the next free.
            self._open(self._wished, self._search or DEFAULT_PORT_SEARCH)


def write_text_file(document: Document, path: str | Path) -> None:
    """Write the metrics as text 0.0.4, atomically: for node_exporter's textfile collector, or a job's last word.

    May raise OSError.
    """
    target = Path(path)
    draft = target.with_name(f".{target.name}.{threading.get_native_id()}.draft")
    draft.write_bytes(document.render()[1])
    draft.replace(target)
