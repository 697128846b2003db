"""``agentgauge serve`` as a process: good and bad targets side by side, restart, the ends of it, clear errors."""

from __future__ import annotations

import gzip
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.loopback import CountingTarget, until

from agentgauge.model.clock import SystemClock

CLOCK = SystemClock()
LIMIT_S = 30.0


@cache
def bomb() -> bytes:
    """52 MB of samples in a few thousand bytes."""
    return gzip.compress(b"a 1\n" * 13_000_000, 1)


class Answer(http.server.BaseHTTPRequestHandler):
    """Behaves as the path says."""

    server: CountingTarget

    def do_GET(self) -> None:
        answer: Callable[[], None] = getattr(self, f"answer_{self.path.strip('/')}")
        answer()

    def answer_metrics(self) -> None:
        self.server.n += 1
        self._send(self.server.text(self.server.n).encode(), "text/plain; version=0.0.4")

    def answer_html(self) -> None:
        self._send(b"<html><body>hello</body></html>", "text/html")

    def answer_garbage(self) -> None:
        self._send(b"fine 1\n\x00\xff{{{ 7\n", "text/plain")

    def answer_bomb(self) -> None:
        self._send(bomb(), "text/plain", "gzip")

    def answer_endless(self) -> None:
        self._start("text/plain")
        while not self.server.closing.is_set():
            self.wfile.write(b"endless 1\n" * 100)
            self.server.closing.wait(0.01)

    def answer_silent(self) -> None:
        self.server.closing.wait(60)

    def _send(self, body: bytes, kind: str, encoding: str = "") -> None:
        self._start(kind, encoding)
        self.wfile.write(body)

    def _start(self, kind: str, encoding: str = "") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        if encoding:
            self.send_header("Content-Encoding", encoding)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


