"""Floats as text, the ways Prometheus writes them: shortest digits that read back as the same float.

Python's ``repr`` gives the same digits and lays them out differently; here they are laid out again.
Source: Go ``strconv/ftoa.go``; Prometheus ``util/jsonutil``, ``promql/functions.go`` (openMetrics label values).
"""

from __future__ import annotations

import math


def format_float(value: float) -> str:
    """Write a sample's value as the HTTP API does: plain, exponents below 1e-6 and from 1e21 on."""
    if 1e-4 <= abs(value) < 1e16:  # repr is plain here
        text = repr(value)
        return text[:-2] if text.endswith(".0") else text
    return _laid_out(value, -6, 21)


def format_plain(value: float) -> str:
    """Write a float without exponent, whatever its size: literals and ``count_values`` labels."""
    return _laid_out(value, -400, 400)


def format_g(value: float) -> str:
    """Write a float as Go's ``%g``: shortest digits, exponents below 1e-4 and from 1e+06 on."""
    return _laid_out(value, -4, 6)


def format_open_metrics(value: float) -> str:
    """Write a float as OpenMetrics does: ``%g``, and always with a point or an exponent (``1.0``)."""
    text = format_g(value)
    return text if not math.isfinite(value) or "." in text or "e" in text else text + ".0"


def format_timestamp(t_ms: int) -> str:
    """Write a time in seconds as the HTTP API does: no decimals or exactly three."""
    seconds, rest = divmod(abs(t_ms), 1000)
    sign = "-" if t_ms < 0 else ""
    return f"{sign}{seconds}.{rest:03d}" if rest else f"{sign}{seconds}"


def format_duration_ms(duration_ms: int) -> str:
    """Write a duration as Prometheus does: ``1h30m``; years and weeks only when nothing remains."""
    if duration_ms < 0:
        return "-" + format_duration_ms(-duration_ms)
    if duration_ms == 0:
        return "0s"
    parts, rest = [], duration_ms
    for unit, size_ms, exact in _UNITS:
        if exact and rest % size_ms:
            continue
        count, rest = divmod(rest, size_ms)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


_UNITS = (
    ("y", 31_536_000_000, True),
    ("w", 604_800_000, True),
    ("d", 86_400_000, False),
    ("h", 3_600_000, False),
    ("m", 60_000, False),
    ("s", 1_000, False),
    ("ms", 1, False),
)


def _laid_out(value: float, low: int, high: int) -> str:
    """Lay out the shortest digits: with an exponent when the decimal exponent is < low or >= high."""
    if value != value:
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    mantissa, _, exponent_text = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    exponent = int(exponent_text or 0) + len(whole) - 1 - (len(whole + fraction) - len((whole + fraction).lstrip("0")))
    digits = digits.rstrip("0")
    sign = "-" if math.copysign(1, value) < 0 else ""
    if not digits:
        return sign + "0"
    if exponent < low or exponent >= high:
        point = f"{digits[0]}.{digits[1:]}" if len(digits) > 1 else digits
        return f"{sign}{point}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    if len(digits) <= exponent + 1:
        return sign + digits + "0" * (exponent + 1 - len(digits))
    return f"{sign}{digits[: exponent + 1]}.{digits[exponent + 1 :]}"
