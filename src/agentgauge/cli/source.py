"""Which backend a command asks, from its ``--url``, ``--db`` and ``--server``."""

from __future__ import annotations

import os

import click

from agentgauge.errors import BackendError, ConfigError
from agentgauge.record.settings import load_settings
from agentgauge.server.config import server_url

_DATABASE_HEAD = b"SQLite format 3\0"


def address(url: str | None, db: str | None, server: bool) -> str:
    """Return the address to ask: the local server's unless told otherwise.

    Raises:
        ConfigError: there is no such file.
    """
    if sum([url is not None, db is not None, server]) > 1:
        raise click.UsageError("--url, --db and --server exclude each other")
    if url is not None:
        return url
    if db is not None:
        if not os.path.exists(db):
            raise ConfigError(f"there is no file {db!r}")
        if _is_something_else(db):
            raise ConfigError(f"{db!r} is no data file of agentgauge: name one that `agentgauge serve` writes")
        return f"file:{db}"
    return server_url({**os.environ, "AGENTGAUGE_LISTEN": load_settings()["listen"]})


def _is_something_else(path: str) -> bool:
    """Tell a file that is no database by its first bytes; an empty one may become one."""
    try:
        with open(path, "rb") as file:
            head = file.read(len(_DATABASE_HEAD))
    except IsADirectoryError:
        return True
    except OSError:
        return False  # opening it says why
    return bool(head) and head != _DATABASE_HEAD


def with_next_step(error: BackendError, url: str | None) -> str:
    """Return the error's message and, where the default server was asked, what to do."""
    if url is not None:
        return str(error)
    return (
        f"{error}\nIs the server running? Start it with `agentgauge serve`, or ask a file with --db FILE "
        "or another server with --url URL."
    )
