"""The reference of all commands and flags, from COMMANDS and their click options."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module

import click
from pages.page import page

from agentgauge.cli import COMMANDS


def commands_page() -> str:
    """Return the reference of all commands and flags as Markdown."""
    return page(
        "Commands",
        "`agentgauge --help` lists the commands, `agentgauge COMMAND --help` the flags of one. A command ends with 0;",
        "with 1 and one sentence on stderr when it could not do its work; with 2 when it was typed wrong. Durations",
        "are written as Prometheus writes them (`250ms`, `5s`, `1h30m`, `15d`) or as a number of seconds.",
        "",
        "Commands that ask (`--url`, `--db`, `--server`) ask the local server unless told otherwise. Headers that a",
        "remote server wants, such as a tenant, stand in the environment, where no process list shows them:",
        "`AGENTGAUGE_BACKEND_HEADERS='X-Scope-OrgID: team'`.",
        "",
        *(line for name in sorted(COMMANDS) for line in _command(_loaded(name), f"agentgauge {name}", 2)),
    )


def _loaded(name: str) -> click.Command:
    command: click.Command = import_module(COMMANDS[name][0]).command
    return command


def _command(command: click.Command, path: str, level: int) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    yield from (f"{'#' * level} {path}", "", *_help(command))
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from _command(command.commands[name], f"{path} {name}", level + 1)
        return
    pieces = " ".join(command.collect_usage_pieces(context)).replace("[OPTIONS]", "[FLAGS]")
    yield from (f"`{path} {pieces}`".replace(" `", "`"), "")
    rows = [_flag(param, context, path) for param in command.params if isinstance(param, click.Option)]
    if rows:
        yield from ("| flag | meaning |", "|---|---|", *rows, "")


def _help(command: click.Command) -> Iterator[str]:
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        kept = paragraph.removeprefix("\b\n")
        yield from (
            ("```sh", *kept.splitlines(), "```", "") if kept != paragraph else (paragraph.replace("<", "\\<"), "")
        )


def _flag(option: click.Option, context: click.Context, path: str) -> str:
    record = option.get_help_record(context)
    assert record is not None, f"{path} {option.name} is hidden"
    names, meaning = (text.replace("|", "\\|") for text in record)
    meaning = re.sub(r"\s*\[default: ([^\]]*)\]", r" Default: \1.", meaning)
    meaning = (
        re.sub(r" *([;[]) ?(\d+(?:\.\d+)?)?(?:<=)?x[<>]=(\d+(?:\.\d+)?)\]?\.?", _bounds, meaning)
        .replace("<", "\\<")
        .strip()
    )
    return f"| `{names.replace(' / ', '`, `').replace(' RANGE', '')}` | {meaning} |"


def _bounds(found: re.Match[str]) -> str:
    low, high = (found[2], found[3]) if found[2] else (found[3], "")
    says = f"{low} to {high}" if high else f"{low} or more"
    return f"; {says}." if found[1] == ";" else f" {says[:1].upper()}{says[1:]}."
