"""Take the port to listen on, or say who has it and what to do."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

from agentgauge.errors import ConfigError, PortInUse
from agentgauge.expose.ports import owner_of


def bind_socket(host: str, port: int) -> socket.socket:
    """Return a bound socket; port 0 takes any free one.

    Raises:
        PortInUse: another process listens there; the message names it where that can be seen.
        ConfigError: the address is not one of this machine, or the port needs rights that we do not have.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror:
        raise ConfigError(f"--listen: {host!r} is not an address of this machine") from None
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        # Listening tells at once whether the port is ours: Linux lets two sockets with SO_REUSEADDR bind alike.
        bound.listen(2048)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(host, port, in_use_message(host, port, holder_of(port))) from None
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    bound.setblocking(False)
    return bound


def in_use_message(host: str, port: int, holder: tuple[int, str] | None) -> str:
    """Say that a port is taken, by whom, and what to do next."""
    other = f"--listen {host}:{port + 1 if port < 65535 else port - 1}"
    if holder is None:
        return f"port {port} on {host} is in use; find its owner with `ss -ltnp 'sport = :{port}'` or use {other}"
    pid, command = holder
    if "agentgauge" in command and "serve" in command:
        ours = f"http://{host}:{port}"
        return f"an agentgauge server (pid {pid}) already listens on {ours}: open that, end it, or use {other}"
    return f"port {port} on {host} is in use by pid {pid} ({command}); end that or use {other}"


def holder_of(port: int) -> tuple[int, str] | None:
    """Return pid and command line of the process that listens on a port; None where the system does not say."""
    owner = owner_of(port)
    return None if owner is None else (owner[0], _command_line(owner[0]) or owner[1])


def _command_line(pid: int) -> str:
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    shown = " ".join(raw.decode(errors="replace").split("\0")).strip()
    return shown[:120]
