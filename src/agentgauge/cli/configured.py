"""A command whose options take their defaults from the user's file of settings."""

from __future__ import annotations

from typing import Any

import click

from agentgauge.record.settings import SETTINGS, Settings, load_settings


class Configured(click.Command):
    """A command that reads agentgauge.toml or pyproject.toml for what neither flag nor environment says."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse with the file's values as defaults.

        Raises:
            ConfigError: the file has a key that is none, or a value that cannot be used.
        """
        return super().make_context(info_name, args, parent, default_map=defaults(load_settings()), **extra)


def defaults(settings: Settings) -> dict[str, Any]:
    """Return what the file says about the server, by the name of the parameter."""
    found = {}
    for name, row in SETTINGS.items():
        source = settings.sources[name]
        if row.side == "server" and source not in {"default", row.environment}:
            found[(row.variable or row.name).lower()] = settings[name]
    return found
