"""What the ``#`` lines of an exposition say: type, help and unit of each metric family. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from agentgauge.errors import ParseError
from agentgauge.model.sample import MetricInfo
from agentgauge.scrape.line import parse_quotable_name

_COMMENT = re.compile(rb"[ \t]*#[ \t]+(HELP|TYPE|UNIT)[ \t]+(.*)$", re.DOTALL)
_TYPES = {
    "counter": "counter",
    "gauge": "gauge",
    "gaugehistogram": "gaugehistogram",
    "histogram": "histogram",
    "info": "info",
    "stateset": "stateset",
    "summary": "summary",
    "unknown": "unknown",
    "untyped": "unknown",
}


def types_from_comments(comments: Iterable[bytes]) -> dict[str, str]:
    """Return the type of each metric family that a TYPE line names."""
    return {name: info.type for name, info in infos_from_comments(comments).items() if info.type}


def infos_from_comments(comments: Iterable[bytes]) -> dict[str, MetricInfo]:
    """Return the description of each metric family; what no line says is empty.

    Raises:
        ParseError: a type that no format knows, or a name that is not UTF-8; without a line number.
    """
    parts: dict[str, dict[str, str]] = {}
    for comment in comments:
        word, name, rest = parse_comment(comment)
        if word:
            parts.setdefault(name, {})[word] = rest
    return {
        name: MetricInfo(found.get("TYPE", ""), found.get("HELP", ""), found.get("UNIT", ""))
        for name, found in parts.items()
    }


def parse_comment(comment: bytes) -> tuple[str, str, str]:
    """Split a comment into its word, metric name and text; the word is empty for one that describes nothing.

    Raises:
        ParseError: a type that no format knows, or bytes that are not UTF-8; without a line number.
    """
    match = _COMMENT.match(comment)
    if match is None:
        return "", "", ""
    word = match[1].decode()
    name, rest = parse_quotable_name(match[2].replace(b"\t", b" ", 1))
    try:
        text = rest.decode().strip(" \t")
    except UnicodeDecodeError:
        raise ParseError(f"{word} of {name!r} holds bytes that are not UTF-8") from None
    if word == "TYPE":
        if text not in _TYPES:
            raise ParseError(f"invalid metric type {text[:80]!r} of {name!r}")
        text = _TYPES[text]
    elif word == "HELP" and "\\" in text:
        text = re.sub(r'\\([\\n"])', lambda found: "\n" if found[1] == "n" else found[1], text)
    return word, name, text
