"""Columns of samples ⇄ compressed bytes, with a checksum.

A chunk holds up to ``BATCH`` series. *Dense* chunks share one time vector; *ragged* ones carry a time per sample. The
one place that knows pcodec; where it has no wheel the codec is ``zlib-d8``. It does no I/O and reads no clock.

Theory of operation: holes (no sample) and stale markers leave the value stream: each is filled with the previous
value of its column, which compresses to nothing, and two bitmaps remember them. Columns are then sorted into classes,
one stream each, because a codec that sees only integers, or only decimals, does far better than on the mixture:
constant columns cost one value, integral columns and those with two or six decimals travel as int64, the rest as
float64. Every value comes back bit for bit: a column is integral or decimal only when the round trip through int64
keeps all its bits (so never with -0.0 or NaN).
``resets`` are the rows where any column falls below its previous value. The CRC-32 over all parts is checked before
anything is decoded, because a flipped bit can decode to wrong numbers without an error (storage notes, section 11).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgauge.errors import StoreCorrupt
from agentgauge.model.sample import NO_SAMPLE_BITS, STALE_BITS
from agentgauge.model.series import Mask, Times, Values

try:
    from pcodec import ChunkConfig, DeltaSpec, standalone

    HAS_PCODEC = True
except ImportError:  # musl, PyPy, 32-bit: no wheel
    HAS_PCODEC = False

BATCH = 256
"""Series per chunk: batches compress better and 3 to 10 times faster than single series (storage notes, section 5)."""

PCO = "pco1"
ZLIB = "zlib-d8"
DEFAULT_CODEC = PCO if HAS_PCODEC else ZLIB

HAS_GAPS = 1
HAS_STALE = 2
HAS_NAN = 4
HAS_RESETS = 8
RAGGED = 16
QUARANTINED = 32

CONSTANT, INTEGRAL, FLOAT, CENTS, MICROS = 0, 1, 2, 3, 4
_SCALES = {INTEGRAL: 1.0, CENTS: 100.0, MICROS: 1e6}
_CLASSES = (CONSTANT, INTEGRAL, FLOAT, CENTS, MICROS)
ZLIB_LEVEL = 6

Matrix = NDArray[Any]


@dataclass(frozen=True, slots=True)
class EncodedChunk:
    """A chunk as it lies in the file."""

    n_rows: int
    n_cols: int
    flags: int
    codec: str
    times: bytes
    values: bytes
    resets: bytes
    gaps: bytes
    crc: int

    def size_bytes(self) -> int:
        """Return what its parts weigh."""
        return len(self.times) + len(self.values) + len(self.resets) + len(self.gaps)


@dataclass(frozen=True, slots=True)
class DenseChunk:
    """Decoded columns that share their times.

    Shapes: t_ms (T,); values (S, T), series-major, holes and stale cells filled; hole, stale (S, T) or None.
    """

    t_ms: Times
    values: Values
    hole: Mask | None
    stale: Mask | None
    resets: NDArray[np.int64]

    def size_bytes(self) -> int:
        """Return the memory it takes."""
        masks = sum(mask.nbytes for mask in (self.hole, self.stale) if mask is not None)
        return int(self.t_ms.nbytes + self.values.nbytes + self.resets.nbytes + masks)


@dataclass(frozen=True, slots=True)
class RaggedChunk:
    """Decoded columns with times of their own: column i has the samples offsets[i]:offsets[i + 1]."""

    offsets: NDArray[np.int64]
    t_ms: Times
    values: Values

    def size_bytes(self) -> int:
        """Return the memory it takes."""
        return int(self.offsets.nbytes + self.t_ms.nbytes + self.values.nbytes)


def encode_dense(t_ms: Times, rows: Values, codec: str = DEFAULT_CODEC) -> EncodedChunk:
    """Compress rows of one group, bit for bit.

    Shapes: t_ms (T,) ascending; rows (T, S) with ``NO_SAMPLE`` in holes and the stale marker where a series ended.
    """
    values = np.ascontiguousarray(rows.T)
    hole, stale, flags = find_absent(values)
    if hole is not None or stale is not None:
        absent = hole if stale is None else stale if hole is None else hole | stale
        assert absent is not None, "BUG: neither mask"
        values = fill(values, absent)
    resets = reset_rows(values)
    flags |= HAS_RESETS if len(resets) else 0
    masks = b"".join(np.packbits(mask).tobytes() for mask in (hole, stale) if mask is not None)
    return _sealed(
        len(t_ms),
        values.shape[0],
        flags,
        codec,
        _encode_ints(np.ascontiguousarray(t_ms, np.int64), codec, order=2),
        _encode_values(values, codec),
        _encode_ints(resets, codec, order=1) if len(resets) else b"",
        zlib.compress(masks, ZLIB_LEVEL) if masks else b"",
    )


def encode_ragged(offsets: NDArray[np.int64], t_ms: Times, values: Values, codec: str = DEFAULT_CODEC) -> EncodedChunk:
    """Compress series with times of their own, bit for bit; shapes as in ``RaggedChunk``."""
    counts = np.diff(offsets)
    return _sealed(
        len(t_ms),
        len(counts),
        RAGGED,
        codec,
        _encode_ints(np.ascontiguousarray(t_ms, np.int64), codec, order=2),
        _encode_values(np.ascontiguousarray(values).reshape(1, -1), codec),
        b"",
        _encode_ints(counts.astype(np.int64), codec, order=1),
    )


def decode(chunk: EncodedChunk) -> DenseChunk | RaggedChunk:
    """Check a chunk's checksum and decompress it.

    Raises:
        StoreCorrupt: the bytes are not those that were written, or their codec is not readable here.
    """
    if checksum(chunk.times, chunk.values, chunk.resets, chunk.gaps) != chunk.crc:
        raise StoreCorrupt("a chunk's checksum does not match its bytes")
    try:
        return _decode_ragged(chunk) if chunk.flags & RAGGED else _decode_dense(chunk)
    except (ValueError, RuntimeError, zlib.error, struct.error) as error:
        raise StoreCorrupt(f"a chunk does not decode with {chunk.codec}: {error}") from error


def checksum(*parts: bytes) -> int:
    """Return the CRC-32 over all parts, each preceded by its length."""
    crc = 0
    for part in parts:
        crc = zlib.crc32(part, zlib.crc32(struct.pack("<I", len(part)), crc))
    return crc


def padded(n_series: int, n_rows: int) -> Values:
    """Return room for (S, T) values whose rows begin in different lines of the processor's cache.

    Readers want them time-major. With 480 rows all series begin in few sets of the cache, and the turn takes three
    times as long (measured).
    """
    return np.empty((n_series, n_rows + (1 - n_rows) % 8))[:, :n_rows]


def find_absent(values: Values) -> tuple[Mask | None, Mask | None, int]:
    """Tell holes and stale markers from values, on the bits; return both masks (None: none) and the flags."""
    nan = values != values
    if not nan.any():
        return None, None, 0
    bits = values.view(np.uint64)
    hole, stale = bits == NO_SAMPLE_BITS, bits == STALE_BITS
    has_hole, has_stale = bool(hole.any()), bool(stale.any())
    has_nan = int(nan.sum()) > int(hole.sum()) + int(stale.sum())
    flags = HAS_GAPS * has_hole | HAS_STALE * has_stale | HAS_NAN * has_nan
    return hole if has_hole else None, stale if has_stale else None, flags


def fill(values: Values, absent: Mask) -> Values:
    """Give absent cells the previous present value of their series, else the next, else 0; shapes (S, T)."""
    dirty = np.flatnonzero(absent.any(axis=1))
    # Bits, because a copy through float arithmetic would quiet signalling NaNs.
    filled = values.view(np.uint64).copy()
    filled[dirty] = _fill_bits(filled[dirty], absent[dirty])
    return filled.view(np.float64)


def _fill_bits(bits: NDArray[np.uint64], absent: Mask) -> NDArray[np.uint64]:
    n_series, n_rows = bits.shape
    index = np.where(absent, 0, np.arange(n_rows, dtype=np.int64)[None, :])
    np.maximum.accumulate(index, axis=1, out=index)
    first = np.argmin(absent, axis=1)
    np.maximum(index, first[:, None], out=index)
    filled = np.take_along_axis(bits, index, axis=1)
    filled[absent[np.arange(n_series), first]] = 0
    return filled


def reset_rows(values: Values) -> NDArray[np.int64]:
    """Return the rows q >= 1 at which some series is below its previous value; shapes (S, T) without holes."""
    if values.shape[1] < 2:
        return np.empty(0, np.int64)
    return np.flatnonzero((values[:, 1:] < values[:, :-1]).any(axis=0)).astype(np.int64) + 1


def _sealed(
    n_rows: int, n_cols: int, flags: int, codec: str, times: bytes, values: bytes, resets: bytes, gaps: bytes
) -> EncodedChunk:
    crc = checksum(times, values, resets, gaps)
    return EncodedChunk(n_rows, n_cols, flags, codec, times, values, resets, gaps, crc)


def _decode_dense(chunk: EncodedChunk) -> DenseChunk:
    n_rows, n_cols = chunk.n_rows, chunk.n_cols
    t_ms = _decode_ints(chunk.times, n_rows, chunk.codec)
    resets = np.empty(0, np.int64)
    if chunk.resets:
        resets = _decode_ints(chunk.resets, -1, chunk.codec)
    hole = stale = None
    if chunk.gaps:
        packed = np.frombuffer(zlib.decompress(chunk.gaps), np.uint8)
        masks = packed.reshape(-1, (n_rows * n_cols + 7) // 8)
        planes = iter(np.unpackbits(masks, axis=1, count=n_rows * n_cols).view(np.bool_).reshape(-1, n_cols, n_rows))
        hole = next(planes) if chunk.flags & HAS_GAPS else None
        stale = next(planes) if chunk.flags & HAS_STALE else None
    return DenseChunk(t_ms, _decode_values(chunk.values, n_cols, n_rows, chunk.codec), hole, stale, resets)


def _decode_ragged(chunk: EncodedChunk) -> RaggedChunk:
    counts = _decode_ints(chunk.gaps, chunk.n_cols, chunk.codec)
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    t_ms = _decode_ints(chunk.times, chunk.n_rows, chunk.codec)
    return RaggedChunk(offsets, t_ms, _decode_values(chunk.values, 1, chunk.n_rows, chunk.codec)[0])


def _encode_values(values: Values, codec: str) -> bytes:
    """Write one class byte per series, then per class its length and its stream."""
    classes = _classify(values)
    parts = [classes.tobytes()]
    for kind in _CLASSES:
        chosen = values[classes == kind]
        stream = _encode_stream(_packed(chosen, kind), codec) if chosen.size else b""
        parts += [struct.pack("<I", len(stream)), stream]
    return b"".join(parts)


def _packed(chosen: Values, kind: int) -> Matrix:
    if kind == CONSTANT:
        return chosen[:, :1]
    return chosen if kind == FLOAT else _scaled(chosen, _SCALES[kind])


def _scaled(values: Values, scale: float) -> NDArray[np.int64]:
    with np.errstate(invalid="ignore", over="ignore"):
        return np.rint(values * scale).astype(np.int64) if scale != 1.0 else values.astype(np.int64)


def _decode_values(data: bytes, n_cols: int, n_rows: int, codec: str) -> Values:
    classes = np.frombuffer(data, np.uint8, n_cols)
    out = padded(n_cols, n_rows)
    at = n_cols
    for kind in _CLASSES:
        (size,) = struct.unpack_from("<I", data, at)
        stream, at = data[at + 4 : at + 4 + size], at + 4 + size
        if not size:
            continue
        chosen = np.flatnonzero(classes == kind)
        dtype, width = (np.int64 if kind in _SCALES else np.float64), (1 if kind == CONSTANT else n_rows)
        matrix = _decode_stream(stream, len(chosen), width, dtype, codec)
        where = chosen if len(chosen) < n_cols else slice(None)  # a slice is three times faster than an index
        out[where] = matrix if _SCALES.get(kind, 1.0) == 1.0 else matrix / _SCALES[kind]
    return out


def _classify(values: Values) -> NDArray[np.uint8]:
    """Return the class of each series; constant means constant bits."""
    bits = values.view(np.uint64)
    classes = np.where((bits == bits[:, :1]).all(axis=1), CONSTANT, FLOAT).astype(np.uint8)
    for kind, scale in _SCALES.items():
        open_ = np.flatnonzero(classes == FLOAT)
        # One column costs little and tells most series apart: only those that pass are looked at in full.
        open_ = open_[_keeps_bits(values[open_, -1:], scale)]
        if len(open_):
            classes[open_[_keeps_bits(values[open_], scale)]] = kind
    return classes


def _keeps_bits(values: Values, scale: float) -> Mask:
    """Tell which series survive the way through scaled int64 and back with every bit."""
    back = _scaled(values, scale) / scale
    return np.asarray((back.view(np.uint64) == values.view(np.uint64)).all(axis=1))


def _encode_stream(matrix: Matrix, codec: str, order: int = 1) -> bytes:
    """Compress a (k, n) matrix of 8-byte numbers, series-major."""
    if codec == PCO:
        spec = ChunkConfig(delta_spec=DeltaSpec.try_consecutive(order))
        return bytes(standalone.simple_compress(np.ascontiguousarray(matrix).reshape(-1), spec))
    ints = np.ascontiguousarray(matrix).view(np.int64)
    deltas = ints.copy()
    for _ in range(order):
        deltas[:, 1:] = deltas[:, 1:] - deltas[:, :-1]
    planes = deltas.reshape(-1, 1).view(np.uint8).T
    return zlib.compress(np.ascontiguousarray(planes).tobytes(), ZLIB_LEVEL)


def _decode_stream(data: bytes, k: int, n: int, dtype: Any, codec: str, order: int = 1) -> Matrix:
    """Decompress a (k, n) matrix of 8-byte numbers; n -1 takes what is there."""
    if codec == PCO:
        if not HAS_PCODEC:
            raise StoreCorrupt("this chunk was written with pcodec, which is not installed here")
        flat = np.asarray(standalone.simple_decompress(data))
        if flat.dtype != dtype:
            raise ValueError(f"stream of {flat.dtype}, not {np.dtype(dtype)}")
        return flat.reshape(k, n)
    if codec != ZLIB:
        raise StoreCorrupt(f"this chunk was written with the unknown codec {codec!r}")
    planes = np.frombuffer(zlib.decompress(data), np.uint8).reshape(8, -1)
    ints = np.ascontiguousarray(planes.T).view(np.int64).reshape(k, n)
    for _ in range(order):
        ints = np.cumsum(ints, axis=1, dtype=np.int64)
    return ints.view(dtype)


def _encode_ints(ints: NDArray[np.int64], codec: str, order: int) -> bytes:
    return bytes([order]) + _encode_stream(ints.reshape(1, -1), codec, order)


def _decode_ints(data: bytes, n: int, codec: str) -> NDArray[np.int64]:
    flat: NDArray[np.int64] = _decode_stream(data[1:], 1, n, np.int64, codec, order=data[0])[0]
    return flat
