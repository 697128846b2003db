"""Write the reference pages that are made from tables: ``./dev docs``. A test compares them with what is committed."""

from __future__ import annotations

from pathlib import Path

from agentgauge.model.metrics import LABEL_LIMITS, METRICS, OTHER, SERIES_LIMIT, Metric

REFERENCE = Path(__file__).resolve().parent / "reference"


def metrics_page() -> str:
    """Return the reference of all metrics as Markdown."""
    ours = [metric for metric in METRICS.values() if metric.name.startswith("agentgauge_")]
    users = [metric for metric in METRICS.values() if metric not in ours]
    limits = ", ".join(f"{label} {limit}" for label, limit in sorted(LABEL_LIMITS.items()))
    return "\n".join(
        [
            "# Metrics",
            "",
            "Made from the table `METRICS` in `model/metrics.py`. Names and labels are an API: within a major version",
            "none is renamed and none loses a label.",
            "",
            "## What users measure",
            "",
            *_table(users),
            "",
            "## What the monitor says about itself",
            "",
            *_table(ours),
            "",
            "## Limits",
            "",
            f"Distinct label values per process: {limits}; {SERIES_LIMIT:,} series in all. What is one too many, or",
            f"looks unbounded (UUIDs, long digits, over 128 characters), becomes `{OTHER}` and is counted in",
            "`agentgauge_labels_folded_total`.",
            "",
            "## Buckets",
            "",
            *(f"- `{m.name}`: {' '.join(f'{b:g}' for b in m.buckets)}" for m in METRICS.values() if m.buckets),
            "",
        ]
    )


def _table(metrics: list[Metric]) -> list[str]:
    head = ["| metric | type | labels | meaning | OpenTelemetry |", "|---|---|---|---|---|"]
    return head + [
        f"| `{m.name}` | {m.type} | {', '.join(m.labels)} | {m.help} | {f'`{m.otel}`' if m.otel else ''} |"
        for m in metrics
    ]


PAGES = {"metrics.md": metrics_page}
"""File name below docs/reference -> the function that writes it."""


def main() -> None:
    """Write all pages."""
    for name, write in PAGES.items():
        (REFERENCE / name).write_text(write(), encoding="utf-8")


if __name__ == "__main__":
    main()
