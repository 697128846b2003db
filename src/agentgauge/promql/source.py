"""Source: where the engine gets its samples from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from agentgauge.model.labels import Matcher
from agentgauge.model.series import SeriesBlock


class Source(Protocol):
    """Anything that can select samples: the store, or data in memory."""

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Iterator[SeriesBlock]:
        """Yield the samples of all matching series in [start_ms, end_ms], both ends included.

        Each label set stands in exactly one of the yielded blocks. Blocks are yielded lazily, about 256 series each,
        so that a consumer who folds them needs memory for one at a time. Order: none.
        """
