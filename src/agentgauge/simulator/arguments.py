"""Plausible values for a JSON schema: what a model would fill in, read from the conversation and the descriptions."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_PATH = re.compile(r"(?<![\w/])/[a-z][\w/.-]*")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?")
_TABLE = re.compile(r"(\w+)\s*\(\s*(\w+(?:\s*,\s*\w+)+)\s*\)")
_MAX_DEPTH = 6
_MAX_TURNS = 3
_MAX_NESTING = 40


@dataclass(frozen=True, slots=True)
class Hints:
    """Where values come from: what the user asked, what tools said, oldest first, and a seeded source of choice."""

    question: str
    results: Sequence[str]
    rng: random.Random


def arguments_for(function: Mapping[str, Any], hints: Hints) -> dict[str, Any]:
    """Return arguments for a function's ``parameters``: all required ones, and optional ones now and then."""
    schema = function.get("parameters") or {}
    about = str(function.get("description") or "")
    value = _object(_inlined(schema, schema), hints, about, 0)
    return value if isinstance(value, dict) else {}


def json_for(wanted: Any, hints: Hints) -> str:
    """Return JSON text for ``format``: a schema, or "json" for any object."""
    if isinstance(wanted, Mapping):
        return json.dumps(_value("value", _inlined(wanted, wanted), hints, "", 0), ensure_ascii=False)
    return json.dumps({"answer": " ".join(hints.question.split()[:12]) or "yes", "sure": True}, ensure_ascii=False)


def _inlined(part: Any, root: Mapping[str, Any], turns: int = 0, nesting: int = 0) -> Any:
    """Return a schema with its local references in place; what refers to itself ends after a few turns."""
    if nesting > _MAX_NESTING:
        return {}
    if isinstance(part, list):
        return [_inlined(one, root, turns, nesting + 1) for one in part]
    if not isinstance(part, Mapping):
        return part
    reference = part.get("$ref")
    if isinstance(reference, str):
        beside = {key: value for key, value in part.items() if key != "$ref"}
        target = {} if turns >= _MAX_TURNS else _target(reference, root)
        return _inlined({**target, **beside}, root, turns + 1, nesting + 1)
    return {key: _inlined(value, root, turns, nesting + 1) for key, value in part.items() if key != "$defs"}


