"""Database: the store and the engine, joined.

The one place where the two meet: the engine asks the store through its ``Source`` protocol, the store's index reads
patterns with the engine's regexes. Selectors are PromQL text here; below, they are matchers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agentgauge.errors import BadQuery, ExecutionError, StoreError
from agentgauge.model.labels import Labels, Matcher
from agentgauge.model.sample import Exemplar, MetricInfo
from agentgauge.model.series import Result
from agentgauge.promql.engine import Engine, Options, no_check
from agentgauge.promql.nodes import Selector, Window
from agentgauge.promql.plan import plan
from agentgauge.promql.regex import compile_re2
from agentgauge.promql.tree import bare, selectors
from agentgauge.store.store import Store

ALL_TIME_MS = (-(1 << 62), 1 << 62)


class Database:
    """One file of metrics that answers PromQL. Thread-safe.

    Example:
        >>> with Database.in_memory() as database:
        ...     result = database.query("1 + 1", 0)
        >>> float(result.steps.values[0, 0])
        2.0
    """

    def __init__(self, store: Store, engine: Engine) -> None:
        """Join a store and an engine that reads from it."""
        self.store = store
        self.engine = engine

    @classmethod
    def open(cls, path: str | Path, *, options: Options | None = None, **settings: Any) -> Database:
        """Open a file; ``settings`` are those of ``Store.open``.

        Raises:
            StoreLocked: another process writes to it.
            StoreError: it cannot be opened.
        """
        store = Store.open(path, compile_regex=compile_re2, **settings)
        return cls(store, Engine(store, options))

    @classmethod
    def in_memory(cls, *, options: Options | None = None, **settings: Any) -> Database:
        """Make a database that is gone when it is closed; ``settings`` are those of ``Store.in_memory``."""
        store = Store.in_memory(compile_regex=compile_re2, **settings)
        return cls(store, Engine(store, options))

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def query(
        self, text: str, t_ms: int, *, lookback_ms: int | None = None, check: Callable[[], None] = no_check
    ) -> Result:
        """Evaluate PromQL at one time. Raises QueryError."""
        return self._with_warnings(lambda: self.engine.query(text, t_ms, lookback_ms=lookback_ms, check=check))

    def query_range(
        self,
        text: str,
        start_ms: int,
        end_ms: int,
        step_ms: int,
        *,
        lookback_ms: int | None = None,
        check: Callable[[], None] = no_check,
    ) -> Result:
        """Evaluate PromQL from start to end, both included, by step. Raises QueryError."""
        return self._with_warnings(
            lambda: self.engine.query_range(text, start_ms, end_ms, step_ms, lookback_ms=lookback_ms, check=check)
        )

    def series(
        self, selectors_: Sequence[str], start_ms: int | None = None, end_ms: int | None = None, limit: int = 0
    ) -> list[Labels]:
        """Return the sorted label sets that match any selector; ``limit`` 0 is none. Raises BadQuery."""
        return self.store.series(_matcher_sets(selectors_), *_window(start_ms, end_ms), limit)

    def label_names(
        self,
        selectors_: Sequence[str] = (),
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 0,
    ) -> list[str]:
        """Return the sorted label names. Raises BadQuery."""
        return self.store.label_names(_matcher_sets(selectors_), *_window(start_ms, end_ms), limit)

    def label_values(
        self,
        name: str,
        selectors_: Sequence[str] = (),
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 0,
    ) -> list[str]:
        """Return the sorted values of a label. Raises BadQuery."""
        return self.store.label_values(name, _matcher_sets(selectors_), *_window(start_ms, end_ms), limit)

    def metadata(self, metric: str | None = None) -> Mapping[str, Sequence[MetricInfo]]:
        """Return what is known of each metric family, or of one."""
        known = self.store.metadata()
        if metric is None:
            return known
        return {metric: known[metric]} if metric in known else {}

    def exemplars(self, text: str, start_ms: int, end_ms: int) -> list[Exemplar]:
        """Return the exemplars of the series that an expression selects. Raises BadQuery."""
        node = plan(text, Window(start_ms, end_ms))
        found: dict[Exemplar, None] = {}
        for selector in selectors(node):
            for exemplar in self.store.exemplars(selector.matchers, start_ms, end_ms):
                found[exemplar] = None
        return list(found)

    def close(self) -> None:
        """Close the store. Idempotent."""
        self.store.close()

    def _with_warnings(self, ask: Callable[[], Result]) -> Result:
        """Add what the store could not read to what the engine warns of."""
        self.store.take_warnings()
        try:
            result = ask()
        except StoreError as error:
            raise ExecutionError(f"the store cannot be read: {error}") from error
        unread = dict.fromkeys(self.store.take_warnings())
        return replace(result, warnings=(*result.warnings, *unread)) if unread else result


def _matcher_sets(texts: Sequence[str]) -> list[tuple[Matcher, ...]]:
    return [matchers_from_text(text) for text in texts]


def matchers_from_text(text: str) -> tuple[Matcher, ...]:
    """Read a selector such as ``up{job="a"}``.

    Raises:
        BadQuery: it is no PromQL, or not a selector.
    """
    node = bare(plan(text, Window(0, 0)))
    if not isinstance(node, Selector):
        raise BadQuery(f"expected a series selector, not {text!r}")
    return node.matchers


def _window(start_ms: int | None, end_ms: int | None) -> tuple[int, int]:
    return (
        ALL_TIME_MS[0] if start_ms is None else start_ms,
        ALL_TIME_MS[1] if end_ms is None else end_ms,
    )
