"""What a finished task adds besides its span: where its time went, and what became of its tokens.

The operation side fills it (``record/timeline.py`` walks the tree), ``record/recorder.py`` adds it to the ledger in
the same critical section as the task's duration, so that every scrape sees the two agree.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias

PathKey: TypeAlias = tuple[str, str]
"""(component, name), as the path table of the time accounting has them; ``("own", "")`` is the task's own code."""

PathPart: TypeAlias = tuple[int, int, int]
"""What one component has of a task: calls, nanoseconds on the critical path, nanoseconds in which only it was active.

A phase has no calls: the call it is a part of counts.
"""

FateKey: TypeAlias = tuple[str, str, str]
"""(model, token_type, fate)."""


_NOTHING: Mapping[Any, Any] = MappingProxyType({})


class TaskAccounts(NamedTuple):
    """The accounts of one finished task; integers only, nanoseconds and counts.

    What the parts have on the path sums to the duration of a root task exactly; a sub-agent has no parts.
    """

    parts: Mapping[PathKey, PathPart] = _NOTHING
    detached_ns: int = 0
    doubts: Collection[str] = ()
    fates: Mapping[FateKey, int] = _NOTHING
    repeated: Mapping[PathKey, int] = _NOTHING
    slo: Literal["met", "missed"] = "met"
