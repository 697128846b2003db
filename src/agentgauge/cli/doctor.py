"""``agentgauge doctor``: is the monitor right, and what mends it where it is not."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agentgauge.backends.backend import Backend
from agentgauge.backends.http import HttpBackend
from agentgauge.backends.url import backend_from_url
from agentgauge.cli.source import address
from agentgauge.doctor.check import examine, findings_json, is_healthy
from agentgauge.doctor.finding import Finding, Verdict
from agentgauge.doctor.probe import Where, gather
from agentgauge.doctor.synthetic import Hop, hops_json, probe_hops
from agentgauge.model.discovery import discovery_directory
from agentgauge.server.config import default_db

MARKS: dict[Verdict, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "warn": ("!", "yellow"),
    "bad": ("✗", "red"),
    "unknown": ("?", "dim"),
}


@click.command()
@click.option("--url", metavar="URL", help="Look at this Prometheus-compatible server; user:password@ may be in it.")
@click.option("--db", metavar="FILE", help="Look at a data file, read only; a server may be writing to it.")
@click.option("--server", is_flag=True, help="Look at the local server, the default; AGENTGAUGE_LISTEN says where.")
@click.option(
    "--port", default=8001, show_default=True, type=click.IntRange(1, 65535), help="The agents' metrics port."
)
@click.option("--ollama", default="", metavar="URL", help="The model server; default: OLLAMA_HOST, else port 11434.")
@click.option("--probe", is_flag=True, help="Send one synthetic task through every hop and name the broken one.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
def command(url: str | None, db: str | None, server: bool, port: int, ollama: str, probe: bool, as_json: bool) -> int:
    """Look at everything between an agent and its numbers; exit with 1 when something is bad.

    \b
    agentgauge doctor
    agentgauge doctor --probe
    agentgauge doctor --url http://127.0.0.1:9090 --json
    """  # noqa: D301 - click's mark for lines to keep is the character, not the text
    where = _where(address(url, db, server), port, ollama)
    if probe:
        if db is not None:
            raise click.UsageError("--probe needs a server that scrapes, not a file")
        hops = asyncio.run(probe_hops(where.server, where.folder))
        _print_probe(hops, as_json=as_json)
        return 0 if all(hop.verdict == "ok" for hop in hops) else 1
    findings = asyncio.run(look(where))
    if as_json:
        click.echo(json.dumps(findings_json(findings), indent=2))
    else:
        print_findings(findings)
    return 0 if is_healthy(findings) else 1


async def look(where: Where) -> list[Finding]:
    """Gather and judge."""
    backend = backend_from_url(where.server)
    try:
        return examine(await gather(backend, where, lambda: _targets(backend)))
    finally:
        await backend.close()


async def _targets(backend: Backend) -> Mapping[str, Any] | None:
    return await backend.targets() if isinstance(backend, HttpBackend) else None


def _where(server: str, port: int, ollama: str) -> Where:
    is_http = server.startswith(("http://", "https://"))
    data = str(default_db(os.environ)) if is_http else server.removeprefix("file:")
    folder = discovery_directory(os.environ, os.getuid())
    return Where(server, os.environ, data, folder, port, ollama, is_http)


def print_findings(findings: list[Finding]) -> None:
    """Print a table, what is wrong first in words below it."""
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", "check", "what it saw", "looked at"):
        table.add_column(title, overflow="fold")
    group = ""
    for row in findings:
        if row.group != group:
            group = row.group
            table.add_row("", Text(group, "bold dim"))
        mark, style = MARKS[row.verdict]
        table.add_row(Text(mark, style), row.title, Text(row.detail), Text(row.looked_at, "dim"))
        if row.mend and row.verdict != "ok":
            table.add_row("", "", Text(f"→ {row.mend}", "cyan"))
    console.print(table)
    counts = {verdict: sum(row.verdict == verdict for row in findings) for verdict in MARKS}
    console.print(
        f"\n{counts['ok']} ok, {counts['warn']} to look at, {counts['bad']} bad, {counts['unknown']} could not be seen"
    )


def _print_probe(hops: list[Hop], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(hops_json(hops), indent=2))
        return
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    for hop in hops:
        mark, style = MARKS[hop.verdict]
        console.print(Text.assemble((f"{mark} ", style), f"{hop.name:<9}", hop.detail))
        if hop.mend and hop.verdict != "ok":
            console.print(Text(f"            → {hop.mend}", "cyan"))
    broken = next((hop for hop in hops if hop.verdict != "ok"), None)
    console.print("\nEvery hop works." if broken is None else f"\nThe broken hop is: {broken.name}.")
