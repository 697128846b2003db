"""Running totals of counts that come in pieces: of processes that ended unscraped, and of jobs that push once.

A piece holds what one run counted, from 0. Adding it to the total of its group gives counters that only grow, however
many runs there are and however they overlap, with no label that tells runs apart. Two samples per series and piece,
the total before it and after it, so that ``increase()`` over the run is the run's counts, also for the first. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agentgauge.model.labels import METRIC_NAME, Labels, label_value, labels_from_mapping
from agentgauge.model.sample import MetricInfo, Sample
from agentgauge.scrape.descriptions import infos_from_comments
from agentgauge.scrape.text import samples_from_text

MAX_REMEMBERED = 1_000
"""Pieces of a group that are recognised when they come again."""

_SUFFIXES = ("_bucket", "_count", "_sum", "_total")
_GROWING = {"counter", "histogram", "summary"}


@dataclass(frozen=True, slots=True)
class Piece:
    """What one run counted; ``id`` is the same when it is sent again, ``group`` the labels of its series."""

    id: str
    group: Labels
    samples: tuple[Sample, ...]
    infos: Mapping[str, MetricInfo]
    start_ms: int
    end_ms: int


class Tally:
    """The totals of one group, and which pieces are in them.

    Thread-safety: none.
    """

    __slots__ = ("last_ms", "taken", "totals")

    def __init__(
        self, totals: Mapping[Labels, float] | None = None, taken: Iterable[str] = (), last_ms: int = 0
    ) -> None:
        self.totals: dict[Labels, float] = dict(totals or {})
        self.taken: dict[str, None] = dict.fromkeys(taken)
        self.last_ms = last_ms

    def add(self, piece: Piece) -> list[Sample]:
        """Add a piece and return the samples to store; none when it is in the totals already.

        Of gauges the last value is stored, nothing is added up.
        """
        if piece.id in self.taken:
            return []
        self.taken[piece.id] = None
        for old in list(self.taken)[: max(0, len(self.taken) - MAX_REMEMBERED)]:
            del self.taken[old]
        # Never before a sample that is there: the total would seem to fall.
        start_ms = max(piece.start_ms, self.last_ms + 1)
        self.last_ms = end_ms = max(piece.end_ms, start_ms + 1)
        before, after = [], []
        for sample in piece.samples:
            if not is_growing(label_value(sample.labels, METRIC_NAME), piece.infos):
                after.append(Sample(sample.labels, end_ms, sample.value))
            elif math.isfinite(sample.value) and sample.value >= 0:
                total = self.totals.get(sample.labels, 0.0)
                before.append(Sample(sample.labels, start_ms, total))
                self.totals[sample.labels] = total + sample.value
                after.append(Sample(sample.labels, end_ms, total + sample.value))
        return before + after


def is_growing(name: str, infos: Mapping[str, MetricInfo]) -> bool:
    """Tell whether a sample of that name is a count that adds up over runs; what no TYPE line names is not."""
    for family in (name, *(name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix))):
        if family in infos:
            return infos[family].type in _GROWING
    return False


def infos_of_text(text: bytes) -> dict[str, MetricInfo]:
    """Return what the comments of an exposition say of its metric families.

    Raises:
        ParseError: a comment that no format allows.
    """
    return infos_from_comments(line for line in text.split(b"\n") if line[:1] == b"#")


def samples_of_group(text: bytes, group: Labels, t_ms: int) -> list[Sample]:
    """Read an exposition; the group's labels take the place of its own, as a Pushgateway has it.

    Raises:
        ParseError: the text is malformed.
    """
    own = dict(group)
    return [
        Sample(labels_from_mapping({**dict(sample.labels), **own}), t_ms, sample.value)
        for sample in samples_from_text(text, t_ms)
    ]


def piece_from_text(piece_id: str, group: Labels, text: bytes, start_ms: int, end_ms: int) -> Piece:
    """Read a piece from exposition text.

    Raises:
        ParseError: the text is malformed.
    """
    samples = samples_of_group(text, group, end_ms)
    return Piece(piece_id, group, tuple(samples), infos_of_text(text), start_ms, end_ms)
