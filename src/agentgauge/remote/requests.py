"""From queued entries to remote write requests: a bounded number of samples each, in the order of the queue. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agentgauge.model.labels import Labels
from agentgauge.remote.wire import encode_labels, encode_write_request

SAMPLES_PER_REQUEST = 2_000
MAX_KNOWN = 100_000


class Entry(Protocol):
    """What was stored at once; labels are () where a series is not known any more."""

    @property
    def seq(self) -> int:
        """Its number in the queue."""

    @property
    def labels(self) -> Sequence[Labels]:
        """The series of each sample."""

    @property
    def t_ms(self) -> NDArray[np.int64]:
        """The times."""

    @property
    def values(self) -> NDArray[np.float64]:
        """The values, stale markers on their bits."""


@dataclass(frozen=True, slots=True)
class Request:
    """A message ready to be compressed.

    ``done_seq`` is the last entry that is complete once this was taken; None when none is. ``n_forgotten`` counts
    samples that were left out because nobody knows their series.
    """

    body: bytes
    n_samples: int
    done_seq: int | None
    n_forgotten: int = 0


class RequestWriter:
    """Writes requests and remembers label sets as bytes. Not thread-safe."""

    def __init__(self, max_samples: int = SAMPLES_PER_REQUEST) -> None:
        self._max_samples = max_samples
        self._known: dict[Labels, bytes] = {}

    def requests(self, entries: Iterable[Entry]) -> Iterator[Request]:
        """Yield what the entries say, in their order."""
        series: dict[Labels, list[tuple[int, float]]] = {}
        n = n_forgotten = 0
        done: int | None = None
        for entry in entries:
            for labels, t_ms, value in zip(entry.labels, entry.t_ms.tolist(), entry.values.tolist(), strict=True):
                if n >= self._max_samples:
                    yield Request(self._body(series), n, done, n_forgotten)
                    series, n, done, n_forgotten = {}, 0, None, 0
                if labels:
                    series.setdefault(labels, []).append((t_ms, value))
                    n += 1
                else:
                    n_forgotten += 1
            done = entry.seq
        if done is not None:
            yield Request(self._body(series), n, done, n_forgotten)

    def _body(self, series: dict[Labels, list[tuple[int, float]]]) -> bytes:
        if len(self._known) + len(series) > MAX_KNOWN:
            self._known.clear()
        rows = []
        for labels, samples in series.items():
            known = self._known.get(labels)
            if known is None:
                known = self._known[labels] = encode_labels(labels)
            rows.append((known, samples))
        return encode_write_request(rows)
