"""Takes in the last words of processes that ended (``expose/last_word.py`` writes them).

A process that was scraped gets one more sample per count, under its own labels. One that ended before anybody came is
added to the totals of its program, under one ``instance``: ten thousand short workers are not ten thousand series each.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from agentgauge.errors import AgentgaugeError, ConfigError
from agentgauge.model.discovery import ENDED_FOLDER
from agentgauge.model.labels import METRIC_NAME, label_value, labels_from_mapping
from agentgauge.model.sample import MetricInfo, Sample
from agentgauge.scrape.handover import Handover
from agentgauge.scrape.tally import infos_of_text, is_growing, piece_from_text, samples_of_group
from agentgauge.scrape.target import target_from_address

ENDED_INSTANCE = "ended"
"""The ``instance`` of what processes counted that were never scraped."""

MAX_FILE_BYTES = 32 * 1024 * 1024
MAX_SAID = 100

_logger = logging.getLogger(__name__)


class Ended:
    """The folder of last words.

    Thread-safety: one look at a time; reads and removes files, so never on an event loop.
    """

    def __init__(self, directory: str, handover: Handover) -> None:
        self._folder = Path(directory) / ENDED_FOLDER
        self._handover = handover
        self._unread: set[str] = set()

    def look(self) -> int:
        """Take in what is there, oldest first; return how many. A file that cannot be read stays and is said once."""
        n_taken = 0
        for path in sorted(self._folder.glob("*.json"), key=lambda path: path.stem.rpartition("-")[2]):
            try:
                self._take(path)
            except FileNotFoundError:
                continue  # another server was quicker
            except (OSError, ValueError, AgentgaugeError) as error:
                if path.name not in self._unread and len(self._unread) < MAX_SAID:
                    self._unread.add(path.name)
                    _logger.warning("last word %s: %s", path, error)
                continue
            path.unlink(missing_ok=True)
            n_taken += 1
        return n_taken

    def _take(self, path: Path) -> None:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"more than {MAX_FILE_BYTES} bytes")
        word: dict[str, Any] = json.loads(path.read_bytes())
        try:
            (address,), labels = word["group"]["targets"], dict(word["group"]["labels"])
            text, start_ms, end_ms = str(word["text"]).encode(), int(word["start_ms"]), int(word["end_ms"])
            was_scraped = bool(word["scraped"])
        except (LookupError, TypeError, ValueError) as error:
            raise ConfigError(f"not a last word: {error!r}") from None
        if was_scraped:
            self._append(address, labels, text, end_ms)
        else:
            given = {name: value for name, value in labels.items() if not name.startswith("__")}
            group = labels_from_mapping({**given, "instance": ENDED_INSTANCE})
            piece = piece_from_text(path.stem, group, text, start_ms, end_ms)
            self._handover.take(replace(piece, samples=_counts(piece.samples, piece.infos)))

    def _append(self, address: str, labels: Mapping[str, str], text: bytes, end_ms: int) -> None:
        target = target_from_address(address, labels)
        infos = infos_of_text(text)
        self._handover.put(_counts(samples_of_group(text, target.labels, end_ms), infos), infos)


def _counts(samples: Iterable[Sample], infos: Mapping[str, MetricInfo]) -> tuple[Sample, ...]:
    """Leave gauges out: a process that has ended has none; its last ones are stale and stay so."""
    return tuple(sample for sample in samples if is_growing(label_value(sample.labels, METRIC_NAME), infos))
