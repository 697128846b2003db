"""Go's way of writing JSON and times, which is what Ollama's clients see.

Go's ``encoding/json`` writes struct order, no spaces, and escapes ``<``, ``>`` and ``&``; ``time.Time`` is RFC 3339
with up to nine fraction digits, trailing zeros cut.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any

_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_TABLE = str.maketrans(_ESCAPES)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def go_json(value: object) -> bytes:
    """Return JSON bytes as Go's encoder writes them, without a final newline."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.translate(_TABLE).encode("utf-8", "replace")


def go_json_sorted(value: object) -> bytes:
    """Return JSON bytes of a Go map: keys in alphabetical order at every depth."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.translate(_TABLE).encode("utf-8", "replace")


def without_zeros(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Drop the entries that Go's ``omitempty`` drops: zero, empty, false and null."""
    return {key: value for key, value in fields.items() if value not in (0, "", None, [], {})}


def rfc3339(wall_ns: int, zone: tzinfo | None = timezone.utc) -> str:
    """Return a time as Go's RFC3339Nano, in this zone; the machine's own when None."""
    seconds, nanoseconds = divmod(wall_ns, 1_000_000_000)
    moment = (_EPOCH + timedelta(seconds=seconds)).astimezone(zone)
    fraction = f".{nanoseconds:09d}".rstrip("0").rstrip(".")
    offset = moment.strftime("%z")
    suffix = "Z" if offset in {"+0000", "-0000"} else f"{offset[:3]}:{offset[3:5]}"
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}{suffix}"


def http_date(wall_ns: int) -> str:
    """Return a time as the ``Date`` header writes it."""
    moment = _EPOCH + timedelta(seconds=wall_ns // 1_000_000_000)
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[moment.weekday()]
    month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[moment.month - 1]
    return f"{day}, {moment:%d} {month} {moment:%Y %H:%M:%S} GMT"


def go_duration(nanoseconds: int) -> str:
    """Return a duration as Go prints it: ``893.156036ms``, ``1m2.5s``, ``42.1µs``."""
    if nanoseconds < 1_000:
        return f"{nanoseconds}ns"
    if nanoseconds < 1_000_000:
        return f"{_trimmed(nanoseconds, 1_000)}µs"
    if nanoseconds < 1_000_000_000:
        return f"{_trimmed(nanoseconds, 1_000_000)}ms"
    minutes, rest = divmod(nanoseconds, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h" if hours else ""
    text += f"{minutes}m" if hours or minutes else ""
    return text + f"{_trimmed(rest, 1_000_000_000)}s"


def _trimmed(amount: int, unit: int) -> str:
    whole, part = divmod(amount, unit)
    digits = len(str(unit)) - 1
    return f"{whole}.{part:0{digits}d}".rstrip("0").rstrip(".")


_UNITS_NS = {
    "ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000,
}  # fmt: skip


def ns_from_go_duration(text: str) -> int:
    """Return the nanoseconds of a Go duration such as ``5m``, ``-1s`` or ``1h30m``; ValueError with Go's words."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    total = 0.0
    while rest:
        number = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        rest = rest[len(number) :]
        unit = rest[: len(rest) - len(rest.lstrip("nuµmsh"))]
        unit = unit if unit in _UNITS_NS else unit[:2] if unit[:2] in _UNITS_NS else unit[:1]
        if not number.strip(".") or unit not in _UNITS_NS:
            message = f'time: invalid duration "{text}"'
            raise ValueError(message)
        rest = rest[len(unit) :]
        total += float(number) * _UNITS_NS[unit]
    if not text or text in {"-", "+"}:
        message = f'time: invalid duration "{text}"'
        raise ValueError(message)
    return sign * round(total)
