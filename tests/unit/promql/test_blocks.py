"""A source's blocks become blocks without holes, and staleness is read on the bits."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agentgauge.model.sample import STALE
from agentgauge.model.series import DenseBlock, RaggedBlock
from agentgauge.promql.blocks import SampleBlock, whole_blocks


def labels(n: int) -> list[tuple[tuple[str, str], ...]]:
    return [(("i", str(i)),) for i in range(n)]


def samples(blocks: list[SampleBlock]) -> dict[tuple[tuple[str, str], ...], list[tuple[int, float]]]:
    found = {}
    for block in blocks:
        for i, key in enumerate(block.labels):
            rows = slice(None) if block.offsets is None else slice(block.offsets[i], block.offsets[i + 1])
            column = i if block.offsets is None else 0
            found[key] = list(
                zip(block.table.t_ms[rows].tolist(), block.table.values[rows, column].tolist(), strict=True)
            )
    return found


def test_a_clean_block_passes_untouched() -> None:
    """No copy is made of a block without holes."""
    values = np.ones((3, 2))
    (block,) = whole_blocks(DenseBlock(labels(2), np.arange(3), values), keep_stale=True)
    assert block.table.values is values
    assert block.offsets is None


@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=9))
def test_no_sample_is_lost_or_made_up(pattern: list[list[bool]]) -> None:
    """Whatever the holes, each series keeps exactly its present cells."""
    present = np.array(pattern).T
    values = np.arange(present.size, dtype=np.float64).reshape(present.shape)
    block = DenseBlock(labels(present.shape[1]), np.arange(6, dtype=np.int64), values, present)
    found = samples(list(whole_blocks(block, keep_stale=False)))
    for i, key in enumerate(block.labels):
        expected = [(t, float(values[t, i])) for t in range(6) if present[t, i]]
        assert found[key] == expected


def test_series_of_one_pattern_share_a_table() -> None:
    """Five series with the same gap stay dense, over the rows they have."""
    present = np.ones((4, 5), np.bool_)
    present[2] = False
    (block,) = whole_blocks(DenseBlock(labels(5), np.arange(4), np.ones((4, 5)), present), keep_stale=False)
    assert block.offsets is None
    assert block.table.t_ms.tolist() == [0, 1, 3]


def test_stale_markers_are_kept_marked_or_left_out() -> None:
    """The quieted NaN of arithmetic is a value, the marker is not."""
    block = RaggedBlock(labels(1), np.array([0, 3]), np.arange(3), np.array([1.0, STALE, np.nan]))
    (marked,) = whole_blocks(block, keep_stale=True)
    assert marked.stale is not None
    assert marked.stale.tolist() == [False, True, False]
    (left,) = whole_blocks(block, keep_stale=False)
    assert left.table.t_ms.tolist() == [0, 2]
