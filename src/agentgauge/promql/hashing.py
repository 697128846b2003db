"""XXH64 of label sets: what ``limit_ratio`` draws by, the same in every process and in Prometheus.

Source: the XXH64 specification (Collet); Prometheus model/labels/labels_stringlabels.go for the bytes.
"""

from __future__ import annotations

from agentgauge.model.labels import Labels

_P1, _P2, _P3, _P4, _P5 = (
    11400714785074694791,
    14029467366897019727,
    1609587929392839161,
    9650029242287828579,
    2870177450012600261,
)
_MASK = (1 << 64) - 1


def ratio_of_labels(labels: Labels) -> float:
    """Return the label set's place in [0, 1]."""
    return float(xxh64(label_bytes(labels))) / float(_MASK)


def label_bytes(labels: Labels) -> bytes:
    """Return each name and value after its length: one byte, or 0xff and three bytes from 255 on."""
    parts: list[bytes] = []
    for pair in labels:
        for text in pair:
            raw = text.encode("utf-8", "surrogateescape")
            size = len(raw)
            parts += [bytes([size]) if size < 255 else b"\xff" + size.to_bytes(3, "little"), raw]
    return b"".join(parts)


def xxh64(data: bytes) -> int:
    """Return the 64-bit xxHash with seed 0."""
    n = len(data)
    at = n - n % 32
    hashed = _stripes(data[:at]) if at else _P5
    hashed = (hashed + n) & _MASK
    while at + 8 <= n:
        hashed = (_rotate(hashed ^ _round(0, int.from_bytes(data[at : at + 8], "little")), 27) * _P1 + _P4) & _MASK
        at += 8
    if at + 4 <= n:
        word = int.from_bytes(data[at : at + 4], "little") * _P1 & _MASK
        hashed = (_rotate(hashed ^ word, 23) * _P2 + _P3) & _MASK
        at += 4
    for byte in data[at:]:
        hashed = _rotate(hashed ^ (byte * _P5 & _MASK), 11) * _P1 & _MASK
    return _avalanche(hashed)


def _stripes(data: bytes) -> int:
    lanes = [(_P1 + _P2) & _MASK, _P2, 0, -_P1 & _MASK]
    for start in range(0, len(data), 32):
        for i in range(4):
            word = int.from_bytes(data[start + 8 * i : start + 8 * i + 8], "little")
            lanes[i] = _round(lanes[i], word)
    hashed = sum(_rotate(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & _MASK
    for lane in lanes:
        hashed = ((hashed ^ _round(0, lane)) * _P1 + _P4) & _MASK
    return hashed


def _round(lane: int, word: int) -> int:
    return _rotate((lane + word * _P2) & _MASK, 31) * _P1 & _MASK


def _rotate(value: int, bits: int) -> int:
    return (value << bits | value >> (64 - bits)) & _MASK


def _avalanche(value: int) -> int:
    value = (value ^ value >> 33) * _P2 & _MASK
    value = (value ^ value >> 29) * _P3 & _MASK
    return value ^ value >> 32
