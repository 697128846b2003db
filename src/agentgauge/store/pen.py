"""What a store that may write has: the connection that writes, what goes through it, and what keeps the file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentgauge.errors import StoreCorrupt, StoreError
from agentgauge.model.labels import Labels
from agentgauge.model.sample import Exemplar
from agentgauge.model.series import Row
from agentgauge.store import sql, tables
from agentgauge.store.catalog import Catalog
from agentgauge.store.upkeep import Upkeep
from agentgauge.store.writing import Writing


@dataclass(frozen=True, slots=True)
class Pen:
    """One file that is written to; another one after the file was replaced."""

    writer: sql.Writer
    writing: Writing
    upkeep: Upkeep
    catalog: Catalog

    def put_down(self) -> None:
        """Stop upkeep, mark the file as closed in order unless it is damaged, and let go of it."""
        self.upkeep.stop()
        if not self.writing.saw_damage:
            self._mark_clean()
        self.writer.close()

    def _mark_clean(self) -> None:
        try:
            self.writer.run(lambda conn: tables.put_meta(conn, "clean_shutdown", 1))
            self.writer.run(lambda conn: sql.checkpoint(conn, "TRUNCATE"), in_transaction=False)
        except StoreError:
            return  # a full or damaged disk: the next start recovers, which is all the mark is about


class GroupWriter:
    """Where one scrape group's rows go. One caller at a time per group; the store itself is thread-safe."""

    def __init__(self, pen: Callable[[], Pen], start_afresh: Callable[[Pen, str], None], key: str) -> None:
        self._pen = pen
        self._start_afresh = start_afresh
        self.key = key

    @property
    def columns(self) -> Sequence[Labels]:
        """The series of the group, by column."""
        pen = self._pen()
        index = pen.catalog.index
        return [index.labels(int(series_id)) for series_id in pen.writing.group(self.key).series.view()]

    @property
    def epoch(self) -> int:
        """Changes when the columns were given new numbers; only ever inside ``append``, of any group for damage."""
        return self._pen().writing.group(self.key).epoch

    def append(self, row: Row, *, exemplars: Sequence[Exemplar] = ()) -> None:
        """Write one row: it is in the file when this returns.

        Raises:
            StoreError: it is not in the file; ``StoreFull`` when the disk is full, ``StoreCorrupt`` when the file is
                damaged: then a fresh one has taken its place and the epoch is another.
            ValueError: it does not fit the group's columns.
        """
        pen = self._pen()
        try:
            pen.writing.append_row(self.key, row, exemplars)
        except StoreCorrupt as error:
            self._start_afresh(pen, str(error))
            raise
