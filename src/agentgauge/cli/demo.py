"""``agentgauge demo``: agents at work and the page that shows them, from one command."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from agentgauge.demo.run import DemoConfig, run_demo
from agentgauge.demo.summary import AgentSummary
from agentgauge.server.config import parse_duration_ms


@click.command()
@click.option("--for", "duration", metavar="DURATION", help="End by itself after this long, for example 30s.")
@click.option("--listen", default="", metavar="HOST:PORT", help="Where to show; default: port 9095 or a free one.")
@click.option("--ollama", default="", metavar="URL", help="Use a real Ollama, for example http://127.0.0.1:11434.")
@click.option("--model", default="", help="The model to use; default: the first there is.")
@click.option("--preset", default="rtx4090-8b", show_default=True, help="What the simulated model runs on.")
@click.option("--parallel", default=2, show_default=True, type=click.IntRange(1), help="Its slots.")
@click.option("--speed", default=4.0, show_default=True, type=click.FloatRange(0.01), help="How much faster than life.")
@click.option("--seed", default=1, show_default=True, help="What happens, happens again under the same seed.")
@click.option("--db", type=click.Path(dir_okay=False, path_type=Path), help="Keep the data in this file.")
@click.option("--diary", type=click.Path(dir_okay=False, path_type=Path), help="Write the agents' own log here.")
@click.option("--json", "as_json", is_flag=True, help="Print the closing summary as JSON.")
def command(duration: str | None, as_json: bool, **settings: object) -> int:
    """Run a crew of small real agents on a simulated model, and show them.

    Four agents with real tools, one of them with a sub-agent, one that loops too much. Ctrl-C ends everything.
    """
    duration_s = parse_duration_ms(duration, "--for") / 1000 if duration else None
    errors = Console(stderr=True)
    config = DemoConfig(duration_s=duration_s, **settings)  # type: ignore[arg-type]  # click has checked each option
    summary = asyncio.run(run_demo(config, lambda line: errors.print(line, highlight=False)))
    if as_json:
        click.echo(json.dumps([line.as_json() for line in summary], indent=2))
    else:
        print_summary(summary)
    return 0


def print_summary(summary: list[AgentSummary]) -> None:
    """Print what each agent did, as a table."""
    if not summary:
        click.echo("No task has finished yet; let it run a little longer: agentgauge demo --for 30s")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("agent")
    for title in ("tasks", "failed", "task p50", "task p95", "LLM p95", "tokens"):
        table.add_column(title, justify="right")
    table.add_column("top tools")
    for line in summary:
        table.add_row(
            line.agent,
            _number(line.n_tasks, "{:.0f}"),
            _number(line.error_share, "{:.1%}"),
            _number(line.task_p50_s, "{:.2f} s"),
            _number(line.task_p95_s, "{:.2f} s"),
            _number(line.llm_p95_s, "{:.2f} s"),
            _number(line.n_tokens, "{:,.0f}"),
            ", ".join(line.top_tools) or "–",
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)
