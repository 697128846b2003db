"""``agentgauge config``: every setting, its value, and where that came from."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from agentgauge.record.settings import SETTINGS, Settings, load_settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> int:
    """Print every setting with its value and its source, for a program started in this folder.

    Weakest first: defaults, agentgauge.toml or [tool.agentgauge] in pyproject.toml, AGENTGAUGE_<NAME>, then what the
    program or the command line says, which is not known here.
    """
    settings = load_settings()
    for note in settings.notes:
        print(f"agentgauge: {note}", file=sys.stderr)
    if as_json:
        print(json.dumps(settings_json(settings), indent=2))
    else:
        Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(_table(settings))
    return 0


def settings_json(settings: Settings) -> dict[str, Any]:
    """Return name -> value, source, default, variable, help."""
    return {
        name: {
            "value": settings[name],
            "source": settings.sources[name],
            "default": row.default,
            "variable": row.environment,
            "help": row.help,
        }
        for name, row in sorted(SETTINGS.items())
    }


def _table(settings: Settings) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("setting", "value", "source", "what it does"):
        table.add_column(title, overflow="fold")
    for name, row in sorted(SETTINGS.items()):
        is_set = settings.sources[name] != "default"
        table.add_row(name, _shown(settings[name]), settings.sources[name], row.help, style="bold" if is_set else None)
    return table


def _shown(value: Any) -> str:
    if value in ("", (), {}):
        return "-"
    return json.dumps(value) if isinstance(value, (dict, tuple, bool)) else str(value)
