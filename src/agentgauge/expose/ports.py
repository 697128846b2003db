"""A listening socket on the wished port or the next free one, and who holds a port that is taken."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from agentgauge.errors import ConfigError, PortInUse

BACKLOG = 64
_LISTEN = "0A"
"""TCP_LISTEN as ``/proc/net/tcp`` writes it."""


def listen(host: str, port: int, port_search: int) -> socket.socket:
    """Return a listening socket on ``port``, one of the ``port_search`` ports after it, or any free port.

    Args:
        host: the address to bind; only this one is reachable.
        port: the wished port; 0 for any.
        port_search: how many ports after it may be tried; 0 pins the port.

    Raises:
        PortInUse: the pinned port is taken.
        ConfigError: the address cannot be bound on this machine, or the port is none.
    """
    if not 0 <= port <= 65_535 or port_search < 0:
        raise ConfigError(f"port {port}, port_search {port_search}: a port is 0 to 65535, a search not negative")
    for candidate in _candidates(port, port_search):
        bound = _bind(host, candidate)
        if bound is not None:
            return bound
    raise PortInUse(host, port, taken_message(host, port))


def _candidates(port: int, port_search: int) -> Iterator[int]:
    yield port
    yield from range(port + 1, min(port + port_search, 65_535) + 1)
    if port_search:
        yield 0


def _bind(host: str, port: int) -> socket.socket | None:
    """Return a listening socket; None when the port is taken or not ours to bind."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
            # Only skips the wait for old connections. There it would let two servers share a port (as SO_REUSEPORT
            # does everywhere): scrapes would reach one of them at random.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            return None
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    return listener


def taken_message(host: str, port: int) -> str:
    """Say that a port is taken, by whom where that can be seen, and what to do."""
    owner = owner_of(port)
    by = f" by process {owner[0]} ({owner[1]})" if owner else ""
    return (
        f"port {port} on {host} is in use{by}; find its owner with: ss -ltnp 'sport = :{port}'. "
        f"Free it, choose another port, or allow a search with port_search"
    )


def moved_message(host: str, port: int, url: str) -> str:
    """Say that a port is taken, by whom where that can be seen, and where the metrics are instead."""
    owner = owner_of(port)
    by = f" by pid {owner[0]} ({owner[1]})" if owner else ""
    return f"port {port} on {host} is taken{by}; serving metrics on {url} instead"


def owner_of(port: int) -> tuple[int, str] | None:
    """Return (pid, command) of the process that listens on a port; None where it cannot be seen."""
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not inodes:
        return None
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if any(_target(link) in inodes for link in (folder / "fd").iterdir()):
                return int(folder.name), (folder / "comm").read_text().strip()
        except OSError:
            continue  # another user's process, or one that has just ended
    return None


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""  # closed meanwhile, as is the descriptor that lists the folder


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue  # no /proc on this system, or no IPv6
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]
