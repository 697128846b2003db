"""How much of the last hour's observations a histogram's ladder cannot resolve.

``agentgauge_bucket_overflow_ratio`` is the share in the last finite bucket or above; above 0.05 the ladder is too
short. Looked at once a minute, whatever the scrape interval.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from agentgauge.record.snapshot import Family

HOUR_NS = 3_600_000_000_000
STEP_NS = 60_000_000_000
RATIO_SCALE = 1_000_000_000


class Overflow:
    """Totals of every histogram, once a minute for an hour.

    Thread-safety: none of its own; called under the ledger's lock.
    """

    __slots__ = ("_marks", "_ratios")

    def __init__(self) -> None:
        self._marks: deque[tuple[int, dict[str, tuple[int, int]]]] = deque()
        self._ratios: dict[str, int] = {}

    def ratios(self, families: Iterable[Family], values: list[int], now_ns: int) -> Iterator[tuple[str, int]]:
        """Return (metric name, ratio in billionths) of every histogram with observations in the last hour."""
        if not self._marks or now_ns - self._marks[-1][0] >= STEP_NS:
            self._look(families, values, now_ns)
        return iter(self._ratios.items())

    def _look(self, families: Iterable[Family], values: list[int], now_ns: int) -> None:
        totals = {family.metric.name: _totals(family, values) for family in families if family.bounds and family.keys}
        # The newest mark that is at least an hour old stays as the base; before there is one, the base is zero.
        while len(self._marks) > 1 and now_ns - self._marks[1][0] >= HOUR_NS:
            self._marks.popleft()
        base = self._marks[0][1] if self._marks and now_ns - self._marks[0][0] >= HOUR_NS else {}
        self._marks.append((now_ns, totals))
        for name, (n_over, n_all) in totals.items():
            base_over, base_all = base.get(name, (0, 0))
            n_recent = n_all - base_all
            self._ratios[name] = (n_over - base_over) * RATIO_SCALE // n_recent if n_recent else 0


def _totals(family: Family, values: list[int]) -> tuple[int, int]:
    """Return how many observations sit in or above the last finite bucket, and how many there are."""
    n_over = n_all = 0
    for start in family.starts:
        counts = values[start + 1 : start + family.width]
        n_over += counts[-1] + counts[-2]
        n_all += sum(counts)
    return n_over, n_all
