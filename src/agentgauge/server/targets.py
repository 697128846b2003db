"""The targets view: what is scraped, how it went, as ``/api/v1/targets`` and the page show it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from agentgauge.scrape.loop import TargetState

_NEVER = "0001-01-01T00:00:00Z"


def targets_json(states: Iterable[TargetState], interval_s: float, timeout_s: float) -> dict[str, Any]:
    """Return the data of ``/api/v1/targets`` in Prometheus' form; our own two keys come last."""
    return {
        "activeTargets": [_target(state, interval_s, timeout_s) for state in states],
        "droppedTargets": [],
        "droppedTargetCounts": {},
    }


def _target(state: TargetState, interval_s: float, timeout_s: float) -> dict[str, Any]:
    target = state.target
    return {
        "discoveredLabels": dict(target.discovered),
        "labels": dict(target.labels),
        "scrapePool": target.job,
        "scrapeUrl": target.url,
        "globalUrl": target.url,
        "lastError": state.last_error,
        "lastScrape": _rfc3339(state.last_scrape_ms),
        "lastScrapeDuration": state.last_duration_s,
        "health": state.health,
        "scrapeInterval": f"{interval_s:g}s",
        "scrapeTimeout": f"{timeout_s:g}s",
        "samples": state.last_n_samples,
        "source": target.source,
    }


def _rfc3339(t_ms: int) -> str:
    if not t_ms:
        return _NEVER
    return datetime.fromtimestamp(t_ms / 1000, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
