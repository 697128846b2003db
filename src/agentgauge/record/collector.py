"""A snapshot as prometheus_client's metric families: the door through which the ledger joins a user's registry.

prometheus_client is imported on first use only: importing it costs more than all of agentgauge, and our own endpoint
(``record/render.py``) needs none of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

from agentgauge.model.metrics import METRICS, Metric
from agentgauge.record.snapshot import Exemplar, Family, Snapshot

if TYPE_CHECKING:
    from prometheus_client.core import Exemplar as ClientExemplar
    from prometheus_client.core import Metric as ClientMetric


def describe_metrics() -> Iterator[ClientMetric]:
    """Yield every metric of METRICS without samples."""
    for row in METRICS.values():
        yield _empty(row)


def metrics_from_snapshot(snapshot: Snapshot) -> Iterator[ClientMetric]:
    """Yield the metrics that have series; values are the floats nearest to the ledger's integers."""
    for family, size in zip(snapshot.families, snapshot.sizes, strict=True):
        if size:
            metric = _empty(family.metric)
            if family.bounds:
                _add_histograms(metric, family, size, snapshot)
            else:
                _add_numbers(metric, family, size, snapshot.values)
            yield metric


def _empty(row: Metric) -> ClientMetric:
    from prometheus_client.core import Metric as ClientMetric

    name = row.name[: -len("_total")] if row.type == "counter" else row.name
    return ClientMetric(name, row.help, row.type, "seconds" if name.endswith("_seconds") else "")


def _add_numbers(metric: ClientMetric, family: Family, size: int, values: list[int]) -> None:
    name, label_names, scale = family.metric.name, family.metric.labels, family.scale
    for labels, slot in zip(family.keys[:size], family.starts[:size], strict=True):
        metric.add_sample(name, dict(zip(label_names, labels, strict=True)), values[slot] / scale)


def _add_histograms(metric: ClientMetric, family: Family, size: int, snapshot: Snapshot) -> None:
    name, values = family.metric.name, snapshot.values
    bounds = family.bound_texts
    for labels, slot in zip(family.keys[:size], family.starts[:size], strict=True):
        pairs = dict(zip(family.metric.labels, labels, strict=True))
        counts = list(accumulate(values[slot + 1 : slot + family.width]))
        for i, (bound, count) in enumerate(zip(bounds, counts, strict=True)):
            bucket = slot + 1 + i
            exemplar = _exemplar(snapshot.exemplar(bucket), family.scale) if bucket in snapshot.observed else None
            metric.add_sample(f"{name}_bucket", {**pairs, "le": bound}, float(count), exemplar=exemplar)
        metric.add_sample(f"{name}_count", pairs, float(counts[-1]))
        metric.add_sample(f"{name}_sum", pairs, values[slot] / family.scale)


def _exemplar(exemplar: Exemplar, scale: int) -> ClientExemplar:
    from prometheus_client.core import Exemplar as ClientExemplar

    return ClientExemplar(exemplar.labels(), exemplar.value / scale, exemplar.t_ms / 1000)
