"""Real servers on loopback for a test's time: ours and those of the field, each ended by its own pid."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.loopback import free_port, until

LIMIT_S = 60.0


class Peer:
    """A server that answers the Prometheus HTTP API, at ``url``."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url

    def api(self, path: str, **params: str) -> Any:
        """Ask its API for data."""
        query = urllib.parse.urlencode(params)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=LIMIT_S) as response:
            return json.load(response)["data"]

    def samples(self, selector: str, at_ms: int, range_: str) -> dict[str, list[tuple[float, str]]]:
        """Return the raw samples of a range before a time, by canonical labels."""
        found = self.api("query", query=f"{selector}[{range_}]", time=f"{at_ms / 1000:.3f}")["result"]
        return {
            json.dumps(item["metric"], sort_keys=True): [(t, v) for t, v in item["values"]]
            for item in found
        }  # fmt: skip

    def ready(self, path: str) -> bool:
        """Tell whether a page of it answers."""
        assert self.process.poll() is None, f"{self.url} ended with {self.process.returncode}"
        try:
            urllib.request.urlopen(self.url + path, timeout=5).close()
        except OSError:
            return False
        return True

    def end(self, number: int = signal.SIGTERM) -> None:
        """Send a signal and wait for the end."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(LIMIT_S)


class Peers:
    """Starts servers; ``close`` ends those that still run."""

    def __init__(self, folder: Path, program: Callable[[str], str]) -> None:
        self._folder = folder
        self._program = program
        self._started: list[Peer] = []

    def ours(self, db: Path, *arguments: str, port: int | None = None) -> Peer:
        """Start ``agentgauge serve`` with nothing to scrape but what the arguments say."""
        port = port or free_port()
        line = [sys.executable, "-m", "agentgauge", "serve", "--listen", f"127.0.0.1:{port}", "--db", str(db)]
        return self._start([*line, "--no-discovery", *arguments], port, "/-/ready")

    def prometheus(self, data: Path, *arguments: str, config: str = "", port: int | None = None) -> Peer:
        """Start the Debian package on a data folder."""
        port = port or free_port()
        path = self._folder / f"prometheus-{port}.yml"
        path.write_text(config or "global: {scrape_interval: 1h}\n")
        line = [
            self._program("prometheus"), f"--config.file={path}", f"--storage.tsdb.path={data}",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
        ]  # fmt: skip
        return self._start([*line, *arguments], port, "/-/ready")

    def victoria(self, data: Path, *arguments: str, port: int | None = None) -> Peer:
        """Start the Debian package on a data folder."""
        port = port or free_port()
        line = [
            self._program("victoria-metrics"), f"-storageDataPath={data}", f"-httpListenAddr=127.0.0.1:{port}",
            "-search.latencyOffset=0s", "-search.disableCache", "-retentionPeriod=10y", "-loggerLevel=ERROR",
        ]  # fmt: skip
        return self._start([*line, *arguments], port, "/health")

    def close(self) -> None:
        for peer in self._started:
            if peer.process.poll() is None:
                peer.process.kill()
                peer.process.wait()

    def _start(self, line: list[str], port: int, ready: str) -> Peer:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AGENTGAUGE_")}
        process = subprocess.Popen(
            line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
        )  # fmt: skip
        peer = Peer(process, f"http://127.0.0.1:{port}")
        self._started.append(peer)
        until(f"{line[0]} answers", lambda: peer.ready(ready))
        return peer


@pytest.fixture
def peers(tmp_path: Path, program: Callable[[str], str]) -> Iterator[Peers]:
    """What starts servers for this test."""
    started = Peers(tmp_path, program)
    yield started
    started.close()


@pytest.fixture
def agentgauge() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command line of ours to its end."""

    def run(*arguments: object, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "agentgauge", *map(str, arguments)]
        return subprocess.run(line, input=stdin, capture_output=True, text=True, check=False, timeout=LIMIT_S)

    return run
