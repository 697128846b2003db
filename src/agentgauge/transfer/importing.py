"""Import: a text of history, of any size, into a store; a run that was cut off goes on where it stood.

The text is read in pieces of whole lines; about ``RUN_SAMPLES`` samples at a time go to the store in one transaction
with a note that says how far they reach (``store/history.py``). The next import of the same text (its first bytes and
its size tell) reads the note and skips what is in. At the end the note goes: importing a text again takes it in again,
sample over sample, and changes nothing.
"""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import BinaryIO, Literal

import numpy as np

from agentgauge.errors import ParseError
from agentgauge.model.sample import MetricInfo
from agentgauge.scrape.history import HistoryPage, HistoryReader
from agentgauge.store.store import Store

RUN_SAMPLES = 4_000_000
PIECE_BYTES = 4 << 20
MAX_LINE_BYTES = 64 << 20
_MARK_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Stand:
    """How far an import came: bytes and lines that are in, the unit of times, the samples so far."""

    offset: int = 0
    line: int = 1
    unit: Literal["auto", "s", "ms"] = "auto"
    n_samples: int = 0
    first_ms: int = 0
    last_ms: int = 0
    saw_end: bool = False


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did; ``n_samples`` with those of the runs before it, ``resumed_at`` the line it began with."""

    n_samples: int
    n_series: int
    n_lines: int
    first_ms: int
    last_ms: int
    resumed_at: int
    saw_end: bool


def import_text(
    source: BinaryIO,
    store: Store,
    *,
    size_bytes: int | None = None,
    progress: Callable[[int, int], None] = lambda _bytes, _samples: None,
    run_samples: int = RUN_SAMPLES,
) -> Imported:
    """Read a text to its end; ``size_bytes`` None when nobody knows it. ``progress`` gets bytes read and samples in.

    Raises:
        ParseError: a line cannot be read; runs before it are in the store.
        StoreError: the store took no more.
    """
    head = _read_full(source, _MARK_BYTES)
    mark = hashlib.sha256(head + str(size_bytes).encode()).hexdigest()[:32]
    with _no_collector():
        return _Import(source, store, f"import:{mark}", progress, run_samples).run(head)


@dataclass(frozen=True, slots=True)
class _Read:
    """A piece that was read, and the byte and the line after it: together, so that Ctrl-C finds both or neither."""

    page: HistoryPage
    offset: int
    line: int


class _Import:
    """One import under way."""

    def __init__(
        self, source: BinaryIO, store: Store, note: str, progress: Callable[[int, int], None], run_samples: int
    ) -> None:
        self._source = source
        self._store = store
        self._history = store.history()
        self._note = note
        self._progress = progress
        self._run_samples = run_samples
        text = store.note(note)
        self._stand = Stand() if text is None else Stand(**json.loads(text))
        """What the file holds."""
        types = {name: infos[0].type for name, infos in store.metadata().items()} if text else {}
        self._reader = HistoryReader(line=self._stand.line, types=types, unit=self._stand.unit)
        self._pieces: list[_Read] = []
        """What is not in the file yet."""

    def run(self, head: bytes) -> Imported:
        resumed_at = self._stand.line
        try:
            self._read_all(self._skip(head))
        except KeyboardInterrupt:
            self._commit()
            raise
        self._commit()
        self._store.put_note(self._note, None)
        stand = self._stand
        return Imported(
            stand.n_samples,
            len(self._reader.labels),
            stand.line - 1,
            stand.first_ms,
            stand.last_ms,
            resumed_at,
            self._reader.saw_end or stand.saw_end,
        )

    def _read_all(self, rest: bytes) -> None:
        offset, n_waiting = self._stand.offset, 0
        while True:
            body, rest = self._piece(rest)
            if not body:
                return
            page = self._reader.read(body)
            offset += len(body)
            n_waiting += len(page.t_ms)
            self._pieces.append(_Read(page, offset, self._reader.line))
            if n_waiting >= self._run_samples:
                self._commit()
                n_waiting = 0
            self._progress(offset, self._stand.n_samples + n_waiting)

    def _skip(self, head: bytes) -> bytes:
        """Go to where the run before stood; return what is read of the rest."""
        missing = self._stand.offset - len(head)
        if missing <= 0:
            return head[self._stand.offset :]
        if self._source.seekable():
            self._source.seek(self._stand.offset)
            return b""
        while missing > 0:
            skipped = self._source.read(min(missing, PIECE_BYTES))
            if not skipped:
                raise ParseError(f"the text ends before byte {self._stand.offset}, where the import before stood")
            missing -= len(skipped)
        return b""

    def _piece(self, rest: bytes) -> tuple[bytes, bytes]:
        """Read some whole lines; return them and what is read of the next one. The last line may lack its end."""
        parts = [rest]
        n = len(rest)
        while True:
            more = self._source.read(PIECE_BYTES)
            if not more:
                return b"".join(parts), b""
            cut = more.rfind(b"\n") + 1
            if cut:
                return b"".join([*parts, more[:cut]]), more[cut:]
            parts.append(more)
            n += len(more)
            if n > MAX_LINE_BYTES:
                raise ParseError(f"a line of more than {MAX_LINE_BYTES >> 20} MB", self._reader.line)

    def _commit(self) -> None:
        """Bring what is read into the file, in one transaction with how far it reaches."""
        pieces, self._pieces = self._pieces, []
        if not pieces:
            return
        pages = [piece.page for piece in pieces]
        infos: dict[str, MetricInfo] = {}
        for page in pages:
            infos.update(page.infos)
        self._store.set_metadata(infos)
        stand = replace(
            self._stand,
            offset=pieces[-1].offset,
            line=pieces[-1].line,
            unit=self._reader.unit,
            saw_end=self._reader.saw_end,
        )
        if any(len(page.t_ms) for page in pages):
            t_ms = np.concatenate([page.t_ms for page in pages])
            first, last = int(t_ms.min()), int(t_ms.max())
            if stand.n_samples:
                first, last = min(first, stand.first_ms), max(last, stand.last_ms)
            stand = replace(stand, n_samples=stand.n_samples + len(t_ms), first_ms=first, last_ms=last)
            self._history.write(
                self._reader.labels,
                np.concatenate([page.numbers for page in pages]),
                t_ms,
                np.concatenate([page.values for page in pages]),
                exemplars=[exemplar for page in pages for exemplar in page.exemplars],
                notes={self._note: json.dumps(asdict(stand))},
            )
        self._stand = stand


@contextmanager
def _no_collector() -> Iterator[None]:
    """Hold Python's cycle collector off: each line is a short-lived list (measured: 0.89 M samples/s for 0.55)."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _read_full(source: BinaryIO, n_bytes: int) -> bytes:
    """Read that many bytes, or all there are: a pipe gives a little at a time."""
    parts: list[bytes] = []
    while n_bytes > 0 and (part := source.read(n_bytes)):
        parts.append(part)
        n_bytes -= len(part)
    return b"".join(parts)
