"""Where pieces of counts are taken in: totals kept in the store's file, so that a restart adds on to them.

A piece is in the totals once ``take`` returns, and once only, whoever sends it again: its id is written in the same
transaction as the totals.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from agentgauge.errors import ConfigError
from agentgauge.model.clock import Clock
from agentgauge.model.labels import Labels, labels_from_mapping
from agentgauge.model.sample import MetricInfo, Sample
from agentgauge.scrape.tally import Piece, Tally

MAX_GROUPS = 1_000
"""Groups of labels under which runs may hand over: a run's own id must not be one of them."""

LATE_MS = 3_600_000
"""What is older counts as it arrives: samples out of order for longer would be refused."""

_INDEX = "tally"


class Shelf(Protocol):
    """What is needed of a store."""

    def note(self, key: str) -> str | None:
        """Read a text kept in the file."""

    def put_note(self, key: str, text: str | None) -> None:
        """Keep a text in the file."""

    def append(self, samples: Iterable[Sample]) -> Any:
        """Store samples with times of their own."""

    def set_metadata(self, infos: Mapping[str, MetricInfo]) -> None:
        """Remember what metric families are."""


class Handover:
    """Takes in what runs hand over.

    Thread-safety: any thread; blocks on the store's writer, so never on an event loop.
    """

    def __init__(self, shelf: Shelf, clock: Clock) -> None:
        self._shelf = shelf
        self._clock = clock
        self._lock = threading.Lock()
        self._tallies: dict[Labels, Tally] = {}
        self._known: list[str] = json.loads(shelf.note(_INDEX) or "[]")

    def take(self, piece: Piece) -> bool:
        """Add a piece to the totals of its group and store them; False when it had come before.

        Raises:
            ConfigError: there are too many groups already.
            StoreError: it could not be written; send it again.
        """
        now_ms = self._clock.now_ms()
        if not now_ms - LATE_MS <= piece.end_ms <= now_ms:
            shift_ms = now_ms - piece.end_ms
            piece = Piece(
                piece.id, piece.group, piece.samples, piece.infos, piece.start_ms + shift_ms, piece.end_ms + shift_ms
            )
        with self._lock:
            old = self._tally(piece.group)
            new = Tally(old.totals, old.taken, old.last_ms)
            samples = new.add(piece)
            if piece.id in old.taken:
                return False
            self._keep(piece.group, new)
            self._tallies[piece.group] = new
            self._shelf.set_metadata(piece.infos)
            self._shelf.append(samples)
        return True

    def put(self, samples: Iterable[Sample], infos: Mapping[str, MetricInfo]) -> None:
        """Store samples as they are: of a client that sends totals of its own."""
        self._shelf.set_metadata(infos)
        self._shelf.append(samples)

    def _tally(self, group: Labels) -> Tally:
        tally = self._tallies.get(group)
        if tally is None:
            text = self._shelf.note(_key(group))
            if text is None and len(self._known) >= MAX_GROUPS:
                raise ConfigError(
                    f"{MAX_GROUPS} groups of labels hand over already; name jobs by what they do, not by run or time"
                )
            tally = self._tallies[group] = Tally() if text is None else _tally_from_json(text)
        return tally

    def _keep(self, group: Labels, tally: Tally) -> None:
        key = _key(group)
        if key not in self._known:
            self._known.append(key)
            self._shelf.put_note(_INDEX, json.dumps(self._known))
        self._shelf.put_note(key, _json_from_tally(tally))


def _key(group: Labels) -> str:
    return f"{_INDEX}:{json.dumps(dict(group), sort_keys=True)}"


def _json_from_tally(tally: Tally) -> str:
    totals = [[dict(labels), total] for labels, total in tally.totals.items()]
    return json.dumps({"last_ms": tally.last_ms, "taken": list(tally.taken), "totals": totals})


def _tally_from_json(text: str) -> Tally:
    kept = json.loads(text)
    totals = {labels_from_mapping(labels): float(total) for labels, total in kept["totals"]}
    return Tally(totals, kept["taken"], int(kept["last_ms"]))