def _target(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what ``#/$defs/Name`` points at; nothing where it leads nowhere."""
    found: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _object(schema: Mapping[str, Any], hints: Hints, about: str, depth: int) -> dict[str, Any]:
    required = set(schema.get("required") or ())
    properties = schema.get("properties") or {}
    return {
        name: _value(name, part if isinstance(part, Mapping) else {}, hints, about, depth + 1)
        for name, part in properties.items()
        if name in required or not required or hints.rng.random() < 0.3
    }


def _value(name: str, schema: Mapping[str, Any], hints: Hints, about: str, depth: int) -> Any:
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return _mentioned(schema["enum"], hints)
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key) and depth < _MAX_DEPTH:
            return _value(name, schema[key][0], hints, about, depth + 1)
    kind = schema.get("type") or ("object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    if kind == "object":
        return _object(schema, hints, about, depth) if depth < _MAX_DEPTH else {}
    if kind == "array":
        n = min(max(1, int(schema.get("minItems", 1))), 5)
        return (
            [_value(name, schema.get("items") or {}, hints, about, depth + 1) for _ in range(n)]
            if depth < _MAX_DEPTH
            else []
        )
    if kind in {"integer", "number"}:
        return _number(schema, hints, whole=kind == "integer")
    if kind == "boolean":
        return hints.rng.random() < 0.5
    return None if kind == "null" else _string(name, schema, hints, about)


def _mentioned(choices: Sequence[Any], hints: Hints) -> Any:
    said = hints.question.lower()
    return next((choice for choice in choices if str(choice).lower() in said), hints.rng.choice(list(choices)))


def _number(schema: Mapping[str, Any], hints: Hints, *, whole: bool) -> float:
    low, high = float(schema.get("minimum", 1)), float(schema.get("maximum", 100))
    said = [float(text) for text in _NUMBER.findall(hints.question)]
    value = next((x for x in said if low <= x <= high), hints.rng.uniform(low, min(high, low + 9)))
    return int(value) if whole else round(value, 2)


def _string(name: str, schema: Mapping[str, Any], hints: Hints, about: str) -> str:
    described = f"{schema.get('description') or ''} {about}"
    word = name.lower()
    if word in {"expression", "formula", "calculation", "expr"}:
        return _expression(hints)
    if "sql" in word or "sql" in described.lower().split():
        return _sql(described, hints)
    if "path" in word or "url" in word or "page" in word:
        return _path(described, hints, url="url" in word)
    if word in {"city", "location", "place", "country"}:
        return _proper_noun(hints) or hints.rng.choice(["Vienna", "Tokyo", "Lyon"])
    if word in {"date", "day"}:
        return f"2026-{hints.rng.randint(1, 12):02d}-{hints.rng.randint(1, 28):02d}"
    if word in {"text", "content", "document", "passage"} and hints.results:
        return hints.results[-1][:600]
    if word in {"query", "question", "q", "search", "keywords", "prompt"}:
        return _keywords(hints)
    return " ".join(hints.question.split()[:12]) or "something"


def _keywords(hints: Hints) -> str:
    """Return the question's words, from the second search on in another order, as one who looks again."""
    words = re.findall(r"\w+", hints.question) or ["anything"]
    shift = len(hints.results) % len(words)
    return " ".join(words[shift:] + words[:shift])


def _expression(hints: Hints) -> str:
    """Return arithmetic over the numbers that the last tool result, else the question, has."""
    for text in (*reversed(hints.results), hints.question):
        numbers = _NUMBER.findall(text)
        if len(numbers) > 1:
            return " + ".join(numbers[:4])
        if numbers:
            return f"{numbers[0]} * {hints.rng.randint(2, 9)}"
    a, b, c = (hints.rng.randint(2, 99) for _ in range(3))
    return f"{a} * ({b} + {c})"


def _sql(described: str, hints: Hints) -> str:
    """Return a SELECT over the table that a description names as ``table(column, column)``."""
    match = _TABLE.search(described)
    if match is None:
        return "SELECT 1"
    table, columns = match[1], [column.strip() for column in match[2].split(",")]
    amount = columns[-1]
    said = hints.question.lower()
    grouped = next((column for column in columns[1:-1] if column in said), columns[1] if len(columns) > 2 else "")
    function = "AVG" if re.search(r"average|mean", said) else "COUNT" if "most" in said or "many" in said else "SUM"
    where = ""
    if grouped and (code := re.search(r"\b[A-Z]{2}\b", hints.question)):
        where = f" WHERE {columns[1]} = '{code[0]}'"
    shown = f"{grouped}, {function}({amount})" if grouped else f"{function}({amount})"
    tail = f" GROUP BY {grouped} ORDER BY 2 DESC" if grouped else ""
    return f"SELECT {shown} FROM {table}{where}{tail}"


def _path(described: str, hints: Hints, *, url: bool) -> str:
    asked = re.findall(r"https?://\S+", hints.question) if url else _PATH.findall(hints.question)
    if asked:
        return str(asked[0]).rstrip("?.,!")
    offered: list[str] = _PATH.findall(described)
    words = hints.question.lower()
    fitting = [path for path in offered if path.rstrip("/").rpartition("/")[2] in words]
    if fitting or offered:
        return str(hints.rng.choice(fitting or offered))
    return "http://127.0.0.1/" if url else "/"


def _proper_noun(hints: Hints) -> str:
    words = re.findall(r"(?<=\s)[A-Z][a-zà-ü]+", hints.question)
    lower = re.search(r"\bin (\w+)", hints.question)
    return words[-1] if words else lower[1].capitalize() if lower else ""
