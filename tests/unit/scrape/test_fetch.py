"""gzip bodies in pieces: any cut gives the same bytes, none gives more than the limit."""

from __future__ import annotations

import gzip
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgauge.scrape.fetch import Inflate, ScrapeFailed


def fed(packed: bytes, cuts: list[int], limit_bytes: int = 1 << 20) -> tuple[bytes, bool]:
    inflate = Inflate(limit_bytes)
    edges = [0, *sorted(min(cut, len(packed)) for cut in cuts), len(packed)]
    out = b"".join(inflate.feed(packed[a:b]) for a, b in pairwise(edges))
    return out, inflate.is_complete


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=3), st.lists(st.integers(0, 400), max_size=8))
def test_any_cut_gives_the_same_bytes(members: list[bytes], cuts: list[int]) -> None:
    """Whole, at random cuts and byte by byte, with one gzip member or several."""
    packed = b"".join(map(gzip.compress, members))
    whole = (b"".join(members), True)
    assert fed(packed, []) == fed(packed, cuts) == fed(packed, list(range(len(packed)))) == whole


def test_a_bomb_is_not_held() -> None:
    """Little in and much out ends soon after the limit."""
    out, _ = fed(gzip.compress(bytes(50_000_000), 9), [], limit_bytes=10_000)
    assert len(out) <= 10_000 + 1024 * 1024


def test_broken_and_cut_bodies_are_told_apart_from_whole_ones() -> None:
    """Bytes that are no gzip fail, a body that was cut off is not complete."""
    with pytest.raises(ScrapeFailed, match="broken"):
        fed(b"not gzip at all", [])
    assert not fed(gzip.compress(b"a 1\n" * 1000)[:-5], [])[1]
