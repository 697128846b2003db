"""Parameters of the HTTP API: URL and form body to times, durations, limits.

Each error is the 400 that Prometheus gives, ``invalid parameter "<name>": …``.
Source: Prometheus web/api/v1/api.go (parseTime, parseDuration, parseLimitParam).
"""

from __future__ import annotations

import math
import re
from datetime import datetime, timezone
from urllib.parse import parse_qsl

from starlette.requests import Request

from agentgauge.errors import BadQuery
from agentgauge.promql.quote import go_quote
from agentgauge.promql.tokens import duration_ms_from_text

MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_FIELDS = 10_000
MAX_TIME_MS = 9_000_000_000_000_000
"""The far ends of time, ms: room to add any offset within an int64. Clients ask far beyond what can hold samples."""

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_EDGES = {"-292273086-05-16T16:47:06Z": -MAX_TIME_MS, "292277025-08-18T07:12:54.999999999Z": MAX_TIME_MS}
_MAX_DURATION_S = 2**63 / 1e9
_FORM = "application/x-www-form-urlencoded"


class Params:
    """What a request asks for; of a name in body and URL, the body's value comes first."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def text(self, name: str) -> str:
        """Return a parameter, the empty string when it is missing."""
        return self._values.get(name, [""])[0]

    def texts(self, name: str) -> list[str]:
        """Return all values of a parameter."""
        return self._values.get(name, [])

    def time_ms(self, name: str) -> int | None:
        """Return a time; None when it is missing. Raises BadQuery."""
        text = self.text(name)
        return time_ms_from_text(text, name) if text else None

    def time_range_ms(self) -> tuple[int | None, int | None]:
        """Return ``start`` and ``end``. Raises BadQuery when the end comes first."""
        start_ms, end_ms = self.time_ms("start"), self.time_ms("end")
        if start_ms is not None and end_ms is not None and end_ms < start_ms:
            raise invalid("end", "end timestamp must not be before start time")
        return start_ms, end_ms

    def duration_s(self, name: str) -> float | None:
        """Return a duration in seconds; None when it is missing. Raises BadQuery."""
        text = self.text(name)
        return duration_s_from_text(text, name) if text else None

    def limit(self, name: str = "limit") -> int:
        """Return a limit; 0, which is none, when it is missing. Raises BadQuery."""
        text = self.text(name)
        if not text:
            return 0
        if not re.fullmatch(r"[-+]?[0-9]{1,18}", text):
            raise invalid(name, f"strconv.Atoi: parsing {go_quote(text[:80])}: invalid syntax")
        if int(text) < 0:
            raise invalid(name, "limit must be non-negative")
        return int(text)


async def params_from_request(request: Request) -> Params:
    """Read URL and form body. Raises BadQuery for one that is too large or not a form."""
    pairs: list[tuple[str, str]] = []
    if request.method == "POST":
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY_BYTES:
                raise BadQuery(f"request body is larger than {MAX_BODY_BYTES // 1024 // 1024} MiB")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if body and kind in (_FORM, ""):
            pairs += _pairs(bytes(body))
    return Params(pairs + _pairs(request.scope["query_string"]))


def invalid(name: str, message: str) -> BadQuery:
    """Make the error for one parameter."""
    return BadQuery(f'invalid parameter "{name}": {message}')


def time_ms_from_text(text: str, name: str = "time") -> int:
    """Read float seconds or RFC 3339. Raises BadQuery."""
    if text in _EDGES:
        return _EDGES[text]
    t_ms = _float_ms(text)
    if t_ms is None:
        t_ms = _rfc3339_ms(text)
    if t_ms is None or not math.isfinite(t_ms):
        raise invalid(name, f"cannot parse {go_quote(text[:80])} to a valid timestamp")
    return max(-MAX_TIME_MS, min(MAX_TIME_MS, round(t_ms)))


def duration_s_from_text(text: str, name: str) -> float:
    """Read float seconds or ``1h30m``. Raises BadQuery."""
    try:
        seconds = float(text) if _is_float(text) else duration_ms_from_text(text) / 1000
    except (ValueError, BadQuery):
        raise invalid(name, f"cannot parse {go_quote(text[:80])} to a valid duration") from None
    if not abs(seconds) <= _MAX_DURATION_S:
        raise invalid(name, f"cannot parse {go_quote(text[:80])} to a valid duration. It overflows int64")
    return seconds


def _pairs(query: bytes) -> list[tuple[str, str]]:
    """Split a form; bytes that are not UTF-8 stay as surrogate escapes, so that the parser sees them."""
    try:
        text = query.decode("utf-8", "surrogateescape")
        return parse_qsl(text, keep_blank_values=True, errors="surrogateescape", max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise BadQuery(f"error parsing form values: {error}") from None


def _is_float(text: str) -> bool:
    return re.fullmatch(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?", text) is not None


def _float_ms(text: str) -> float | None:
    return float(text) * 1000 if _is_float(text) else None


def _rfc3339_ms(text: str) -> float | None:
    found = _RFC3339.fullmatch(text)
    if not found:
        return None
    date, clock, fraction, zone = found.groups()
    try:
        whole = datetime.fromisoformat(f"{date}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    except ValueError:
        return None
    seconds = (whole - datetime(1970, 1, 1, tzinfo=timezone.utc)).total_seconds()
    return seconds * 1000 + float(fraction or 0) * 1000
