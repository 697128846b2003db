"""What seconds are charged to: how components belong together, for people and for arithmetic. Pure.

The recording side writes the same words (``record/node.py``); they are labels of METRICS, an API, so both sides know
them by contract.
"""

from __future__ import annotations

from typing import TypeAlias

Key: TypeAlias = tuple[str, str]
"""(component, name) as in the labels of ``agent_task_path_seconds_total``; ``("own", "")`` is the task's own code."""

OWN: Key = ("own", "")

PHASES = ("queue", "load", "prefill", "decode", "network")
"""Phases of an LLM call; ``name`` is the model."""

MODEL_PARTS = frozenset({*PHASES, "llm"})
"""Components whose seconds are a model's: they share the calls of the model."""

WAITS = frozenset({"client_wait", "queue", "wait"})
"""Time in line: it can vanish when what holds the line gets faster."""

AVOIDABLE = frozenset({"backoff", "retry"})
"""Time that would not be there if nothing failed."""


def called(key: Key) -> Key:
    """Return whose calls a component's seconds come from: phases come from the calls of their model."""
    component, name = key
    return ("llm", name) if component in MODEL_PARTS else key