class Served:
    """A running ``agentgauge serve``."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url

    def get(self, path: str, **params: str) -> Any:
        query = f"?{urllib.parse.urlencode(params)}" if params else ""
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}{query}", timeout=LIMIT_S) as response:
            return json.load(response)["data"]

    def query(self, expr: str, **params: str) -> list[tuple[dict[str, str], float]]:
        found = self.get("query", query=expr, **params)["result"]
        return [(item["metric"], float(item["value"][1])) for item in found]

    def end(self, number: int = signal.SIGTERM) -> float:
        """Send a signal and return how many seconds the end took; the exit status is 0."""
        start_ns = CLOCK.monotonic_ns()
        self.process.send_signal(number)
        assert self.process.wait(LIMIT_S) == 0
        return (CLOCK.monotonic_ns() - start_ns) / 1e9


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AGENTGAUGE_")},
        "AGENTGAUGE_DISCOVERY_DIR": str(tmp_path / "targets"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
    }


@pytest.fixture
def target() -> Iterator[CountingTarget]:
    started = CountingTarget(lambda n: f"# TYPE good_total counter\ngood_total {n}\n", Answer)
    yield started
    started.close()


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "agentgauge", *arguments]


@contextmanager
def served(environment: dict[str, str], *arguments: str) -> Iterator[Served]:
    """Run a server on a free port until the block ends."""
    line = command("serve", "--listen", "127.0.0.1:0", "--interval", "500ms", *arguments)
    process = subprocess.Popen(
        line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1
    )
    assert process.stdout is not None
    try:
        banner = process.stdout.readline()
        yield Served(process, next(word for word in banner.split() if word.startswith("http://")))
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


def test_bad_targets_cost_themselves_alone(environment: dict[str, str], target: CountingTarget) -> None:
    """HTML, garbage, a gzip bomb, an endless and a silent body: each down with its reason, the good one goes on."""
    kinds = {"html": "text/html", "garbage": "line 2", "bomb": "bytes", "endless": "within", "silent": "within"}
    addresses = [f"http://{target.address}/metrics", *(f"http://{target.address}/{kind}" for kind in kinds)]
    files = Path(environment["XDG_DATA_HOME"]).parent / "bad.json"
    files.write_text(
        json.dumps([{"targets": [address], "labels": {"job": address.rpartition("/")[2]}} for address in addresses])
    )
    bomb()
    with served(environment, "--target-file", str(files)) as server:

        def reasons() -> bool:
            found = server.get("targets")["activeTargets"]
            errors = {item["labels"]["job"]: item["lastError"] for item in found if item["health"] == "down"}
            return all(part in errors.get(kind, "") for kind, part in kinds.items())

        until("each bad target is down with its reason", reasons)
        before = target.n
        until("the good target is scraped on", lambda: target.n > before + 4)
        up = {labels["job"]: value for labels, value in server.query("up")}
        assert up == {**dict.fromkeys(kinds, 0.0), "metrics": 1.0, "agentgauge-server": 1.0}
        assert server.query("fine") == server.query("endless") == []
        assert server.end() < 2


def test_a_restart_reads_back_and_leaves_no_ghosts(environment: dict[str, str], target: CountingTarget) -> None:
    """What was scraped is there after a restart; what ended with the first server is stale, not alive for minutes."""
    with served(environment, "--target", target.address) as server:
        until("samples are stored", lambda: server.query("good_total > 2"))
        assert server.end(signal.SIGINT) < 2
    with served(environment) as server:
        assert server.query(f'good_total{{instance="{target.address}"}}') == []
        ((_, n_samples),) = server.query("count_over_time(good_total[5m])")
        assert n_samples >= 3
        assert server.get("metadata", metric="good_total") == {
            "good_total": [{"type": "counter", "help": "", "unit": ""}]
        }


def test_a_new_agent_is_found_and_a_gone_one_ends(environment: dict[str, str], target: CountingTarget) -> None:
    """A discovery file is enough to be scraped; when it goes its series are stale."""
    folder = Path(environment["AGENTGAUGE_DISCOVERY_DIR"])
    with served(environment, "--no-self-scrape") as server:
        assert server.query("up") == []
        folder.mkdir(parents=True)
        announced = folder / f"{os.getpid()}-1.json"
        announced.write_text(json.dumps([{"targets": [target.address], "labels": {"job": "agentgauge"}}]))
        until("the agent is seen", lambda: server.query("good_total"))
        announced.unlink()
        until("the agent is gone", lambda: not server.query("good_total or up"))


def test_taken_port_and_taken_file_are_said_with_the_holder(
    environment: dict[str, str], target: CountingTarget
) -> None:
    """A second server names who holds the file, and who holds the port, and what to do."""

    def refused(*arguments: str) -> str:
        done = subprocess.run(
            command("serve", *arguments), env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        return done.stderr

    with served(environment) as server:
        pid = str(server.process.pid)
        assert pid in refused("--listen", "127.0.0.1:0")
        message = refused("--memory", "--listen", server.url.removeprefix("http://"))
        assert pid in message
        assert "--listen" in message


def test_other_names_and_other_origins_are_refused(environment: dict[str, str]) -> None:
    """A re-pointed domain and a page from elsewhere get 403; --allow-host and --allow-origin let them in."""

    def status(server: Served, **headers: str) -> int:
        request = urllib.request.Request(f"{server.url}/api/v1/labels", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=LIMIT_S) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    with served(environment, "--allow-host", "gauge.lan", "--allow-origin", "http://grafana.lan") as server:
        assert status(server, Host="evil.example:1") == 403
        assert status(server, Host="gauge.lan:9095") == 200
        assert status(server, Origin="http://evil.example") == 403
        assert status(server, Origin="null") == 403
        assert status(server, Origin=server.url) == 200
        assert status(server, Origin="http://grafana.lan") == 200


def test_query_asks_server_file_and_url(environment: dict[str, str], target: CountingTarget) -> None:
    """The three addresses answer alike; errors say the next step; a parse error has a caret under its column."""

    def query(*arguments: str, rc: int = 0, listen: str = "127.0.0.1:1") -> str:
        done = subprocess.run(
            command("query", *arguments), env={**environment, "AGENTGAUGE_LISTEN": listen},
            capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
        assert done.returncode == rc, done.stderr
        return done.stdout if rc == 0 else done.stderr

    with served(environment, "--target", target.address) as server:
        until("samples are stored", lambda: server.query("good_total"))
        at = str(CLOCK.now_ms() / 1000)
        listen = server.url.removeprefix("http://")
        database = str(Path(environment["XDG_DATA_HOME"]) / "agentgauge" / "metrics.db")
        answers = [
            json.loads(query("--json", "--time", at, "up", *where, listen=listen))
            for where in ((), ("--url", server.url), ("--db", database))
        ]
        assert answers[0] == answers[1] == answers[2]
        assert answers[0]["data"]["resultType"] == "vector"
        assert target.address in query("up", listen=listen)
        assert "┤" in query("--range", "10s", "good_total", listen=listen)
        error = query("sum((", "--db", database, rc=1)
        assert error.endswith("    sum((\n         ^\n")
    assert "agentgauge serve" in query("up", rc=1)
    assert "no file" in query("up", "--db", "/nowhere/x.db", rc=1)


def test_a_target_that_never_was_is_down_with_the_reason(environment: dict[str, str]) -> None:
    """Nothing listens there: up is 0 from the first scrape, in words of the system."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with served(environment, "--target", f"127.0.0.1:{port}", "--no-self-scrape") as server:
            ((_, up),) = until("up is there", lambda: server.query("up"))
            assert up == 0
            (state,) = server.get("targets")["activeTargets"]
            assert "refused" in state["lastError"]
