"""Backend: the query side, whoever answers it.

Everything in the product that asks a question asks it here: the page, ``agentgauge query``, the reports. Two makers:
``embedded`` (the database in this process) and ``http`` (Prometheus, Mimir, Thanos, VictoriaMetrics, agentgauge).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from agentgauge.model.labels import Labels
from agentgauge.model.sample import Exemplar, MetricInfo
from agentgauge.model.series import Result


class Backend(Protocol):
    """A place to send PromQL to. Times are ms since the epoch; raises ``QueryError`` or ``BackendError``."""

    async def query(
        self,
        expr: str,
        t_ms: int | None = None,
        *,
        timeout_s: float | None = None,
        lookback_ms: int | None = None,
    ) -> Result:
        """Evaluate at one time; now when ``t_ms`` is None."""

    async def query_range(
        self,
        expr: str,
        start_ms: int,
        end_ms: int,
        step_ms: int,
        *,
        timeout_s: float | None = None,
        lookback_ms: int | None = None,
    ) -> Result:
        """Evaluate from start to end, both included, by step."""

    async def series(
        self, selectors: Sequence[str], start_ms: int | None = None, end_ms: int | None = None, limit: int = 0
    ) -> list[Labels]:
        """Return the label sets that match any selector; ``limit`` 0 is none."""

    async def label_names(
        self,
        selectors: Sequence[str] = (),
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 0,
    ) -> list[str]:
        """Return the sorted label names."""

    async def label_values(
        self,
        name: str,
        selectors: Sequence[str] = (),
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 0,
    ) -> list[str]:
        """Return the sorted values of a label."""

    async def metadata(self, metric: str | None = None) -> Mapping[str, Sequence[MetricInfo]]:
        """Return what is known of each metric family."""

    async def exemplars(self, expr: str, start_ms: int, end_ms: int) -> list[Exemplar]:
        """Return the exemplars of the series that an expression selects."""

    async def close(self) -> None:
        """Let go of connections and threads."""
