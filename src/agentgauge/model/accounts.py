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

FateKey: TypeAlias = tuple[str, str, str]
"""(model, token_type, fate)."""


_NOTHING: Mapping[Any, int] = MappingProxyType({})


class TaskAccounts(NamedTuple):
    """The accounts of one finished task; integers only, nanoseconds and counts.

    ``path_ns`` sums to the duration of a root task exactly; it is empty for a sub-agent. ``path_calls`` has no phases:
    the calls they are parts of count.
    """

    path_ns: Mapping[PathKey, int] = _NOTHING
    path_calls: Mapping[PathKey, int] = _NOTHING
    solo_ns: Mapping[PathKey, int] = _NOTHING
    detached_ns: int = 0
    doubts: Collection[str] = ()
    fates: Mapping[FateKey, int] = _NOTHING
    repeated: Mapping[PathKey, int] = _NOTHING
    slo: Literal["met", "missed"] = "met"
