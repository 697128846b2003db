"""What selects could not read: told to who asked, in sentences, and flagged in the file."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from agentgauge.store import tables
from agentgauge.store.catalog import Catalog


class Unread:
    """The warnings of each thread's selects.

    Thread-safety: any thread; each sees its own.
    """

    def __init__(self) -> None:
        self._own = threading.local()

    def note(self, catalog: Catalog, row: tables.ChunkRow, reason: str) -> None:
        """Note a chunk that could not be read."""
        group = catalog.groups[row.group_id]
        ids = group.series.view()[row.column : row.column + row.n_cols]
        first = catalog.index.labels(int(ids[0])) if len(ids) else ""
        text = (
            f"{len(ids)} series of group {group.key!r} ({first}, …) miss their samples from "
            f"{_utc(row.t_min)} to {_utc(row.t_max)}: {reason}"
        )
        self._own.texts = [*getattr(self._own, "texts", []), text]

    def take(self) -> list[str]:
        """Return and forget what this thread's selects could not read."""
        found: list[str] = getattr(self._own, "texts", [])
        self._own.texts = []
        return found


def _utc(t_ms: int) -> str:
    """Write a time for people; one that no calendar has as the number it is."""
    try:
        return datetime.fromtimestamp(t_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{t_ms} ms"
