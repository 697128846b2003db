"""``agentgauge buckets suggest``: bounds that fit what was observed, and the lines of configuration that set them."""

from __future__ import annotations

import asyncio
import json
import math
import re

import click

from agentgauge.backends.backend import Backend
from agentgauge.backends.url import backend_from_url
from agentgauge.cli.source import address, with_next_step
from agentgauge.errors import AgentgaugeError, BackendError, ConfigError
from agentgauge.model.metrics import METRICS
from agentgauge.record.settings import load_settings, nearest
from agentgauge.server.config import parse_duration_ms
from agentgauge.view.ladder import Ladder, ladder_from_counts, toml_line

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*$")


@click.group()
def command() -> None:
    """Look at the bucket bounds of histograms."""


@command.command()
@click.option(
    "--last", default="7d", show_default=True, metavar="DURATION", help="Look at what was observed this long."
)
@click.option("--metric", metavar="NAME", help="One histogram; default: each of ours that was observed.")
@click.option("--url", metavar="URL", help="Ask this Prometheus-compatible server; user:password@ may be in it.")
@click.option("--db", metavar="FILE", help="Ask a data file, read only; a server may be writing to it.")
@click.option("--server", is_flag=True, help="Ask the local server, the default; AGENTGAUGE_LISTEN says where.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def suggest(last: str, metric: str | None, url: str | None, db: str | None, server: bool, as_json: bool) -> int:
    """Compute better bounds from what was observed and print the lines of configuration that set them."""
    last_ms = parse_duration_ms(last, "--last")
    histograms = {name: row for name, row in METRICS.items() if row.type == "histogram"}
    if metric is not None and _METRIC.match(metric) is None:
        raise ConfigError(f"--metric {metric!r} is no metric name; {nearest(metric, histograms)}")
    names = [metric] if metric else [name for name in histograms if name.startswith("agent_")]
    try:
        ladders = asyncio.run(_ladders(address(url, db, server), names, last_ms))
    except BackendError as error:
        raise AgentgaugeError(with_next_step(error, url)) from None
    if as_json:
        print(json.dumps([_json(ladder) for ladder in ladders], indent=2))
    elif not ladders:
        known = f"; {nearest(metric, histograms)}" if metric and metric not in histograms else ""
        print(f"Nothing was observed in the last {last}{known or '.'}")
    else:
        print(report(ladders, last))
    return 0


def report(ladders: list[Ladder], last: str) -> str:
    """Return what to change and why, as TOML that can be pasted."""
    changed = [ladder for ladder in ladders if ladder.reasons]
    lines = [f"# {len(ladders)} histograms observed in the last {last}, {len(changed)} of them want other bounds"]
    if changed:
        lines.append("[tool.agentgauge.buckets]    # in agentgauge.toml: [buckets]")
    for ladder in changed:
        lines += [f"# {reason}" for reason in ladder.reasons] + [toml_line(ladder)]
    return "\n".join(lines)


async def _ladders(where: str, names: list[str], last_ms: int) -> list[Ladder]:
    objectives = [float(seconds) for seconds in load_settings()["slo"].values()]
    backend = backend_from_url(where)
    found = []
    try:
        for name in names:
            window = f"{name}_bucket[{last_ms}ms]"
            counts = await _counts(backend, f"sum by (le) (max_over_time({window}) - min_over_time({window}))")
            if not any(counts.values()):
                # Scraped once, or nothing since: what it had counted by then is all there is.
                counts = await _counts(backend, f"sum by (le) (max_over_time({window}))")
            keep = objectives if name == "agent_task_duration_seconds" else ()
            ladder = ladder_from_counts(name, counts, keep=keep)
            if ladder is not None:
                found.append(ladder)
    finally:
        await backend.close()
    return found


async def _counts(backend: Backend, query: str) -> dict[float, float]:
    """Return the cumulative counts by upper bound."""
    result = await backend.query(query)
    rows = zip(result.steps.labels, result.steps.values, strict=True)
    found = {_bound(dict(labels).get("le", "")): float(values[-1]) for labels, values in rows}
    return {bound: count for bound, count in found.items() if bound is not None}


def _bound(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _json(ladder: Ladder) -> dict[str, object]:
    return {
        "metric": ladder.metric,
        "observed": ladder.n_observed if math.isfinite(ladder.n_observed) else None,
        "overflow_ratio": ladder.overflow_ratio,
        "reasons": ladder.reasons,
        "bounds": ladder.bounds,
        "suggested": ladder.proposed,
        "line": toml_line(ladder) if ladder.reasons else "",
    }
