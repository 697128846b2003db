"""The two servers that ``bench_promql`` asks: ours over a copy of the data file, Prometheus over its blocks."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from tests.conformance.differential.peer import free_port

HERE = Path(__file__).resolve().parent
READY_WITHIN_S = 120.0
UNCACHED = """
import sys
from agentgauge.store.cache import ChunkCache
ChunkCache.put = lambda *_: None
from agentgauge.__main__ import main
sys.exit(main())
"""
"""Our server with no decoded chunk kept from one query to the next: what a question costs that nobody asked before."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a range query gave and cost."""

    took_ms: float
    n_points: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    pid: int
    port: int

    def ask(self, query: str, window: tuple[int, int, int]) -> Answer:
        """Ask a range query on a connection of its own that is open before the clock starts; read the answer."""
        start, end, step = (time_ms / 1000 for time_ms in window)
        form = urlencode({"query": query, "start": start, "end": end, "step": step})
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)) as connection:
            connection.connect()
            began = time.perf_counter()
            connection.request(
                "POST", "/api/v1/query_range", form, {"Content-Type": "application/x-www-form-urlencoded"}
            )
            answer = connection.getresponse()
            body = answer.read()
            took_ms = (time.perf_counter() - began) * 1e3
        assert answer.status == 200, body[:300]
        return Answer(took_ms, body.count(b'"],[') + body.count(b'"values"'), body)

    def peak_mb(self) -> float:
        """Return the most memory the process ever had."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1e3
        return float("nan")


@contextmanager
def our_server(data: Path, work: Path, *, cached: bool, options: Sequence[str] = ()) -> Iterator[Server]:
    """Serve a copy of a data file."""
    folder = work / ("ours-cached" if cached else "ours-disk")
    folder.mkdir()
    shutil.copy(data / "ours.db", folder)
    port = free_port()
    command = [sys.executable, *(["-m", "agentgauge"] if cached else ["-c", UNCACHED]), "serve"]
    command += ["--listen", f"127.0.0.1:{port}", "--db", str(folder / "ours.db"), "--no-discovery"]
    command += ["--retention", "100y", *(options or ["--no-self-scrape"])]
    with running(command, port, folder / "log.txt") as server:
        yield server


@contextmanager
def prometheus(data: Path, work: Path) -> Iterator[Server]:
    """Serve blocks as they were made: without compaction beside the questions."""
    folder = work / "prometheus"
    shutil.copytree(data / "prometheus", folder / "data")
    config = folder / "prometheus.yml"
    config.write_text("global: {scrape_interval: 1h, evaluation_interval: 1m}\n")
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=100y",
        "--storage.tsdb.min-block-duration=2h",
        "--storage.tsdb.max-block-duration=2h",
        f"--web.listen-address=127.0.0.1:{port}",
        "--query.max-samples=500000000",
    ]
    with running(command, port, folder / "log.txt") as server:
        yield server


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[Server]:
    """Run a server until the context ends; it is ready when the context begins."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        _wait_until_ready(process, port, log)
        yield Server(process.pid, port)
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.perf_counter() + READY_WITHIN_S
    while time.perf_counter() < deadline:
        assert process.poll() is None, log.read_text()[-2000:]
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
            try:
                connection.request("GET", "/-/ready")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                time.sleep(0.1)
    raise TimeoutError(f"{command_name(process)} did not become ready")


def command_name(process: subprocess.Popen[bytes]) -> str:
    """Return what was started."""
    return str(process.args[0]) if isinstance(process.args, list) else str(process.args)
