"""Exact under many processes: 8 workers, 20,000 calls, two of them killed with -9 and replaced.

The truth is what the workers answered. Of a killed one, everything up to its last scrape must be there, nothing twice;
of all others, everything. Looked at through our server and through a real Prometheus that reads the same folder.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
from tests.loopback import free_port, until

from agentgauge.model.clock import SystemClock

CLOCK = SystemClock()
HERE = Path(__file__).parent / "processes"
N_WORKERS = 8
N_CALLS = 20_000
PER_ORDER = 40
LIMIT_S = 60.0
CALLS = 'agent_tool_calls_total{status="success"}'


class Queried:
    """A server that answers PromQL."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, query: str) -> list[dict[str, Any]]:
        url = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        with urllib.request.urlopen(url, timeout=LIMIT_S) as answer:
            return list(json.load(answer)["data"]["result"])

    def number(self, query: str) -> float:
        found = self.ask(query)
        return float(found[0]["value"][1]) if found else 0.0

    def answers(self) -> bool:
        try:
            return self.number("vector(1)") == 1
        except (urllib.error.URLError, OSError):
            return False


class Pool(Protocol):
    """Workers that do what they are told and say which of them did it."""

    def order(self, **order: int) -> int:
        """Have one do something; return its pid."""

    def kill(self, pid: int) -> None:
        """Kill one with -9; another takes its place."""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AGENTGAUGE_")}
    return {**kept, "AGENTGAUGE_DISCOVERY_DIR": str(tmp_path / "targets"), "HOME": str(tmp_path)}


