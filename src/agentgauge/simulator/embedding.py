"""Embeddings without a model: words hashed onto directions, so that texts that share words lie near each other."""

from __future__ import annotations

import math
import re
import zlib

_WORD = re.compile(r"[^\W_]+")
_STOP = frozenset(_WORD.findall("a an and are as at be by for from has in is it of on or that the this to was with"))


def embedding(text: str, length: int) -> list[float]:
    """Return a unit vector for a text: the same text the same vector, shared words and word parts a small angle."""
    vector = [0.0] * length
    words = [word for word in _WORD.findall(text.lower()) if word not in _STOP] or ["∅"]
    for word in words:
        _add(vector, word, 1.0)
        for start in range(len(word) - 3):
            _add(vector, f"#{word[start : start + 4]}", 0.3)
    norm = math.sqrt(math.fsum(x * x for x in vector)) or 1.0
    return [float(f"{x / norm:.8g}") for x in vector]


def _add(vector: list[float], feature: str, weight: float) -> None:
    """Add a feature in four directions with signs, so that chance meetings of two features cancel out."""
    for turn in range(4):
        hashed = zlib.crc32(f"{turn}{feature}".encode())
        vector[hashed % len(vector)] += weight if hashed & 0x8000_0000 else -weight
