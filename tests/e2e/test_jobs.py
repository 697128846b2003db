"""Short jobs: pushed once, whatever ends them; kept when nobody answers; counted once however often they are sent."""

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

import pytest
from tests.loopback import free_port, until

from agentgauge.model.clock import SystemClock

CLOCK = SystemClock()
LIMIT_S = 30.0

JOB = """
import os, signal, sys, time
import agentgauge as ag

how, n, url = sys.argv[1], int(sys.argv[2]), sys.argv[3]
job = ag.job("nightly-eval", url=url)
job.__enter__()
for _ in range(n):
    with ag.tool_call("search"):
        pass
if how == "leave":
    job.__exit__(None, None, None)
    print(job.outcome, flush=True)
elif how == "raise":
    raise RuntimeError("of the job's own")
elif how == "exit":
    sys.exit(3)
elif how == "sigterm":
    print("ready", flush=True)
    time.sleep(60)
elif how == "fork":
    if os.fork() == 0:
        sys.exit(0)
    os.wait()
    job.__exit__(None, None, None)
"""

TOTAL = 'sum(last_over_time(agent_tool_calls_total{job="nightly-eval",status="success"}[10m]))'


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=LIMIT_S) as answer:
        return bytes(answer.read())


def answers(url: str) -> bool:
    try:
        return bool(get(url) or True)
    except (urllib.error.URLError, OSError):
        return False


def number(server: str, query: str) -> float:
    found = json.loads(get(f"{server}/api/v1/query?{urllib.parse.urlencode({'query': query})}"))["data"]["result"]
    return float(found[0]["value"][1]) if found else 0.0


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AGENTGAUGE_")}
    here = {"AGENTGAUGE_DISCOVERY_DIR": str(tmp_path / "targets"), "AGENTGAUGE_SPOOL_DIR": str(tmp_path / "spool")}
    return {**kept, **here}


def start_server(environ: dict[str, str], port: int, db: Path) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "agentgauge", "serve", "--db", str(db), "--listen", f"127.0.0.1:{port}"]
    process = subprocess.Popen([*command, "--no-self-scrape"], env=environ, text=True, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    until("the server answers", lambda: answers(f"{url}/-/ready"))
    return process, url


def stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait(LIMIT_S)


@pytest.fixture
def server(environ: dict[str, str], tmp_path: Path) -> Iterator[str]:
    process, url = start_server(environ, free_port(), tmp_path / "m.db")
    yield url
    stop(process)


@pytest.fixture
def pushgateway(program: Callable[[str], str]) -> Iterator[str]:
    port = free_port()
    command = [program("prometheus-pushgateway"), f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        until("the Pushgateway answers", lambda: answers(f"{url}/-/ready"))
        yield url
        process.terminate()


def run(environ: dict[str, str], how: str, n: int, url: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", JOB, how, str(n), url]
    return subprocess.run(command, env=environ, text=True, capture_output=True, timeout=LIMIT_S, check=False)


def spooled(environ: dict[str, str]) -> list[Path]:
    return sorted(Path(environ["AGENTGAUGE_SPOOL_DIR"]).glob("*.json"))


def test_runs_add_up_whatever_ends_them(server: str, environ: dict[str, str]) -> None:
    """Left, raised, exited, forked, terminated: each run is pushed once, and the job's own end is not changed."""
    assert run(environ, "leave", 10, server).stdout == "sent\n"
    assert run(environ, "raise", 20, server).returncode == 1
    assert run(environ, "exit", 30, server).returncode == 3
    assert run(environ, "fork", 40, server).returncode == 0
    command = [sys.executable, "-c", JOB, "sigterm", "50", server]
    with subprocess.Popen(command, env=environ, text=True, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        process.terminate()
        assert process.wait(LIMIT_S) == -signal.SIGTERM
    assert number(server, TOTAL) == 150
    increase = number(server, 'sum(increase(agent_tool_calls_total{job="nightly-eval",status="success"}[10m]))')
    assert 150 <= increase < 200  # extrapolated to the edges of the window, as increase() does
    assert number(server, f"count({TOTAL.removeprefix('sum')})") == 1
    assert not spooled(environ)


def test_what_nobody_took_waits_on_disk(environ: dict[str, str], tmp_path: Path) -> None:
    """Two runs without a server, then one with it: all three are there; a restart of the server goes on adding."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    assert run(environ, "leave", 1, url).stdout == "spooled\n"
    assert run(environ, "leave", 2, url).stdout == "spooled\n"
    assert len(spooled(environ)) == 2
    assert all(path.stat().st_mode & 0o077 == 0 for path in spooled(environ))
    process, _ = start_server(environ, port, tmp_path / "m.db")
    try:
        assert run(environ, "leave", 4, url).stdout == "sent\n"
        assert number(url, TOTAL) == 7
        assert not spooled(environ)
    finally:
        stop(process)
    process, _ = start_server(environ, port, tmp_path / "m.db")
    try:
        assert run(environ, "leave", 8, url).stdout == "sent\n"
        assert number(url, TOTAL) == 15
    finally:
        stop(process)


def test_a_push_that_is_sent_again_counts_once(server: str, environ: dict[str, str]) -> None:
    """The same push three times, as after an answer that got lost: added once."""
    text = b"# TYPE agent_tool_calls_total counter\n" + b'agent_tool_calls_total{status="success"} 5\n'
    headers = {"X-Agentgauge-Push": "p1"}
    for _ in range(3):
        request = urllib.request.Request(f"{server}/metrics/job/nightly-eval", text, headers, method="PUT")
        with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
            assert answer.status == 200
    assert number(server, TOTAL) == 5


def test_a_pushgateway_holds_the_last_run(pushgateway: str, environ: dict[str, str]) -> None:
    """The group is replaced by each run, never added to, and a grouping key with a slash arrives whole."""
    assert run(environ, "leave", 10, pushgateway).stdout == "sent\n"
    assert run(environ, "leave", 20, pushgateway).stdout == "sent\n"
    lines = get(f"{pushgateway}/metrics").decode().splitlines()
    (line,) = [line for line in lines if line.startswith("agent_tool_calls_total") and 'status="success"' in line]
    assert 'job="nightly-eval"' in line
    assert line.endswith(" 20")


def test_the_clients_own_push_works(server: str) -> None:
    """``prometheus_client.push_to_gateway`` pointed at our server: its totals are stored as they are."""
    from prometheus_client import CollectorRegistry, Counter, push_to_gateway

    registry = CollectorRegistry()
    counter = Counter("batches", "Batches.", registry=registry)
    for expected in (1, 2):
        counter.inc()
        push_to_gateway(server.removeprefix("http://"), job="by/hand", grouping_key={"shard": "a"}, registry=registry)
        assert number(server, 'batches_total{job="by/hand",shard="a"}') == expected


def test_a_wrong_push_is_refused_with_the_reason(server: str) -> None:
    """A malformed text or address: 400 and a sentence; nothing is stored."""
    for path, body in (("/metrics/job/a/b", b""), ("/metrics/job/", b""), ("/metrics/job/a", b"}{")):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(urllib.request.Request(server + path, body, method="PUT"), timeout=LIMIT_S)
        assert caught.value.code == 400
        assert caught.value.read()
        caught.value.close()