@contextmanager
def running(command: list[str], environ: dict[str, str], **settings: Any) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command, env=environ, text=True, **settings) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture
def ours(environ: dict[str, str]) -> Iterator[Queried]:
    port = free_port()
    command = [sys.executable, "-m", "agentgauge", "serve", "--memory", "--listen", f"127.0.0.1:{port}"]
    command += ["--interval", "500ms", "--no-self-scrape"]
    with running(command, environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        server = Queried(f"http://127.0.0.1:{port}")
        until("our server answers", server.answers)
        yield server


@pytest.fixture
def prometheus(environ: dict[str, str], program: Callable[[str], str], tmp_path: Path) -> Iterator[Queried]:
    port = free_port()
    folder = Path(environ["AGENTGAUGE_DISCOVERY_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: agents, file_sd_configs: [{{files: ['{folder}/*.json']}}]}}]\n"
    )
    command = [program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'tsdb'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    with running(command, environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        server = Queried(f"http://127.0.0.1:{port}")
        until("Prometheus answers", server.answers)
        yield server


class Workers:
    """Workers of ``multiprocessing``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._pids: list[int] = self._read()

    def _read(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())

    def _send(self, **order: int) -> int:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._read()["pid"])

    def order(self, **order: int) -> int:
        return self._send(worker=random.randrange(N_WORKERS), **order)

    def kill(self, pid: int) -> None:
        worker = self._pids.index(pid)
        self._pids[worker] = self._send(worker=worker, kill=1)


class Web:
    """Workers of gunicorn."""

    def __init__(self, port: int) -> None:
        self._port = port

    def order(self, **order: int) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=LIMIT_S)
        try:
            connection.request("GET", f"/?{urllib.parse.urlencode(order)}")
            return int(json.load(connection.getresponse())["pid"])
        finally:
            connection.close()

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)

    def answers(self) -> bool:
        try:
            return self.order(n=0) > 0
        except OSError:
            return False


@pytest.fixture(params=["fork", "spawn", "forkserver", "gunicorn", "gunicorn-preload"])
def pool(request: pytest.FixtureRequest, environ: dict[str, str]) -> Iterator[Pool]:
    """Eight workers of each kind."""
    kind: str = request.param
    if not kind.startswith("gunicorn"):
        command = [sys.executable, str(HERE / "workers.py"), kind, str(N_WORKERS)]
        with running(command, environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            yield Workers(process)
            assert process.stdin
            process.stdin.close()
            process.wait(LIMIT_S)
        return
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-w", str(N_WORKERS), "-k", "uvicorn_worker.UvicornWorker"]
    command += ["-b", f"127.0.0.1:{port}", "--chdir", str(HERE), "--log-level", "error", "--graceful-timeout", "5"]
    command += ["--no-control-socket", *(["--preload"] if kind.endswith("preload") else []), "web:app"]
    with running(command, environ):
        web = Web(port)
        until("gunicorn answers", web.answers)
        yield web


class Bookkeeper:
    """What each process has done, and when."""

    def __init__(self, pool: Pool, folder: Path) -> None:
        self._pool = pool
        self._folder = folder
        self.done: dict[int, list[tuple[int, int]]] = {}
        self.instances: dict[int, str] = {}

    def work(self, n_calls: int) -> None:
        """Have the pool do so many calls."""
        for _ in range(n_calls // PER_ORDER):
            pid = self._pool.order(n=PER_ORDER)
            before = self.total(pid)
            self.done.setdefault(pid, []).append((CLOCK.now_ms(), before + PER_ORDER))

    def total(self, pid: int) -> int:
        return self.done[pid][-1][1] if pid in self.done else 0

    def at(self, pid: int, t_ms: float) -> int:
        """Return what a process had surely done at a time."""
        return max((total for done_ms, total in self.done[pid] if done_ms <= t_ms), default=0)

    def look(self) -> dict[int, str]:
        """Note which process serves where."""
        for path in self._folder.glob("*.json"):
            try:
                (group,) = json.loads(path.read_text())
            except FileNotFoundError:
                continue
            self.instances[int(group["labels"]["__agentgauge_pid"])] = group["targets"][0]
        return self.instances


def of_instance(instance: str) -> str:
    return CALLS.replace("}", f',instance="{instance}"}}')


@pytest.mark.peer
@pytest.mark.slow
def test_sums_are_exact_with_two_workers_killed(
    pool: Pool, ours: Queried, prometheus: Queried, environ: dict[str, str]
) -> None:
    """Nothing lost but what the killed did after their last scrape, nothing twice, no task left running."""
    folder = Path(environ["AGENTGAUGE_DISCOVERY_DIR"])
    books = Bookkeeper(pool, folder)
    servers = (ours, prometheus)
    books.work(N_CALLS // 2)
    until("every worker is announced", lambda: set(books.done) <= set(books.look()))
    for server in servers:
        until("all is scraped", lambda: server.number(f"sum({CALLS})") == N_CALLS // 2)  # noqa: B023 - ends with the turn
    hung = Counter(pool.order(hang=1) for _ in range(4 * N_WORKERS))
    until("tasks show as running", lambda: ours.number("sum(agent_active_count)") == 4 * N_WORKERS)
    killed = [pid for pid, _ in hung.most_common(2)]
    books.work(N_CALLS // 4)
    for pid in killed:
        pool.kill(pid)
    killed_ms = CLOCK.now_ms()
    books.work(N_CALLS // 4)
    until("every worker is announced", lambda: set(books.done) <= set(books.look()))
    survivors = sum(books.total(pid) for pid in books.done if pid not in killed)

    for server in servers:
        stored = 0.0
        for pid in killed:
            (series,) = server.ask(f"{of_instance(books.instances[pid])}[10m]")
            t_s, value = series["values"][-1]
            assert t_s * 1000 <= killed_ms + 1000
            assert books.at(pid, t_s * 1000) <= float(value) <= books.total(pid)
            stored += float(value)
        query = f"sum(last_over_time({CALLS}[10m]))"
        until("the sum is the truth", lambda: server.number(query) == survivors + stored)  # noqa: B023
        # Of what the killed left open nothing remains; the others' tasks still run.
        n_left = sum(hung.values()) - sum(hung[pid] for pid in killed)
        until("the killed run nothing", lambda: server.number("sum(agent_active_count)") == n_left)  # noqa: B023
    for pid in hung.keys() - killed:
        pool.kill(pid)
    for server in servers:
        until("nothing runs", lambda: server.number("sum(agent_active_count)") == 0)  # noqa: B023
    until("files of the dead are gone", lambda: pool.order(n=1) and len(list(folder.glob("*.json"))) <= N_WORKERS + 1)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_that_end_before_a_scrape_are_counted(method: str, ours: Queried, environ: dict[str, str]) -> None:
    """Pools that are gone at once: every call is there, under one instance for all of them, as an increase too."""
    command = [sys.executable, str(HERE / "short_lived.py"), method]
    subprocess.run(command, check=True, env=environ, timeout=LIMIT_S, stderr=subprocess.DEVNULL)
    query = 'sum(last_over_time(agent_tool_calls_total{tool_name="short",status="success"}[10m]))'
    until("every call is there", lambda: ours.number(query) == 203)
    ended = Path(environ["AGENTGAUGE_DISCOVERY_DIR"]) / "ended"
    assert not list(ended.glob("*.json"))


STARTED = """
import json, sys
import agentgauge as ag
sys.stdin.readline()
exposition = ag.start()
with ag.tool_call("t"):
    pass
print(json.dumps({"port": exposition.port, "again": ag.start().port}), flush=True)
sys.stdin.readline()
"""


@pytest.mark.slow
def test_fifty_processes_started_at_once(environ: dict[str, str]) -> None:
    """Each gets a port of its own and a discovery file; starting twice, as a notebook does, changes nothing."""
    command, pipe = [sys.executable, "-c", STARTED], subprocess.PIPE
    processes = [
        subprocess.Popen(command, env=environ, text=True, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        for _ in range(50)
    ]
    try:
        for process in processes:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [json.loads(process.stdout.readline()) for process in processes if process.stdout]
        assert len({answer["port"] for answer in told}) == 50
        assert all(answer["port"] == answer["again"] for answer in told)
        files = list(Path(environ["AGENTGAUGE_DISCOVERY_DIR"]).glob("*.json"))
        announced = {json.loads(path.read_text())[0]["targets"][0] for path in files}
        assert announced == {f"127.0.0.1:{answer['port']}" for answer in told}
    finally:
        for process in processes:
            process.communicate("end\n", timeout=LIMIT_S)
    assert not list(Path(environ["AGENTGAUGE_DISCOVERY_DIR"]).glob("*.json"))


MULTIPROCESS_MODE = """
import os
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
import urllib.request
import agentgauge as ag

own = Counter("own", "A metric of the application's own.")
registry = CollectorRegistry()
MultiProcessCollector(registry)
exposition = ag.start(port=0)
own.inc()
with ag.tool_call("t"):
    pass
ours = urllib.request.urlopen(exposition.url).read().decode()
theirs = generate_latest(registry).decode()
assert 'agent_tool_calls_total{agent="unknown",tool_name="t",status="success"} 1' in ours
assert "own_total 1.0" in theirs and "own_total" not in ours
assert "agent_tool_calls_total" not in theirs
"""


def test_beside_the_clients_multiprocess_mode(environ: dict[str, str], tmp_path: Path) -> None:
    """Where PROMETHEUS_MULTIPROC_DIR is set each keeps to itself, and none of ours is in that folder's files."""
    folder = tmp_path / "multiproc"
    folder.mkdir()
    command = [sys.executable, "-c", MULTIPROCESS_MODE]
    subprocess.run(command, check=True, env={**environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}, timeout=LIMIT_S)
    assert all(b"agent_" not in path.read_bytes() for path in folder.iterdir())
