"""``agentgauge query``: PromQL from a server, a file or any Prometheus-compatible URL; a table, a plot or JSON."""

from __future__ import annotations

import asyncio
import re
import sys
from datetime import datetime
from difflib import get_close_matches

import click
from rich.console import Console

from agentgauge.backends.url import backend_from_url
from agentgauge.cli.drawing import print_instant, print_range
from agentgauge.cli.source import address, with_next_step
from agentgauge.errors import AgentgaugeError, BackendError, BadQuery, ConfigError
from agentgauge.model.clock import SystemClock
from agentgauge.model.metrics import METRICS
from agentgauge.model.series import Result
from agentgauge.promql.engine import Options
from agentgauge.promql.features import switched_on
from agentgauge.record.settings import load_settings
from agentgauge.server.config import parse_duration_ms, split_list
from agentgauge.server.json import result_data, success

_POSITION = re.compile(r"(\d+):(\d+): ")
_OUR_NAMES = re.compile(r"\bagent[a-z_]*_[a-z_]+\b")
_ENDINGS = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


@click.command()
@click.argument("promql")
@click.option("--url", metavar="URL", help="Ask this Prometheus-compatible server; user:password@ may be in it.")
@click.option("--db", metavar="FILE", help="Ask a data file, read only; a server may be writing to it.")
@click.option("--server", is_flag=True, help="Ask the local server, the default; AGENTGAUGE_LISTEN says where.")
@click.option("--time", "at", metavar="TIME", help="Evaluate then: RFC 3339 or seconds since 1970; default now.")
@click.option("--range", "range_", metavar="DURATION", help="Evaluate over this long until then, and draw it: 1h.")
@click.option("--step", metavar="DURATION", help="Step of --range; default: one per column.")
@click.option("--json", "as_json", is_flag=True, help="Print what the HTTP API would.")
@click.option(
    "--enable-feature", "features", multiple=True, metavar="NAME", help="With --db: experimental PromQL, as of serve."
)
@click.option("--timeout", default="2m", show_default=True, metavar="DURATION", help="Give up after this long.")
def command(
    promql: str,
    url: str | None,
    db: str | None,
    server: bool,
    at: str | None,
    range_: str | None,
    step: str | None,
    as_json: bool,
    features: tuple[str, ...],
    timeout: str,
) -> int:
    """Answer PROMQL once.

    \b
    agentgauge query 'sum by (agent) (rate(agent_tasks_total[5m]))'
    agentgauge query --range 1h 'agent_active_count'
    agentgauge query --url http://127.0.0.1:9090 --json 'up'
    """  # noqa: D301 - click's mark for lines to keep is the character, not the text
    if step is not None and range_ is None:
        raise click.UsageError("--step needs --range")
    if features and db is None:
        raise click.UsageError("--enable-feature needs --db: a server is started with its own")
    where = address(url, db, server)
    options = Options(**switched_on(split_list(features or load_settings()["enable_feature"]))) if db else None
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    end_ms = SystemClock.now_ms() if at is None else _time_ms(at)
    timeout_s = parse_duration_ms(timeout, "--timeout") / 1000
    try:
        if range_ is None:
            result = asyncio.run(_instant(where, options, promql, end_ms, timeout_s))
        else:
            range_ms = parse_duration_ms(range_, "--range")
            step_ms = parse_duration_ms(step, "--step") if step else max(1000, range_ms // (console.width * 2))
            result = asyncio.run(_over(where, options, promql, (end_ms - range_ms, end_ms, step_ms), timeout_s))
    except BadQuery as error:
        raise AgentgaugeError(_with_caret(promql, str(error))) from None
    except BackendError as error:
        raise AgentgaugeError(with_next_step(error, url)) from None
    for note in (*result.warnings, *result.infos):
        print(f"agentgauge: {note}", file=sys.stderr)
    if not as_json and _is_empty(result):
        for hint in _hints(promql, is_instant=range_ is None):
            print(f"agentgauge: {hint}", file=sys.stderr)
    if as_json:
        sys.stdout.write(success(result_data(result, end_ms), result.warnings, result.infos).decode() + "\n")
    elif range_ is None:
        print_instant(console, result)
    else:
        print_range(console, result.steps)
    return 0


async def _instant(where: str, options: Options | None, promql: str, t_ms: int, timeout_s: float) -> Result:
    backend = backend_from_url(where, options=options)
    try:
        return await backend.query(promql, t_ms, timeout_s=timeout_s)
    finally:
        await backend.close()


async def _over(
    where: str, options: Options | None, promql: str, window: tuple[int, int, int], timeout_s: float
) -> Result:
    backend = backend_from_url(where, options=options)
    try:
        return await backend.query_range(promql, *window, timeout_s=timeout_s)
    finally:
        await backend.close()


def _time_ms(text: str) -> int:
    try:
        return round(float(text) * 1000)
    except (ValueError, OverflowError):
        pass
    try:
        return round(datetime.fromisoformat(text).astimezone().timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise ConfigError(f"--time {text!r} is neither RFC 3339 nor seconds since 1970") from None


def _is_empty(result: Result) -> bool:
    if result.samples is not None:
        return not result.samples.labels
    return result.kind in {"vector", "matrix"} and not result.steps.present.any()


def _hints(promql: str, is_instant: bool) -> list[str]:
    """Name the metrics that were meant by names that look like ours, and where to look for those that are."""
    known = [row.name + ending for row in METRICS.values() for ending in _ENDINGS[row.type]]
    names = list(dict.fromkeys(_OUR_NAMES.findall(promql)))
    hints = []
    for name in names:
        if name in METRICS and name not in known:
            hints.append(f"{name} is a histogram: ask for {name}_bucket, {name}_sum or {name}_count")
        elif close := [] if name in known else get_close_matches(name, known, 1, 0.85):
            hints.append(f"agentgauge writes no metric {name}; did you mean {close[0]}?")
    if not hints and is_instant and any(name in known for name in names):
        hints.append("nothing now; processes that ended are history: ask with --range 1h, or last_over_time(…[1h])")
    return hints


def _with_caret(promql: str, message: str) -> str:
    """Show the query and a caret under the column that a parse error names."""
    message = message.removeprefix('invalid parameter "query": ')
    found = _POSITION.search(message)
    if found is None:
        return message
    line, column = int(found[1]), int(found[2])
    lines = promql.split("\n")
    if not 1 <= line <= len(lines) or column > len(lines[line - 1].encode()) + 1:
        return message
    if not promql.strip():
        return message
    # Columns count bytes; the caret stands under characters.
    before = len(lines[line - 1].encode()[: column - 1].decode(errors="ignore"))
    return f"{message}\n\n    {lines[line - 1]}\n    {' ' * before}^"
