"""KINDS: what a setting's value may be, from TOML or an argument (``check``) and from the environment (``read``)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhdwy]))+$|\d+(?:\.\d+)?$")
_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


class NotOfKind(ValueError):
    """Report a value that is of another kind; the message shows it."""

    def __init__(self, value: object) -> None:
        super().__init__(f"{value!r}"[:200])


@dataclass(frozen=True, slots=True)
class Kind:
    """How a value is described, checked, read from text, and shown as a setting in TOML."""

    words: str
    check: Callable[[Any], Any]
    read: Callable[[str], Any]
    example: str


def _whole(value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise NotOfKind(value)
    return value


def _whole_from(text: str, least: int, most: int) -> int:
    try:
        value = int(text)
    except ValueError:
        raise NotOfKind(text) from None
    return _whole(value, least, most)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise NotOfKind(value)
    return float(value)


def _number_from(text: str) -> float:
    try:
        return _number(float(text))
    except ValueError:
        raise NotOfKind(text) from None


def _text(value: Any) -> str:
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        raise NotOfKind(value)
    return str(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise NotOfKind(value)
    return value


def _flag_from(text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise NotOfKind(text)
    return text.lower() in _TRUE


def _duration(value: Any) -> str:
    text = _text(value)
    if not _DURATION.match(text):
        raise NotOfKind(value)
    return text


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(item, str) for item in value):
        raise NotOfKind(value)
    return tuple(value)


def _table(value: Any, check: Callable[[Any], Any]) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise NotOfKind(value)
    return {name: check(item) for name, item in value.items()}


def _ladder(value: Any) -> tuple[float, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise NotOfKind(value)
    return tuple(_number(item) for item in value)


def _pairs(text: str, separator: str, read: Callable[[str], Any]) -> dict[str, Any]:
    table = {}
    for part in filter(str.strip, text.split(separator)):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise NotOfKind(part)
        table[name.strip()] = read(value.strip())
    return table


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


KINDS: dict[str, Kind] = {
    "count": Kind(
        "a whole number, 0 or more",
        lambda value: _whole(value, 0, 1 << 31),
        lambda text: _whole_from(text, 0, 1 << 31),
        "100",
    ),
    "counts": Kind(
        "a table of label = whole number",
        lambda value: _table(value, lambda item: _whole(item, 1, 1 << 31)),
        lambda text: _pairs(text, ",", lambda item: _whole_from(item, 1, 1 << 31)),
        "tool_name=500,model=20",
    ),
    "duration": Kind("a duration like 5s, 1h30m or 15d", _duration, _duration, "5s"),
    "flag": Kind("true or false", _flag, _flag_from, "true"),
    "ladders": Kind(
        "a table of metric = list of bounds",
        lambda value: _table(value, _ladder),
        lambda text: _pairs(text, ";", lambda item: _ladder([_number_from(part) for part in _parts(item)])),
        "'agent_llm_latency_seconds=0.5,1,2,5;agent_task_llm_calls=1,2,5'",
    ),
    "numbers": Kind(
        "a table of name = number",
        lambda value: _table(value, _number),
        lambda text: _pairs(text, ",", _number_from),
        "researcher=30,writer=60",
    ),
    "port": Kind(
        "a port, 0 to 65535",
        lambda value: _whole(value, 0, 65_535),
        lambda text: _whole_from(text, 0, 65_535),
        "8001",
    ),
    "seconds": Kind("a number of seconds, 0 or more", _number, _number_from, "2.5"),
    "text": Kind("text", _text, str, "127.0.0.1"),
    "texts": Kind("a list of texts", _texts, _parts, "host-a:8001,host-b:8001"),
}
"""Kind -> how to take it."""
