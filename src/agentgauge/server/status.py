"""What ``/api/v1/status/*`` says about the server itself. Pure."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from agentgauge.model.labels import METRIC_NAME, Labels, label_value

PROMQL_VERSION = "3.14.0"
"""The Prometheus whose PromQL and API this is: what clients read the version for."""


@dataclass(frozen=True, slots=True)
class Status:
    """Facts that only the composition root knows."""

    start_ms: int = 0
    retention: str = ""
    flags: Mapping[str, str] = field(default_factory=dict)
    config: str = ""
    revision: str = ""
    problems: Callable[[], Sequence[str]] = tuple
    """What is wrong with the store now, each in a sentence."""


def buildinfo_json(status: Status) -> dict[str, str]:
    """Return the version clients adapt to; no ``features``, with which Grafana would see a Mimir."""
    return {
        "version": PROMQL_VERSION,
        "revision": status.revision,
        "branch": "",
        "buildUser": "agentgauge",
        "buildDate": "",
        "goVersion": "",
    }


def runtimeinfo_json(status: Status) -> dict[str, Any]:
    """Return what the process is like right now."""
    problems = list(status.problems())
    started = datetime.fromtimestamp(status.start_ms / 1000, timezone.utc).isoformat().replace("+00:00", "Z")
    return {
        "startTime": started,
        "CWD": "",
        "reloadConfigSuccess": True,
        "lastConfigTime": started,
        "corruptionCount": 0,
        "goroutineCount": threading.active_count(),
        "GOMAXPROCS": os.cpu_count() or 1,
        "GOMEMLIMIT": 0,
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": status.retention,
        "storageProblems": problems,
    }


def tsdb_json(series: Iterable[Labels], limit: int) -> dict[str, Any]:
    """Count series by name, labels by value: where cardinality comes from; the largest ``limit`` of each."""
    names, pairs = Counter[str](), Counter[str]()
    values: dict[str, set[str]] = {}
    n_series = 0
    for labels in series:
        n_series += 1
        names[label_value(labels, METRIC_NAME)] += 1
        for name, value in labels:
            pairs[f"{name}={value}"] += 1
            values.setdefault(name, set()).add(value)
    distinct = Counter({name: len(found) for name, found in values.items()})
    sizes = Counter({name: sum(map(len, found)) for name, found in values.items()})
    return {
        "headStats": {"numSeries": n_series, "numLabelPairs": len(pairs)},
        "seriesCountByMetricName": _largest(names, limit),
        "labelValueCountByLabelName": _largest(distinct, limit),
        "memoryInBytesByLabelName": _largest(sizes, limit),
        "seriesCountByLabelValuePair": _largest(pairs, limit),
    }


def _largest(counts: Counter[str], limit: int) -> list[dict[str, Any]]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [{"name": name, "value": value} for name, value in ordered[:limit]]
