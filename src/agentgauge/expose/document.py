"""The whole document of one endpoint: the ledger's metrics, and those of a user's registry beside them.

The ledger is rendered by ``record/render.py``; other collectors go through prometheus_client, each in its own ``try``:
one that raises costs its own metrics, not the scrape.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agentgauge.expose.negotiation import Format, accepts_gzip, format_from_accept
from agentgauge.model.clock import SystemClock
from agentgauge.record.ledger import Ledger
from agentgauge.record.libraries import Libraries
from agentgauge.record.overhead import note
from agentgauge.record.render import Renderer

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

GZIP_LEVEL = 1
"""A fifteenth of the time of level 9 for 1.4 times its bytes."""


def no_pause() -> None:
    """Do not let anybody else run between two pieces."""


class Document:
    """What an endpoint shows.

    Args:
        ledger: the counts of this process.
        registry: a prometheus_client registry whose other collectors are shown too; None for none.

    Attributes:
        n_rendered: how often it has been rendered; two threads at once may count as one.

    Thread-safety: any thread, any number at once; takes no lock of its own.
    """

    def __init__(self, ledger: Ledger, registry: CollectorRegistry | None = None) -> None:
        self.ledger = ledger
        self.registry = registry
        self.n_rendered = 0
        # A renderer serves one thread at a time. Whoever finds none makes one, so nobody ever waits here.
        self._renderers: deque[Renderer] = deque(maxlen=1)
        self._libraries = Libraries()

    def render(self, accept: str = "", *, pause: Callable[[], None] = no_pause) -> tuple[str, bytes]:
        """Return (content type, body) for an ``Accept`` header."""
        chosen = format_from_accept(accept)
        with self._cost():
            return chosen.content_type, b"".join(self.pieces(chosen, pause))

    def response(
        self, accept: str, accept_encoding: str, *, pause: Callable[[], None] = no_pause
    ) -> tuple[list[tuple[str, str]], bytes]:
        """Return (headers, body), compressed where the client takes gzip."""
        chosen = format_from_accept(accept)
        headers = [("Content-Type", chosen.content_type), ("Vary", "Accept, Accept-Encoding")]
        with self._cost():
            return self._answer(chosen, headers, accept_encoding, pause)

    def _answer(
        self, chosen: Format, headers: list[tuple[str, str]], accept_encoding: str, pause: Callable[[], None]
    ) -> tuple[list[tuple[str, str]], bytes]:
        if not accepts_gzip(accept_encoding):
            body = b"".join(self.pieces(chosen, pause))
        else:
            headers.append(("Content-Encoding", "gzip"))
            packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
            body = b"".join([*map(packer.compress, self.pieces(chosen, pause)), packer.flush()])
        return [*headers, ("Content-Length", str(len(body)))], body

    @contextmanager
    def _cost(self) -> Generator[None, None, None]:
        """Count the CPU time of a rendering; the next one shows it."""
        start_ns = SystemClock.thread_ns()
        try:
            yield
        finally:
            note(self.ledger, "expose", SystemClock.thread_ns() - start_ns)

    def pieces(self, chosen: Format, pause: Callable[[], None] = no_pause) -> Iterator[bytes]:
        """Yield the body in pieces; ``pause`` is called between them, to let an event loop run."""
        for text in self._other_metrics(chosen):
            yield text
            pause()
        with self.ledger.guard("libraries"):
            self._libraries.tell(self.ledger)
        try:
            renderer = self._renderers.pop()
        except IndexError:
            renderer = Renderer()
        for piece in renderer.pieces(self.ledger.snapshot(), open_metrics=chosen.open_metrics):
            yield piece.encode()
            pause()
        self._renderers.append(renderer)
        if chosen.open_metrics:
            yield b"# EOF\n"
        self.n_rendered += 1

    def _other_metrics(self, chosen: Format) -> Iterator[bytes]:
        if self.registry is None:
            return
        for collector in _collectors(self.registry):
            if collector is not self.ledger:
                with self.ledger.guard("collector"):
                    yield from [_text_of(metric, chosen) for metric in collector.collect()]


def _collectors(registry: CollectorRegistry) -> list[Any]:
    """Return the collectors of a registry, so that each can fail alone."""
    # prometheus_client has no public way to list them; its lock guards the dict.
    with registry._lock:  # noqa: SLF001
        return list(registry._collector_to_names)  # noqa: SLF001


class _OneMetric:
    """A registry, as ``generate_latest`` sees it, of one metric."""

    __slots__ = ("_metric",)

    def __init__(self, metric: Any) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Any]:
        return (self._metric,)


def _text_of(metric: Any, chosen: Format) -> bytes:
    from prometheus_client import exposition
    from prometheus_client.openmetrics import exposition as openmetrics_exposition

    registry: Any = _OneMetric(metric)
    if chosen.open_metrics:
        text: bytes = openmetrics_exposition.generate_latest(registry)  # type: ignore[no-untyped-call]
        return text.removesuffix(b"# EOF\n")
    return bytes(exposition.generate_latest(registry))
