"""What the store's tests share: a clock turned by hand, and everything a store answers as one dict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from agentgauge.model.labels import Labels, Matcher
from agentgauge.model.sample import STALE_BITS
from agentgauge.model.series import DenseBlock, SeriesBlock
from agentgauge.store.store import Store

T0 = 1_700_000_000_000 // 7_200_000 * 7_200_000
"""A boundary of the 2-h intervals."""

Contents = dict[Labels, list[tuple[int, int]]]


class HandClock:
    """A clock that stands until it is set."""

    def __init__(self, now_ms: int) -> None:
        self.ms = now_ms

    def now_ms(self) -> int:
        return self.ms

    def monotonic_ns(self) -> int:
        return self.ms * 1_000_000


def contents_of(blocks: Iterator[SeriesBlock]) -> Contents:
    """Lay blocks out as label set -> [(t_ms, bits)], each label set once; check what blocks promise."""
    found: Contents = {}
    for block in blocks:
        if isinstance(block, DenseBlock):
            check_dense(block)
            bits = block.values.view(np.uint64)
            for i, labels in enumerate(block.labels):
                assert labels not in found, f"{labels} stands in two blocks"
                rows = []
                for j, t_ms in enumerate(block.t_ms.tolist()):
                    if block.stale is not None and block.stale[j, i]:
                        rows.append((t_ms, STALE_BITS))
                    elif block.present is None or block.present[j, i]:
                        rows.append((t_ms, int(bits[j, i])))
                found[labels] = rows
        else:
            bits = block.values.view(np.uint64)
            for i, labels in enumerate(block.labels):
                assert labels not in found, f"{labels} stands in two blocks"
                a, b = int(block.offsets[i]), int(block.offsets[i + 1])
                assert (np.diff(block.t_ms[a:b]) > 0).all()
                found[labels] = list(zip(block.t_ms[a:b].tolist(), bits[a:b].tolist(), strict=True))
    return {labels: rows for labels, rows in found.items() if rows}


def check_dense(block: DenseBlock) -> None:
    """Check shapes, order of times, and that the resets are exactly the rows where a column falls."""
    assert block.values.shape == (len(block.t_ms), len(block.labels))
    assert (np.diff(block.t_ms) > 0).all()
    if block.present is None:
        falls = np.flatnonzero((block.values[1:] < block.values[:-1]).any(axis=1)) + 1
        assert block.resets is not None
        assert block.resets.tolist() == falls.tolist()


@pytest.fixture
def clock() -> HandClock:
    return HandClock(T0)


@pytest.fixture
def open_store(tmp_path: Path, clock: HandClock) -> Iterator[Callable[..., Store]]:
    """Open stores on one file; they are closed at the end."""
    opened: list[Store] = []

    def open_one(**settings: object) -> Store:
        settings = {"clock": clock, "background": False, **settings}
        store = Store.open(tmp_path / "metrics.db", **settings)  # type: ignore[arg-type]
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def everything() -> Callable[..., Contents]:
    """Read all that a store has, or what matchers and a range leave of it."""

    def read(store: Store, matchers: Sequence[Matcher] = (), start_ms: int = 0, end_ms: int = 1 << 60) -> Contents:
        return contents_of(store.select(matchers, start_ms, end_ms))

    return read
