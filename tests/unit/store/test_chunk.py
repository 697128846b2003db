"""Chunks keep every bit, in both codecs, and say so when they cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from agentgauge.errors import StoreCorrupt
from agentgauge.model.sample import NO_SAMPLE, NO_SAMPLE_BITS, STALE, STALE_BITS
from agentgauge.store import chunk as chunks
from agentgauge.store.chunk import PCO, ZLIB, DenseChunk, RaggedChunk, decode, encode_dense, encode_ragged

CODECS = [ZLIB, pytest.param(PCO, marks=pytest.mark.skipif(not chunks.HAS_PCODEC, reason="pcodec has no wheel here"))]

special = st.sampled_from([NO_SAMPLE_BITS, STALE_BITS, 0x7FF8000000000000, 0x7FF0000000000001, 1 << 63, 0, 0x7FF << 52])
plain = st.floats(allow_nan=False).map(lambda x: int(np.float64(x).view(np.uint64)))
decimal = st.integers(-(10**9), 10**9).map(lambda n: int(np.float64(n / 100).view(np.uint64)))
whole = st.integers(-(2**60), 2**60).map(lambda n: int(np.float64(n).view(np.uint64)))
bits = st.one_of(special, st.integers(0, 2**64 - 1), plain, decimal, whole)
matrices = hnp.arrays(np.uint64, st.tuples(st.integers(1, 30), st.integers(1, 12)), elements=bits)


def restored(chunk: DenseChunk) -> np.ndarray:
    """Give holes and stale cells their bits again; time-major."""
    out = chunk.values.copy().view(np.uint64)
    if chunk.hole is not None:
        out[chunk.hole] = NO_SAMPLE_BITS
    if chunk.stale is not None:
        out[chunk.stale] = STALE_BITS
    return out.T


@pytest.mark.parametrize("codec", CODECS)
@given(rows=matrices, start=st.integers(-(2**50), 2**50))
@settings(max_examples=150, deadline=None)
def test_dense_chunks_keep_every_bit(codec: str, rows: np.ndarray, start: int) -> None:
    """decode(encode(x)) == x bit for bit, whatever the bits."""
    t_ms = start + np.arange(len(rows), dtype=np.int64) * 15_000
    found = decode(encode_dense(t_ms, rows.view(np.float64), codec))
    assert isinstance(found, DenseChunk)
    assert found.t_ms.tolist() == t_ms.tolist()
    assert np.array_equal(restored(found), rows)


@pytest.mark.parametrize("codec", CODECS)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_ragged_chunks_keep_every_bit(codec: str, data: st.DataObject) -> None:
    """The same for series with times of their own."""
    counts = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=9).filter(any))
    n = sum(counts)
    t_ms = data.draw(hnp.arrays(np.int64, n, elements=st.integers(-(2**62), 2**62)))
    values = data.draw(hnp.arrays(np.uint64, n, elements=bits))
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    found = decode(encode_ragged(offsets, t_ms, values.view(np.float64), codec))
    assert isinstance(found, RaggedChunk)
    assert found.offsets.tolist() == offsets.tolist()
    assert found.t_ms.tolist() == t_ms.tolist()
    assert found.values.view(np.uint64).tolist() == values.tolist()


@pytest.mark.parametrize("codec", CODECS)
def test_resets_are_found_across_holes(codec: str) -> None:
    """A fall is seen against the previous present value, not against the hole before it."""
    rows = np.array([[5.0, 1.0], [NO_SAMPLE, 2.0], [3.0, 3.0], [4.0, STALE], [5.0, 1.0]])
    found = decode(encode_dense(np.arange(5) * 1000, rows, codec))
    assert isinstance(found, DenseChunk)
    assert found.resets.tolist() == [2, 4]


@pytest.mark.parametrize("codec", CODECS)
def test_a_flipped_bit_is_never_decoded(codec: str) -> None:
    """Each flipped bit of any part, and each truncation, is reported."""
    rows = np.cumsum(np.random.default_rng(1).poisson(1, (50, 20)), axis=0).astype(float)
    rows[3, 3], rows[30, 4] = NO_SAMPLE, 0.0
    good = encode_dense(np.arange(50) * 1000, rows, codec)
    rng = np.random.default_rng(2)
    for part in ("times", "values", "resets", "gaps"):
        body = bytearray(getattr(good, part))
        for position in rng.integers(0, len(body) * 8, 40).tolist():
            body[position // 8] ^= 1 << position % 8
            with pytest.raises(StoreCorrupt):
                decode(replace(good, **{part: bytes(body)}))
            body[position // 8] ^= 1 << position % 8
        with pytest.raises(StoreCorrupt):
            decode(replace(good, **{part: bytes(body[:-1])}))


def test_an_unknown_codec_is_named() -> None:
    """A chunk of a codec from the future is refused by name."""
    good = encode_dense(np.arange(3), np.ones((3, 1)) * np.arange(3)[:, None])
    with pytest.raises(StoreCorrupt, match="pco9"):
        decode(replace(good, codec="pco9"))


def test_classes_make_mixtures_small() -> None:
    """Counters beside decimals and constants cost what they cost alone."""
    rng = np.random.default_rng(3)
    counters = np.cumsum(rng.poisson(0.3, (480, 100)), axis=0).astype(float)
    decimals = np.round(rng.random((480, 50)) * 100, 2)
    constants = np.ones((480, 50))
    t_ms = np.arange(480) * 15_000
    alone = sum(encode_dense(t_ms, part).size_bytes() for part in (counters, decimals, constants))
    mixed = encode_dense(t_ms, np.concatenate((counters, decimals, constants), axis=1)).size_bytes()
    assert mixed < alone * 1.05
