"""The port: taken at once, or who has it and what to do."""

from __future__ import annotations

import os

import pytest

from agentgauge.errors import ConfigError, PortInUse
from agentgauge.server.port import bind_socket, in_use_message


def test_a_taken_port_is_named_with_its_holder() -> None:
    """The message names the process and a way out; free ports are given out at once."""
    with bind_socket("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(PortInUse, match=f"pid {os.getpid()}") as raised:
            bind_socket("127.0.0.1", port)
        assert raised.value.port == port
        assert "--listen" in str(raised.value)


def test_the_message_fits_the_holder() -> None:
    """An own server, another program, and an unseen one each get their own advice."""
    assert "already listens" in in_use_message("127.0.0.1", 9095, (7, "python -m agentgauge serve"))
    assert "pid 7 (nginx)" in in_use_message("127.0.0.1", 9095, (7, "nginx"))
    assert "ss -ltnp" in in_use_message("127.0.0.1", 9095, None)


def test_a_foreign_address_is_refused() -> None:
    """Addresses that are not this machine's are a setting's mistake."""
    for host in ("192.0.2.1", "no.such.host.invalid"):
        with pytest.raises(ConfigError):
            bind_socket(host, 0)
