"""What a node needs to know to be evaluated: the steps, the query it belongs to, and what that query may still use."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from agentgauge.errors import ExecutionError
from agentgauge.model.labels import Matcher
from agentgauge.model.series import Times
from agentgauge.promql.annotations import Annotations
from agentgauge.promql.blocks import SampleBlock
from agentgauge.promql.memory import LabelMemory
from agentgauge.promql.nodes import Aggregate, At, AtEdge
from agentgauge.promql.sharing import Family
from agentgauge.promql.source import Source
from agentgauge.promql.values import Vector

_LEGACY_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Options:
    """How queries are evaluated. The defaults are Prometheus 3.14's.

    ``semantics="2.x"`` is for tests that compare with an installed Prometheus 2: closed windows and what goes with
    them (promql.md, trap 1). ``max_samples`` counts the cells a query holds at once.
    """

    lookback_ms: int = 300_000
    max_samples: int = 50_000_000
    experimental_functions: bool = False
    fill_modifiers: bool = False
    delayed_name_removal: bool = False
    semantics: Literal["3.x", "2.x"] = "3.x"
    default_subquery_step_ms: int = 60_000

    @property
    def closed(self) -> bool:
        """Tell whether windows include their left edge."""
        return self.semantics == "2.x"

    def allows_label(self, name: str) -> bool:
        """Tell whether a label may have this name: any UTF-8 that is not empty; in 2.x the old alphabet."""
        if self.semantics == "2.x":
            return _LEGACY_NAME.fullmatch(name) is not None
        return name != "" and not any("\ud800" <= char <= "\udfff" for char in name)


@dataclass(slots=True)
class Budget:
    """Counts the sample cells that a query holds; refuses the one too many before it is allocated."""

    limit: int
    held: int = 0
    peak: int = 0
    read: int = 0

    def hold(self, n_cells: int) -> None:
        """Take room for cells. Raises ExecutionError above the limit."""
        self.held += n_cells
        self.peak = max(self.peak, self.held)
        self.admit(0)

    def admit(self, n_cells: int) -> None:
        """Refuse cells that would not fit, before they are allocated. Raises ExecutionError."""
        if self.held + n_cells > self.limit:
            raise ExecutionError("query processing would load too many samples into memory in query execution")


@dataclass(frozen=True, slots=True)
class Folded:
    """A finished aggregation: what it gave, None when it must be taken another way; the metrics it was made from."""

    vector: Vector | None
    names: tuple[str, ...] = ()

    def copy(self) -> Folded:
        """Return the same for one more asker, who may write into it."""
        if self.vector is None:
            return self
        one = self.vector
        copied = Vector(one.labels, one.values.copy(), one.present.copy(), one.drop_name.copy(), one.ordered)
        return Folded(copied, self.names)


@dataclass(slots=True)
class Query:
    """One query under evaluation. ``start_ms`` and ``end_ms`` are those of the whole query: what ``@ start()`` means.

    ``repeated``: matchers that stand in the query more than once; their decoded blocks are kept in ``decoded``.
    ``families``: aggregations that are folded together; what was folded for another one's sake waits in ``folded``.
    """

    source: Source
    options: Options
    lookback_ms: int
    start_ms: int
    end_ms: int
    annotations: Annotations
    budget: Budget
    check: Callable[[], None]
    instant: bool
    repeated: frozenset[tuple[Matcher, ...]] = frozenset()
    decoded: dict[object, list[SampleBlock]] = field(default_factory=dict)
    families: Mapping[Aggregate, Family] = field(default_factory=dict)
    folded: dict[object, Folded] = field(default_factory=dict)
    memory: LabelMemory = field(default_factory=LabelMemory)

    def at_ms(self, at: At) -> int | None:
        """Resolve the argument of an ``@`` modifier."""
        if isinstance(at, AtEdge):
            return self.start_ms if at is AtEdge.START else self.end_ms
        return at


@dataclass(slots=True)
class Scope:
    """The steps an expression is evaluated at: those of the query, of a subquery, or the first one alone.

    Shapes: t_ms (K,) ascending.
    """

    query: Query
    t_ms: Times

    @property
    def n_steps(self) -> int:
        """Return K."""
        return len(self.t_ms)

    def ends_ms(self, offset_ms: int, at: At) -> Times:
        """Return the times (K,) at which a selector looks: the steps, or its ``@``, minus its offset."""
        pinned = self.query.at_ms(at)
        if pinned is None:
            return self.t_ms - offset_ms
        return np.full(self.n_steps, pinned - offset_ms, np.int64)

    def first_step(self) -> Scope:
        """Return the scope of the first step alone, for what does not vary with time."""
        return Scope(self.query, self.t_ms[:1])
