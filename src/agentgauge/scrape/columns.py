"""The columns of one scrape group: which series stands where in a row of values.

The store owns the columns; this mirror lets a scrape be laid out without asking it. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentgauge.model.labels import Labels


class Columns:
    """Series to column number, with the series that the store has not seen yet at the end.

    Thread-safety: none; a target's scrapes follow one another.
    """

    __slots__ = ("_column_of", "_labels", "_n_stored")

    def __init__(self, stored: Sequence[Labels] = ()) -> None:
        self._labels = list(stored)
        self._n_stored = len(self._labels)
        self._column_of = {labels: column for column, labels in enumerate(self._labels)}

    def __len__(self) -> int:
        return len(self._labels)

    def column(self, labels: Labels) -> int:
        """Return the column of a series, a new one at the end when it has none."""
        column = self._column_of.get(labels)
        if column is None:
            column = len(self._labels)
            self._column_of[labels] = column
            self._labels.append(labels)
        return column

    def labels(self, column: int) -> Labels:
        """Return the series of a column."""
        return self._labels[column]

    @property
    def new_labels(self) -> Sequence[Labels]:
        """The series that the store has not seen yet, in column order."""
        return self._labels[self._n_stored :]

    def stored(self) -> None:
        """Note that the store acknowledged a row with all columns."""
        self._n_stored = len(self._labels)

    def forget_new(self) -> None:
        """Drop the series that the store has not seen."""
        for labels in self._labels[self._n_stored :]:
            del self._column_of[labels]
        del self._labels[self._n_stored :]
