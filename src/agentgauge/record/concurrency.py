"""Throughput of each model by the number of requests this process has in flight to it.

Seconds at each level are charged at every change, like the states of a task. A call's output tokens are credited to
the levels at which its chunks arrived; a call without chunks spreads them over its decode time, never over the whole
call, which would make throughput seem to rise with concurrency where it does not (measured; see docs/why).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from agentgauge.model.metrics import LABEL_LIMITS, OTHER

if TYPE_CHECKING:
    from agentgauge.record.ledger import LiveRow

Mark: TypeAlias = tuple[int, int]
"""(monotonic ns, chunks of a call before it): until the next mark, nothing happened but chunks."""

LEVELS = (*(str(n) for n in range(17)), "17-32", "33-64", "65+")
MAX_CHANGES = 2_000
"""Changes of the level that are remembered to spread tokens over; what lies before counts at the oldest level."""


def level(n: int) -> int:
    """Return the index in LEVELS of so many requests in flight."""
    if n <= 16:
        return n
    return 17 if n <= 32 else 18 if n <= 64 else 19


class Meter:
    """Requests in flight to one model.

    Thread-safety: under the lock of the ledger.
    """

    __slots__ = ("_at", "_changes", "_last_ns", "n", "seconds_ns", "tokens")

    def __init__(self, t_ns: int) -> None:
        self.n = 0
        self._at = 0
        self._last_ns = t_ns
        self.seconds_ns: dict[int, int] = {0: 0, 1: 0}
        self.tokens: dict[int, int] = {1: 0}
        self._changes: deque[tuple[int, int]] = deque([(t_ns, 0)], MAX_CHANGES)

    def advance(self, t_ns: int) -> None:
        """Charge the time up to now to the level that holds."""
        if t_ns > self._last_ns:
            self.seconds_ns[self._at] += t_ns - self._last_ns
            self._last_ns = t_ns

    def change(self, step: int, t_ns: int) -> None:
        """Note that a request was sent (1) or is over (-1)."""
        at, last_ns = self._at, self._last_ns
        if t_ns > last_ns:
            self.seconds_ns[at] += t_ns - last_ns
            self._last_ns = last_ns = t_ns
        self.n = n = self.n + step
        at = n if n <= 16 else level(n)
        if at != self._at:
            self._at = at
            if at not in self.seconds_ns:
                self.seconds_ns[at] = 0
                self.tokens.setdefault(at, 0)  # a call that came from another model may have brought some
            self._changes.append((last_ns, at))

    def credit_span(self, n_tokens: int, start_ns: int, end_ns: int) -> None:
        """Add tokens made evenly between two instants of the past to the levels that held then."""
        since_ns, at = self._changes[-1]
        if since_ns <= start_ns and at:
            self.tokens[at] += n_tokens
        else:
            self.credit(n_tokens, self.shares_ns(start_ns, end_ns))

    def credit(self, n_tokens: int, shares: dict[int, int]) -> None:
        """Add tokens to levels in proportion to ``shares`` (level -> weight), whole ones, all of them."""
        total = sum(shares.values())
        left = n_tokens
        for at, weight in sorted(shares.items(), key=lambda item: item[1]):
            part = n_tokens * weight // total if total else 0
            self.tokens[at] = self.tokens.get(at, 0) + part
            left -= part
        if left:
            fullest = max(shares, key=lambda at: (shares[at], at), default=level(max(self.n, 1)))
            self.tokens[fullest] = self.tokens.get(fullest, 0) + left

    def sort_chunks(self, marks: Sequence[Mark], chunks: dict[int, int]) -> None:
        """Add the chunks between marks to the levels (level -> chunks) that held at the marks they follow."""
        changes = reversed(self._changes)
        since_ns, at = next(changes)
        n_until = marks[-1][1]
        for t_ns, n_before in reversed(marks[:-1]):
            while since_ns > t_ns:
                since_ns, at = next(changes, (t_ns, at))
            if n_until > n_before:
                chunks[at or 1] = chunks.get(at or 1, 0) + n_until - n_before
                n_until = n_before

    def shares_ns(self, start_ns: int, end_ns: int) -> dict[int, int]:
        """Return the nanoseconds at each level between two instants of the past."""
        shares: dict[int, int] = {}
        until_ns = end_ns
        at = level(max(self.n, 1))
        for since_ns, at in reversed(self._changes):
            if since_ns < until_ns:
                begin_ns = max(since_ns, start_ns)
                if until_ns > begin_ns:
                    shares[at] = shares.get(at, 0) + until_ns - begin_ns
                until_ns = since_ns
            if since_ns <= start_ns:
                return shares
        if until_ns > start_ns:
            shares[at] = shares.get(at, 0) + until_ns - start_ns
        return shares


class Concurrency:
    """The meters of a process, by model; no more than models may be labels.

    Thread-safety: under the lock of the ledger.
    """

    def __init__(self) -> None:
        self._meters: dict[str, Meter] = {}

    def meter(self, model: str, t_ns: int) -> Meter:
        """Return the meter of a model; models beyond the limit share one."""
        found = self._meters.get(model)
        if found is None:
            # Twice the labels: names that no server has (requests that fail) come and are never shown.
            if len(self._meters) >= 2 * LABEL_LIMITS["model"]:
                model = OTHER
            found = self._meters.setdefault(model, Meter(t_ns))
        return found

    def rows(self, now_ns: int) -> list[LiveRow]:
        """Return all totals, advanced to now."""
        rows: list[LiveRow] = []
        for model, meter in self._meters.items():
            meter.advance(now_ns)
            for at, total_ns in meter.seconds_ns.items():
                rows.append(("agent_llm_concurrency_seconds_total", (model, LEVELS[at]), total_ns))
            for at, n_tokens in meter.tokens.items():
                rows.append(("agent_llm_concurrency_tokens_total", (model, LEVELS[at]), n_tokens))
        return rows
