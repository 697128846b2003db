"""Values for JSON schemas, as pydantic and others write them."""

from __future__ import annotations

import json
import random
from typing import Any

from agentgauge.simulator.arguments import Hints, arguments_for, json_for

HINTS = Hints("how many are 7 apples", (), random.Random(1))


def test_references_are_followed() -> None:
    """A model within a model is an object with its own fields, in an answer's format as in a tool's parameters."""
    schema: dict[str, Any] = {
        "$defs": {"Price": {"type": "object", "properties": {"amount": {"type": "integer"}}, "required": ["amount"]}},
        "type": "object",
        "properties": {
            "price": {"$ref": "#/$defs/Price"},
            "all": {"type": "array", "items": {"$ref": "#/$defs/Price"}},
        },
        "required": ["price", "all"],
    }
    answer = json.loads(json_for(schema, HINTS))
    assert answer == {"price": {"amount": 7}, "all": [{"amount": 7}]}
    assert arguments_for({"parameters": schema}, HINTS) == answer


def test_a_schema_that_refers_to_itself_ends() -> None:
    """Recursion stops after a few turns; a reference to nowhere is any value."""
    tree = {
        "$defs": {
            "Tree": {"type": "object", "properties": {"left": {"$ref": "#/$defs/Tree"}, "n": {"$ref": "#/gone"}}}
        },
        "$ref": "#/$defs/Tree",
    }
    assert isinstance(json.loads(json_for(tree, HINTS)), dict)
    loop = {"$defs": {"A": {"$ref": "#/$defs/A"}}, "$ref": "#/$defs/A"}
    assert json.loads(json_for(loop, HINTS)) is not None
