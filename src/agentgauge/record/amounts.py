"""Amounts as they may be counted: whole, finite, not negative; None for what cannot be."""

from __future__ import annotations

import math

MAX_AMOUNT = 1 << 62
"""More nanoseconds or tokens than any process lives to see: a larger one is a mistake (146 years)."""


def whole(value: object) -> int | None:
    """Return a number as the integer nearest to it; None when it is negative, not finite, too large or no number."""
    if type(value) is int:
        return value if 0 <= value <= MAX_AMOUNT else None
    if not isinstance(value, (int, float)) or not math.isfinite(value) or not 0 <= value <= MAX_AMOUNT:
        return None
    return round(value)


def elapsed_ns(start_ns: object, end_ns: object) -> int | None:
    """Return the nanoseconds between two readings; None when they are no numbers or run back."""
    if type(start_ns) is int and type(end_ns) is int and start_ns <= end_ns <= start_ns + MAX_AMOUNT:
        return end_ns - start_ns
    if isinstance(start_ns, (int, float)) and isinstance(end_ns, (int, float)):
        return whole(end_ns - start_ns)
    return None
