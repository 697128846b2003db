"""Planned queries, kept by their text: a dashboard asks the same ones again, seconds later.

A plan depends on the query's window only where ``start()``, ``end()``, ``range()`` or ``step()`` is folded into it;
texts with such a word are planned anew every time. Nodes are frozen, so threads may share them.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from agentgauge.model.labels import Matcher
from agentgauge.promql.nodes import Aggregate, Node, Window
from agentgauge.promql.plan import PlanOptions, plan
from agentgauge.promql.sharing import Family, families
from agentgauge.promql.tree import repeated_selectors

MAX_TEXTS = 512
MAX_TEXT_CHARS = 2_000

_KNOWS_WINDOW = re.compile(r"\b(?:start|end|range|step)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A planned query and what is found out about it once. See ``scope.Query`` for the fields."""

    node: Node
    repeated: frozenset[tuple[Matcher, ...]]
    families: Mapping[Aggregate, Family]


def prepared(node: Node) -> Prepared:
    """Look a planned query over."""
    return Prepared(node, repeated_selectors(node), families(node))


class Plans:
    """Text → planned query, least recently used out first. Thread-safe."""

    def __init__(self, options: PlanOptions) -> None:
        self._options = options
        self._kept: OrderedDict[str, Prepared] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, text: str, window: Window) -> Prepared:
        """Plan a query, or return its plan. Raises BadQuery, NotSupported."""
        with self._lock:
            known = self._kept.get(text)
            if known is not None:
                self._kept.move_to_end(text)
                return known
        made = prepared(plan(text, window, self._options))
        if len(text) <= MAX_TEXT_CHARS and not _KNOWS_WINDOW.search(text):
            with self._lock:
                self._kept[text] = made
                while len(self._kept) > MAX_TEXTS:
                    self._kept.popitem(last=False)
        return made
