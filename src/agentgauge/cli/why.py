"""``agentgauge why``: where the time of tasks goes, and what making a part faster would save."""

from __future__ import annotations

import asyncio
import json
import sys

import click
from rich.console import Console

from agentgauge.backends.url import backend_from_url
from agentgauge.cli.explaining import print_answer, print_promql
from agentgauge.cli.source import address, with_next_step
from agentgauge.errors import AgentgaugeError, BackendError
from agentgauge.model.clock import SystemClock
from agentgauge.server.config import parse_duration_ms
from agentgauge.why.answer import Answer, answer_json
from agentgauge.why.ask import ask, queries_for


@click.command()
@click.option("--agent", default="", metavar="NAME", help="Only this agent; default: all, the busiest first.")
@click.option("--last", default="1h", show_default=True, metavar="DURATION", help="Tasks finished within this time.")
@click.option("--k", default=2.0, show_default=True, type=float, metavar="TIMES", help="How many times faster.")
@click.option("--url", metavar="URL", help="Ask this Prometheus-compatible server; user:password@ may be in it.")
@click.option("--db", metavar="FILE", help="Ask a data file, read only; a server may be writing to it.")
@click.option("--server", is_flag=True, help="Ask the local server, the default; AGENTGAUGE_LISTEN says where.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole answer as JSON.")
@click.option("--show-promql", is_flag=True, help="Print the queries behind the numbers, and ask nothing.")
@click.option("--timeout", default="2m", show_default=True, metavar="DURATION", help="Give up after this long.")
def command(
    agent: str,
    last: str,
    k: float,
    url: str | None,
    db: str | None,
    server: bool,
    as_json: bool,
    show_promql: bool,
    timeout: str,
) -> int:
    """Say where the time of tasks goes, what to fix first and what that would save.

    \b
    agentgauge why
    agentgauge why --agent researcher --last 6h --k 3
    agentgauge why --url http://127.0.0.1:9090 --json
    """  # noqa: D301 - click's mark for lines to keep is the character, not the text
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    window_ms = parse_duration_ms(last, "--last")
    if show_promql:
        print_promql(console, queries_for(agent, window_ms))
        return 0
    try:
        answer = asyncio.run(
            _ask(address(url, db, server), agent, window_ms, k, parse_duration_ms(timeout, "--timeout") / 1000)
        )
    except BackendError as error:
        raise AgentgaugeError(with_next_step(error, url)) from None
    if as_json:
        click.echo(json.dumps(answer_json(answer), indent=2))
    else:
        print_answer(console, answer)
    return 0 if answer.missing is None else 1


async def _ask(where: str, agent: str, window_ms: int, k: float, timeout_s: float) -> Answer:
    backend = backend_from_url(where)
    try:
        return await ask(backend, agent, window_ms, k, SystemClock.now_ms(), timeout_s)
    finally:
        await backend.close()
