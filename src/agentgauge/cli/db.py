"""``agentgauge db``: look a data file over, check it, make it smaller, copy it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from agentgauge.errors import StoreError
from agentgauge.server.config import default_db
from agentgauge.store.check import StoreInfo, check_store, store_info
from agentgauge.store.store import Store

_TOP = 10
_PLAIN: dict[str, Any] = {"box": None, "pad_edge": False, "header_style": "bold"}
"""How every table of the command line looks."""

_file = click.option("--db", "path", metavar="FILE", type=click.Path(path_type=Path), help="The data file.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def command() -> None:
    """Look a data file over, check it, make it smaller, copy it."""


@command.command()
@_file
@click.option("--top", default=_TOP, show_default=True, help="How many metrics and labels to list.")
@_json
def info(path: Path | None, top: int, as_json: bool) -> None:
    """Show sizes, bytes per sample, and where the series are; a server may be writing."""
    store = Store.open(_existing(path), read_only=True)
    try:
        found = store_info(store)
        metrics = _largest(store.value_counts("__name__"), top)
        labels = _largest({name: len(store.value_counts(name)) for name in store.label_names()}, top)
    finally:
        store.close()
    if as_json:
        _print_json(
            {
                **asdict(found),
                "bytes_per_sample": found.bytes_per_sample,
                "series_by_metric": metrics,
                "values_by_label": labels,
            }
        )
        return
    console = Console(highlight=False)
    console.print(_sizes(_existing(path), found))
    console.print(_ranking("metric", "series", metrics))
    console.print(_ranking("label", "values", labels))


@command.command()
@_file
@_json
def check(path: Path | None, as_json: bool) -> None:
    """Read the whole file: its structure and every checksum. Exit status 1 when something is wrong."""
    store = Store.open(_existing(path), read_only=True)
    try:
        findings = check_store(store)
    finally:
        store.close()
    if as_json:
        _print_json({"ok": not findings, "findings": findings})
    else:
        for finding in findings or [f"{_existing(path)}: nothing is wrong"]:
            click.echo(finding)
    if findings:
        raise click.exceptions.Exit(1)


@command.command()
@_file
@_json
def compact(path: Path | None, as_json: bool) -> None:
    """Seal and merge what can be, and give free pages back. No server may be writing."""
    store = Store.open(_existing(path), background=False, retention_ms=0)
    try:
        before = store_info(store)
        store.compact()
        after = store_info(store)
    finally:
        store.close()
    if as_json:
        _print_json({"before_bytes": before.size_bytes, "after_bytes": after.size_bytes})
    else:
        click.echo(f"{_mb(before.size_bytes)} before, {_mb(after.size_bytes)} now")


@command.command()
@click.argument("target", type=click.Path(path_type=Path))
@_file
@click.option("--compact", "as_compact", is_flag=True, help="Leave free pages out of the copy.")
@_json
def backup(target: Path, path: Path | None, as_compact: bool, as_json: bool) -> None:
    """Write a consistent copy to TARGET; a server may be writing."""
    store = Store.open(_existing(path), read_only=True)
    try:
        store.backup(target, compact=as_compact)
    finally:
        store.close()
    size = target.stat().st_size
    if as_json:
        _print_json({"target": str(target), "size_bytes": size})
    else:
        click.echo(f"{target}: {_mb(size)}")


def _existing(path: Path | None) -> Path:
    chosen = path if path is not None else default_db(os.environ)
    if not chosen.exists():
        raise StoreError(f"{chosen} does not exist: name the data file with --db")
    return chosen


def _largest(counts: dict[str, int], n: int) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:n])


def _sizes(path: Path, found: StoreInfo) -> Table:
    table = Table("what", "how much", title=str(path), title_justify="left", **_PLAIN)
    table.add_row("file", f"{_mb(found.size_bytes)}, {_mb(found.free_bytes)} of it free")
    table.add_row("chunks", f"{found.n_chunks:,}, {_mb(found.chunk_bytes)} ({', '.join(found.codecs) or 'none'})")
    table.add_row("not sealed yet", _mb(found.head_bytes))
    table.add_row("quarantined chunks", f"{found.n_quarantined:,}")
    table.add_row("series", f"{found.n_series:,} in {found.n_groups:,} groups")
    table.add_row("samples", f"{found.n_samples:,}")
    table.add_row("bytes per sample", f"{found.bytes_per_sample:.3f}")
    if found.n_lost:
        table.add_row("samples lost", f"{found.n_lost:,}, because the disk was full or could not be written to")
    if found.disk_free_bytes is not None:
        table.add_row("room on the disk", _mb(found.disk_free_bytes))
    table.add_row("from", _time(found.oldest_ms))
    table.add_row("to", _time(found.newest_ms))
    table.add_row("schema", str(found.schema))
    return table


def _ranking(what: str, count: str, counts: dict[str, int]) -> Table:
    table = Table(what, count, **_PLAIN)
    for name, n in counts.items():
        table.add_row(name, f"{n:,}")
    return table


def _mb(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.1f} MB"


def _time(t_ms: int | None) -> str:
    return "-" if t_ms is None else datetime.fromtimestamp(t_ms / 1000, UTC).isoformat(timespec="seconds")


def _print_json(body: dict[str, Any]) -> None:
    click.echo(json.dumps(body, indent=2))
