"""Ask a backend for FACTS and report: the one place of this package that waits."""

from __future__ import annotations

import asyncio

from agentgauge.backends.backend import Backend
from agentgauge.errors import ConfigError
from agentgauge.why.answer import Answer
from agentgauge.why.queries import FACTS, fill
from agentgauge.why.report import report

DEFAULT_WINDOW_MS = 3_600_000
DEFAULT_K = 2.0


def queries_for(agent: str, window_ms: int) -> dict[str, str]:
    """Return fact id -> PromQL, for one agent (all when empty)."""
    return {fact.id: fill(fact, agent, window_ms) for fact in FACTS.values()}


async def ask(
    backend: Backend,
    agent: str = "",
    window_ms: int = DEFAULT_WINDOW_MS,
    k: float = DEFAULT_K,
    t_ms: int | None = None,
    timeout_s: float | None = None,
) -> Answer:
    """Return where the time goes, over the window that ends at ``t_ms`` (now when None).

    Raises:
        ConfigError: ``k`` is no number above 1.
        QueryError: the backend cannot answer.
        BackendError: it does not answer, or not well.
    """
    if not 1 < k < float("inf"):
        raise ConfigError(f"k, how many times faster, must be above 1, as 2 is, or 1000 for all but gone: not {k:g}")
    queries = queries_for(agent, window_ms)
    results = await asyncio.gather(*(backend.query(expr, t_ms, timeout_s=timeout_s) for expr in queries.values()))
    answers = {fact_id: result.steps for fact_id, result in zip(queries, results, strict=True)}
    return report(answers, agent, window_ms, k, queries)
