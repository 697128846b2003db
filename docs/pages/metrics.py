"""The reference of all metrics, from METRICS."""

from __future__ import annotations

from pages.page import page

from agentgauge.model.metrics import LABEL_LIMITS, METRICS, OTHER, SERIES_LIMIT, Metric


def metrics_page() -> str:
    """Return the reference of all metrics as Markdown."""
    ours = [metric for metric in METRICS.values() if metric.name.startswith("agentgauge_")]
    users = [metric for metric in METRICS.values() if metric not in ours]
    limits = ", ".join(f"{label} {limit}" for label, limit in sorted(LABEL_LIMITS.items()))
    return page(
        "Metrics",
        "Made from the table `METRICS` in `model/metrics.py`. Names and labels are an API: within a major version none",
        "is renamed and none loses a label. A histogram has three names: `…_bucket`, `…_sum` and `…_count`.",
        "",
        "## What users measure",
        "",
        *_metrics_table(users),
        "",
        "## What the monitor says about itself",
        "",
        *_metrics_table(ours),
        "",
        "## Limits",
        "",
        f"Distinct label values per process: {limits}; {SERIES_LIMIT:,} series in all. What is one too many, or",
        f"looks unbounded (UUIDs, long digits, over 128 characters), becomes `{OTHER}` and is counted in",
        "`agentgauge_labels_folded_total`. See [bound labels and buckets](../how-to/bound-labels-and-buckets.md).",
        "",
        "## Buckets",
        "",
        *(f"- `{m.name}`: {' '.join(f'{b:g}' for b in m.buckets)}" for m in METRICS.values() if m.buckets),
    )


def _metrics_table(metrics: list[Metric]) -> list[str]:
    head = ["| metric | type | labels | meaning | OpenTelemetry |", "|---|---|---|---|---|"]
    return head + [
        f"| `{m.name}` | {m.type} | {', '.join(m.labels)} | {m.help} | {f'`{m.otel}`' if m.otel else ''} |"
        for m in metrics
    ]
