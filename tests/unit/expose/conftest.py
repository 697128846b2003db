"""A ledger with something in it, a discovery folder of the test's own, and a plain HTTP client."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentgauge.expose.exposition import Exposition
from agentgauge.model.span import ToolCall
from agentgauge.record.ledger import Ledger
from agentgauge.record.recorder import Recorder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The discovery folder."""
    path = tmp_path / "targets"
    monkeypatch.setenv("AGENTGAUGE_DISCOVERY_DIR", str(path))
    return path


@pytest.fixture
def ledger() -> Ledger:
    """A ledger with one tool call."""
    recorder = Recorder()
    recorder.record(ToolCall("a", "t", "success", 0, 10**9, task_id="t1"))
    return recorder.ledger


@pytest.fixture
def exposition(ledger: Ledger, folder: Path) -> Iterator[Exposition]:
    """That ledger, served on a free port."""
    running = Exposition(ledger, port=0)
    yield running
    running.close()


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port on which this process listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def get() -> Callable[..., tuple[int, dict[str, str], bytes]]:
    """Ask a port and return status, headers and body."""

    def ask(
        port: int, path: str = "/metrics", method: str = "GET", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    return ask
