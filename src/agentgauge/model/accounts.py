"""What a finished task adds besides its span: where its time went, and what became of its tokens.

The operation side fills it (``record/timeline.py`` walks the tree), ``record/recorder.py`` adds it to the ledger in
the same critical section as the task's duration, so that every scrape sees the two agree.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

PathKey: TypeAlias = tuple[str, str]
"""(component, name), as the path table of the time accounting has them; ``("own", "")`` is the task's own code."""

FateKey: TypeAlias = tuple[str, str, str]
"""(model, token_type, fate)."""


@dataclass(frozen=True, slots=True)
class TaskAccounts:
    """The accounts of one finished task; integers only, nanoseconds and counts.

    ``path_ns`` sums to the duration of a root task exactly; it is empty for a sub-agent.
    """

    path_ns: Mapping[PathKey, int] = field(default_factory=dict)
    path_calls: Mapping[PathKey, int] = field(default_factory=dict)
    solo_ns: Mapping[PathKey, int] = field(default_factory=dict)
    detached_ns: int = 0
    doubts: Collection[str] = ()
    fates: Mapping[FateKey, int] = field(default_factory=dict)
    repeated: Mapping[PathKey, int] = field(default_factory=dict)
    slo: Literal["met", "missed"] = "met"
