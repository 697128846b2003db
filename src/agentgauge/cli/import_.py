"""``agentgauge import``: history that other systems wrote, into a data file."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from agentgauge.errors import AgentgaugeError, ConfigError, ParseError
from agentgauge.model.clock import SystemClock
from agentgauge.server.config import DAY_MS, default_db
from agentgauge.store.store import DEFAULT_RETENTION_MS, Store
from agentgauge.transfer.importing import Imported, import_text


@click.group()
def command() -> None:
    """Bring history that other systems wrote into a data file."""


@command.command(short_help="Import OpenMetrics text with timestamps.")
@click.argument("file", metavar="FILE|-")
@click.option("--db", "path", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="The data file.")
def openmetrics(file: str, path: Path | None) -> None:
    """Import OpenMetrics text with timestamps, from FILE or, for -, from standard input.

    What `promtool tsdb create-blocks-from openmetrics` takes, in any order of lines and of any size; also the lines
    of `promtool tsdb dump`. Interrupted, run it again: it goes on where it stood. No server may have the data file
    open.
    """
    db = path if path is not None else default_db(os.environ)
    clock = SystemClock()
    started_ns = clock.monotonic_ns()
    with ExitStack() as stack:
        source, size_bytes = _open(file, stack)
        # No upkeep beside the import: chunks of history are merged once, at its end. No limit of age: see serve.
        store = Store.open(db, background=False, retention_ms=0)
        stack.callback(store.close)
        bar = stack.enter_context(_progress())
        work = bar.add_task("", total=size_bytes, samples="")

        def show(n_bytes: int, n_samples: int) -> None:
            bar.update(work, completed=n_bytes, samples=f"{n_samples:,} samples")

        try:
            found = import_text(source, store, size_bytes=size_bytes, progress=show)
            bar.update(work, samples=f"{found.n_samples:,} samples, merging")
            store.upkeep.merge(clock.now_ms())
        except KeyboardInterrupt:
            click.echo("stopped; run the same command again and it goes on from here", err=True)
            raise
        except ParseError as error:
            raise AgentgaugeError(f"{file}: {error}") from None
    _report(found, db, (clock.monotonic_ns() - started_ns) / 1e9)


def _open(file: str, stack: ExitStack) -> tuple[BinaryIO, int | None]:
    if file == "-":
        return sys.stdin.buffer, None
    try:
        source = Path(file).open("rb")  # noqa: SIM115 - the caller's stack closes it
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    stack.callback(source.close)
    return source, os.fstat(source.fileno()).st_size if source.seekable() else None


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        BarColumn(), DownloadColumn(), TextColumn("{task.fields[samples]}"), TimeRemainingColumn(),
        console=console, disable=not console.is_terminal,
    )  # fmt: skip


def _report(found: Imported, db: Path, seconds: float) -> None:
    if found.resumed_at > 1:
        click.echo(f"went on at line {found.resumed_at:,}")
    if not found.n_samples:
        click.echo("no samples in this text")
        return
    first, last = _time(found.first_ms), _time(found.last_ms)
    click.echo(f"{found.n_samples:,} samples from {first} to {last} are in {db} ({seconds:.1f} s)")
    if not found.saw_end:
        click.echo("warning: no # EOF at the end; the text may have been cut off", err=True)
    days, kept = -(-(found.last_ms - found.first_ms) // DAY_MS), DEFAULT_RETENTION_MS // DAY_MS
    if days > kept:
        click.echo(
            f"note: this spans {days} days; a server that scrapes keeps the {kept} days before the newest sample, "
            f"or more with --retention {days}d",
            err=True,
        )


def _time(t_ms: int) -> str:
    return datetime.fromtimestamp(t_ms / 1000, UTC).isoformat(timespec="seconds")
