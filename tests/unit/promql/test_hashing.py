"""XXH64 gives the numbers of its specification."""

from __future__ import annotations

import pytest

from agentgauge.promql.hashing import label_bytes, ratio_of_labels, xxh64


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0xEF46DB3751D8E999),
        (b"a", 0xD24EC4F1A98C6E5B),
        (b"abc", 0x44BC2CF5AD770999),
        (b"Nobody inspects the spammish repetition", 0xFBCEA83C8A378BF1),
    ],
)
def test_known_hashes(data: bytes, expected: int) -> None:
    """Published values, below and above the 32-byte stripe."""
    assert xxh64(data) == expected


def test_label_bytes_put_lengths_before_texts() -> None:
    """One byte up to 254; from 255 on a marker and three bytes."""
    assert label_bytes((("a", "bc"),)) == b"\x01a\x02bc"
    assert label_bytes((("a", "x" * 255),))[:6] == b"\x01a\xff\xff\x00\x00"


def test_the_ratio_lies_between_zero_and_one() -> None:
    """And spreads over it."""
    places = [ratio_of_labels((("i", str(i)),)) for i in range(500)]
    assert min(places) >= 0
    assert max(places) <= 1
    assert 0.4 < sum(places) / len(places) < 0.6
