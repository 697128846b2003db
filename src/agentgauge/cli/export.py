"""``agentgauge export``: what a data file holds, for other systems."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from agentgauge.database import Database
from agentgauge.errors import BadQuery, ConfigError, StoreError
from agentgauge.server.config import default_db
from agentgauge.server.params import time_ms_from_text
from agentgauge.transfer.exporting import export_text

FOREVER_MS = 1 << 60


@click.group()
def command() -> None:
    """Write what a data file holds for other systems."""


@command.command(short_help="Export OpenMetrics text, while a server writes too.")
@click.option("--db", "path", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="The data file.")
@click.option("--from", "start", metavar="TIME", help="No samples before: RFC 3339 or seconds since 1970.")
@click.option("--to", "end", metavar="TIME", help="No samples after.")
@click.option("--match", "selectors", multiple=True, metavar="SELECTOR", help="Only these series; repeatable.")
@click.option("-o", "--output", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write here.")
def openmetrics(
    path: Path | None, start: str | None, end: str | None, selectors: tuple[str, ...], output: Path | None
) -> None:
    """Export as OpenMetrics text, to standard output or a file; a server may be writing to the data file.

    The text is what `promtool tsdb create-blocks-from openmetrics` takes and what `agentgauge import` reads.
    """
    db = path if path is not None else default_db(os.environ)
    if not db.exists():
        raise StoreError(f"{db} does not exist: name the data file with --db")
    start_ms, end_ms = _time_ms(start, "--from", -FOREVER_MS), _time_ms(end, "--to", FOREVER_MS)
    with ExitStack() as stack:
        database = stack.enter_context(Database.open(db, read_only=True))
        target = _open(output, stack)
        bar = stack.enter_context(_progress(output is not None))
        work = bar.add_task("metrics", total=None)
        for piece in export_text(
            database, start_ms, end_ms, selectors=selectors,
            progress=lambda done, all_: bar.update(work, completed=done, total=all_),
        ):  # fmt: skip
            target.write(piece)
        target.flush()
        for warning in dict.fromkeys(database.store.take_warnings()):
            click.echo(f"warning: {warning}", err=True)


def _time_ms(text: str | None, name: str, default_ms: int) -> int:
    if text is None:
        return default_ms
    try:
        return time_ms_from_text(text)
    except BadQuery:
        raise ConfigError(f"{name} {text!r} is neither RFC 3339 nor seconds since 1970") from None


def _open(output: Path | None, stack: ExitStack) -> TextIO:
    if output is None:
        return sys.stdout
    try:
        return stack.enter_context(output.open("w", encoding="utf-8", newline="\n"))
    except OSError as error:
        raise ConfigError(f"{output} cannot be written: {error.strerror}") from None


def _progress(shown: bool) -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        console=console, disable=not (shown and console.is_terminal),
    )  # fmt: skip
