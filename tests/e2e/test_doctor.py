"""``agentgauge doctor`` on running systems: quiet when all is well, and each thing that is broken by its own row.

The five failures of the how-to from which this product was born are here under their own names.
"""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from email.utils import formatdate
from pathlib import Path

import pytest
from tests.loopback import CountingTarget, free_port, until

from agentgauge.doctor.synthetic import HOPS, probe_hops
from agentgauge.model.clock import SystemClock
from agentgauge.model.discovery import PID_LABEL
from agentgauge.simulator.config import SimulatorConfig
from agentgauge.simulator.server import run_in_thread

CLOCK = SystemClock()
LIMIT_S = 90.0
INTERVAL = "500ms"

Rows = dict[str, dict[str, str]]

AGENT = """
import sys, time
import agentgauge as ag, ollama
ag.start(port=int(sys.argv[1]), port_search=0)
ag.instrument("ollama")
client = ollama.Client(host=sys.argv[2])
print("ready", flush=True)
while True:
    with ag.task(agent="researcher"):
        client.chat("llama3.1:8b", [{"role": "user", "content": "hello"}])
        with ag.tool_call("search"):
            time.sleep(0.1)
"""

HOW_TO_SESSIONS = """
import sys
from prometheus_client import Counter, start_http_server
TOOL_CALL_COUNTER = Counter("agent_tool_calls_total", "Calls", ["agent", "tool_name", "status", "session_id"])
for session in range(600):
    TOOL_CALL_COUNTER.labels(agent="a", tool_name="search", status="success", session_id=f"s-{session}").inc()
start_http_server(int(sys.argv[1]), addr="127.0.0.1")
print("ready", flush=True)
sys.stdin.read()
"""

HOW_TO_BUCKETS = """
import sys
from prometheus_client import Histogram, start_http_server
LLM_LATENCY = Histogram("agent_llm_latency_seconds", "LLM call latency", ["agent"],
                        buckets=(0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0))
for call in range(40):
    LLM_LATENCY.labels(agent="a").observe(4.0 if call % 2 else 45.0)
start_http_server(int(sys.argv[1]), addr="127.0.0.1")
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def running(environment: Mapping[str, str], *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a Python program until the block ends; yields the first line that it says, and the process."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, *arguments],
        env=dict(environment),
        stdin=pipe,
        stdout=pipe,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        first_line = process.stdout.readline()
        assert first_line, "it ended without a word"
        yield first_line, process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@contextmanager
def serving(environment: Mapping[str, str], *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a server on a free port; yields its address."""
    line = ("-m", "agentgauge", "serve", "--listen", "127.0.0.1:0", "--interval", INTERVAL, *arguments)
    with running(environment, *line) as (said, process):
        yield next(word for word in said.split() if word.startswith("http://")), process


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing of this machine's own is seen."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AGENTGAUGE_", "OLLAMA_")) and name not in ("VIRTUAL_ENV", "PYTHONPATH")
    }
    return {
        **kept,
        "AGENTGAUGE_DISCOVERY_DIR": str(tmp_path / "targets"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "PATH": f"{sys.prefix}/bin",
    }


def doctor(environment: Mapping[str, str], url: str, *arguments: str) -> tuple[int, Rows]:
    """Run the command; return its exit status and its rows by check."""
    done = subprocess.run(
        [sys.executable, "-m", "agentgauge", "doctor", "--url", url, "--json", *arguments],
        env=dict(environment), capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, {row["check"]: row for row in json.loads(done.stdout)["findings"]}


def rows_of_page(url: str) -> Rows:
    """Return the rows that the page shows."""
    with urllib.request.urlopen(f"{url}/api/doctor", timeout=LIMIT_S) as response:
        return {row["check"]: row for row in json.load(response)["findings"]}


def has_samples(url: str, expr: str) -> bool:
    form = urllib.parse.urlencode({"query": expr})
    with urllib.request.urlopen(f"{url}/api/v1/query?{form}", timeout=LIMIT_S) as response:
        return bool(json.load(response)["data"]["result"])


def wrong(rows: Rows) -> dict[str, str]:
    """Return the rows that are no praise."""
    return {check: row["detail"] for check, row in rows.items() if row["verdict"] in ("warn", "bad")}


def test_a_healthy_system_has_nothing_to_look_at(environment: dict[str, str]) -> None:
    """An instrumented agent on a model server, scraped by our server: no warning, on the command line or the page."""
    port = free_port()
    with ExitStack() as stack:
        simulator = stack.enter_context(run_in_thread(SimulatorConfig(speed=20, parallel=2)))
        environment["OLLAMA_HOST"] = simulator.url
        url, _ = stack.enter_context(serving(environment))
        stack.enter_context(running(environment, "-c", AGENT, str(port), simulator.url))
        until("two minutes' worth of rows", lambda: has_samples(url, "rate(agentgauge_overhead_seconds_total[5m]) > 0"))
        until("the server knows itself", lambda: has_samples(url, "rate(agentgauge_process_cpu_seconds_total[5m])"))
        status, rows = doctor(environment, url, "--port", str(port))
        assert wrong(rows) == {}
        assert status == 0
        assert {check for check, row in rows.items() if row["verdict"] == "unknown"} <= {"buckets"}
        assert "ollama 0." in rows["versions"]["detail"]
        assert simulator.url in rows["ollama"]["looked_at"]
        assert wrong(rows_of_page(url)) == {}


def test_failure_1_cardinality_explosion(environment: dict[str, str]) -> None:
    """A session id as a label, written as in the how-to: metric, instance and label are named."""
    port = free_port()
    with (
        running(environment, "-c", HOW_TO_SESSIONS, str(port)),
        serving(environment, "--memory", "--target", f"127.0.0.1:{port}") as (url, _),
    ):
        until("it is scraped", lambda: has_samples(url, "agent_tool_calls_total"))
        _, rows = doctor(environment, url)
        row = rows["cardinality"]
        assert row["verdict"] == "warn"
        assert f"agent_tool_calls_total on 127.0.0.1:{port} has 600 values of session_id" in row["detail"]
        assert "session_id" in row["mend"]


def test_failure_2_port_conflict(environment: dict[str, str]) -> None:
    """Two programs of the how-to want one port: the second crashes, and the doctor names the process that holds it."""
    port = free_port()
    with (
        running(environment, "-c", HOW_TO_BUCKETS, str(port)) as (_, holder),
        serving(environment, "--memory") as (url, _),
    ):
        second = subprocess.run(
            [sys.executable, "-c", HOW_TO_BUCKETS, str(port)],
            env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
        assert "Address already in use" in second.stderr
        _, rows = doctor(environment, url, "--port", str(port))
        row = rows["port"]
        assert row["verdict"] == "warn"
        assert f"(pid {holder.pid})" in row["detail"]
        assert str(port) in row["mend"]


def test_failure_3_histogram_buckets(environment: dict[str, str]) -> None:
    """Half of the calls take 45 s and the buckets of the how-to end at 30."""
    port = free_port()
    with (
        running(environment, "-c", HOW_TO_BUCKETS, str(port)),
        serving(environment, "--memory", "--target", f"127.0.0.1:{port}") as (url, _),
    ):
        until("it is scraped", lambda: has_samples(url, "agent_llm_latency_seconds_count"))
        _, rows = doctor(environment, url)
        row = rows["buckets"]
        assert (row["verdict"], row["mend"]) == ("warn", "agentgauge buckets suggest --last 1h")
        assert (
            "agent_llm_latency_seconds: 50% of 40 observations are above 10, 50% above its last bound 30"
            in row["detail"]
        )


def test_failure_4_version_mismatch(environment: dict[str, str], tmp_path: Path) -> None:
    """An old client stands before the installed one: its version is named, with the line that mends it."""
    for name, version in (("ollama", "0.3.3"), ("prometheus_client", "0.9.0")):
        folder = tmp_path / "old" / f"{name}-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    with serving(environment, "--memory") as (url, _):
        status, rows = doctor({**environment, "PYTHONPATH": str(tmp_path / "old")}, url)
    row = rows["packages"]
    assert (status, row["verdict"]) == (1, "bad")
    assert "ollama 0.3.3 is older than tested" in row["detail"]
    assert "prometheus_client 0.9.0 is older than tested" in row["detail"]
    assert "'ollama>=0.4,<1'" in row["mend"]


def test_failure_5_environment_drift(environment: dict[str, str], tmp_path: Path) -> None:
    """Another environment is activated, another agentgauge comes first: both are named, with what really runs."""
    other = tmp_path / "other"
    (other / "bin").mkdir(parents=True)
    program = other / "bin" / "agentgauge"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    drifted = {**environment, "VIRTUAL_ENV": str(other), "PATH": f"{other}/bin:{environment['PATH']}"}
    with serving(environment, "--memory") as (url, _):
        _, rows = doctor(drifted, url)
    assert rows["environment"]["verdict"] == rows["binary"]["verdict"] == "warn"
    assert str(other) in rows["environment"]["detail"]
    assert sys.prefix in rows["environment"]["detail"]
    assert str(program) in rows["binary"]["detail"]


class Symptoms(http.server.BaseHTTPRequestHandler):
    """Everything wrong that a target and a model server can have; the counters go up and begin anew."""

    server: CountingTarget

    def do_GET(self) -> None:
        if self.path == "/html":
            self._send(200, "text/html", "<html>a page</html>")
        elif self.path == "/api/version":
            self._send(200, "application/json", '{"version": "0.1.48"}')
        elif self.path.startswith("/api/"):
            self._send(200, "application/json", '{"models": [{"name": "m:1", "size": 100, "size_vram": 40}]}')
        elif self.path == "/metrics":
            self.server.n += 1
            self._send(200, "text/plain; version=0.0.4", self.server.text(self.server.n), ahead_s=600)
        else:
            self._send(404, "text/plain", "not here")

    def _send(self, status: int, kind: str, body: str, ahead_s: float = 0) -> None:
        self.send_response_only(status)
        self.send_header("Date", formatdate(CLOCK.now_ms() / 1000 + ahead_s, usegmt=True))
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


def metrics(n: int) -> str:
    """Return the n-th text: what an agent in a bad way would show."""
    samples = {
        'agentgauge_build_info{version="0.0.1",python="3.8.0"}': 1,
        'agentgauge_library_info{library="ollama",version="0.3.1"}': 1,
        'agentgauge_foreign_instrumentation{library="opentelemetry.instrumentation.ollama"}': 1,
        'agentgauge_labels_folded_total{metric="agent_tool_calls_total",label="tool_name"}': 5 * n,
        'agentgauge_record_errors_total{where="llm"}': n,
        'agentgauge_samples_dropped_total{reason="too_old"}': n,
        'agentgauge_overhead_seconds_total{part="record"}': 0.4 * n,
        "agentgauge_accounting_error_seconds": 2.5,
        "agentgauge_series": 20_000,
        "agentgauge_series_limit": 20_000,
        'agent_tasks_total{agent="a",status="success"}': n % 3,
        'agent_llm_calls_total{agent="a",model="gone",status="success"}': 9 * n,
        'agent_token_usage_total{agent="a",model="gone",token_type="prompt"}': 0,
        'agent_llm_phase_seconds_total{agent="a",model="gone",phase="load"}': 3 * n,
        'agent_llm_truncations_total{agent="a",model="gone",reason="context"}': n,
    }
    return "# TYPE agentgauge_series gauge\n" + "".join(f"{name} {value}\n" for name, value in samples.items())


@pytest.fixture
def patient() -> Iterator[CountingTarget]:
    patient = CountingTarget(metrics, Symptoms)
    yield patient
    patient.close()


SEEDED = {
    "answers": "answers with HTML",
    "clock": "ahead",
    "discovery": "stale",
    "duplicates": "opentelemetry.instrumentation.ollama",
    "dropped": "too_old",
    "errors": "llm",
    "accounting": "2.500 s",
    "folded": "tool_name",
    "gaps": "gaps",
    "models": "gone",
    "ollama_version": "0.1.48 is older",
    "overhead": "the budget is 2%",
    "reloads": "num_ctx",
    "resets": "began anew",
    "series": "__other__",
    "targets": "down",
    "tokens": "a on gone",
    "truncation": "a on gone",
    "twice": "localhost",
    "versions": "ollama 0.3.1, older",
}
"""Check -> a word of its row; ``disk``, ``python`` and the rest are seeded in the unit tests, on facts."""


def test_everything_wrong_at_once_is_found_row_by_row(
    environment: dict[str, str], patient: CountingTarget, tmp_path: Path
) -> None:
    """Twenty faults on one running system, each in its own row: no fault hides another."""
    folder = Path(environment["AGENTGAUGE_DISCOVERY_DIR"])
    folder.mkdir()
    gone = [{"targets": ["127.0.0.1:1"], "labels": {PID_LABEL: str(2**22 + 7)}}]
    (folder / "4194311-1.json").write_text(json.dumps(gone))
    environment["OLLAMA_HOST"] = f"http://{patient.address}"
    targets = (
        patient.address,
        f"localhost:{patient.server_port}",
        f"http://{patient.address}/html",
        f"127.0.0.1:{free_port()}",
    )
    arguments = [word for address in targets for word in ("--target", address)]
    with serving(environment, "--memory", *arguments) as (url, server):
        until("a dozen scrapes", lambda: patient.n > 24)
        server.send_signal(signal.SIGSTOP)
        threading.Event().wait(2.5)
        server.send_signal(signal.SIGCONT)

        def missing() -> dict[str, str]:
            rows = rows_of_page(url)
            return {
                check: rows[check]["detail"]
                for check, word in SEEDED.items()
                if rows[check]["verdict"] not in ("warn", "bad") or word not in rows[check]["detail"]
            }

        left: dict[str, str] = {}

        def all_found() -> bool:
            nonlocal left
            left = missing()
            return not left

        start_ns = CLOCK.monotonic_ns()
        while not all_found() and CLOCK.monotonic_ns() - start_ns < 60e9:
            threading.Event().wait(1.0)
        assert left == {}
        status, rows = doctor(environment, url)
        assert status == 1
        assert set(SEEDED) <= set(wrong(rows))
        assert all(rows[check]["mend"] for check in SEEDED)


def test_a_model_server_that_is_down_is_bad_when_it_was_named(environment: dict[str, str]) -> None:
    """With an address of our own the doctor insists; at the default address it only says that nobody is there."""
    with serving(environment, "--memory") as (url, _):
        status, rows = doctor(environment, url, "--ollama", f"http://127.0.0.1:{free_port()}")
        assert (status, rows["ollama"]["verdict"]) == (1, "bad")
        assert "refused" in rows["ollama"]["detail"]


FOLDING = """
import sys, uuid
import agentgauge as ag

def answer(session):
    with ag.task(agent="helper"):
        with ag.tool_call(f"search-{session}"):
            pass

if sys.argv[1] == "app":
    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import Mount

    for _ in range(7):
        answer(uuid.uuid4())
    print("ready", flush=True)
    app = Starlette(routes=[Mount("/metrics", ag.metrics_app())])
    uvicorn.run(app, port=int(sys.argv[2]), log_level="error")
else:
    ag.start(port=int(sys.argv[2]), port_search=0)
    for _ in range(7):
        answer(uuid.uuid4())
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("kind", ["endpoint", "app"])
def test_folded_labels_are_shown_with_the_line_that_made_them(
    environment: dict[str, str], tmp_path: Path, kind: str
) -> None:
    """An id in a tool's name, at an endpoint or in a web application: page and command name file and line."""
    script, port = tmp_path / "an agent.py", free_port()
    script.write_text(FOLDING)
    targets = ("--target", f"http://127.0.0.1:{port}/metrics/") if kind == "app" else ()
    with (
        running(environment, str(script), kind, str(port)),
        serving(environment, "--memory", *targets) as (url, _),
    ):
        until("folds are scraped", lambda: has_samples(url, "agentgauge_labels_folded_total > 0"))
        row = rows_of_page(url)["folded"]
        made = rf"tool_name of agent_tool_calls_total.*, \d+ times, made at {re.escape(str(script))}:7 in answer"
        assert row["verdict"] == "warn"
        assert re.search(made, row["detail"])
        assert row["mend"].startswith(f"sed -n 7p '{script}'")
        _, rows = doctor(environment, url)
        assert rows["folded"] == row


def test_without_a_server_the_machine_is_looked_at_all_the_same(environment: dict[str, str]) -> None:
    """One row says that the server does not answer; what could not be seen is not called wrong."""
    status, rows = doctor(environment, f"http://127.0.0.1:{free_port()}")
    assert status == 1
    assert set(wrong(rows)) == {"server"}
    assert rows["python"]["verdict"] == "ok"
    assert rows["folded"]["verdict"] == "unknown"


def test_a_call_that_is_measured_twice_is_told(environment: dict[str, str]) -> None:
    """A hand-written block around a call that the hook measures too."""
    program = AGENT.replace('client.chat("llama3.1:8b"', 'with ag.llm_call("m"): client.chat("llama3.1:8b"')
    with ExitStack() as stack:
        simulator = stack.enter_context(run_in_thread(SimulatorConfig(speed=50)))
        url, _ = stack.enter_context(serving(environment, "--memory"))
        stack.enter_context(running(environment, "-c", program, str(free_port()), simulator.url))
        until("it is told", lambda: has_samples(url, "agentgauge_nested_llm_calls_total"))
        _, rows = doctor(environment, url, "--ollama", simulator.url)
        assert rows["duplicates"]["verdict"] == "warn"
        assert "inside a block ag.llm_call()" in rows["duplicates"]["detail"]


def test_a_probe_goes_through_every_hop(environment: dict[str, str]) -> None:
    """Recorded, exposed, announced, scraped, stored, queried; the exit status is 0."""
    with serving(environment) as (url, _):
        done = subprocess.run(
            [sys.executable, "-m", "agentgauge", "doctor", "--probe", "--json", "--url", url],
            env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
    said = json.loads(done.stdout)
    assert [(hop["hop"], hop["verdict"]) for hop in said["hops"]] == [(hop, "ok") for hop in HOPS], said
    assert (done.returncode, said["broken"]) == (0, None)


async def test_the_broken_hop_is_named(environment: dict[str, str], tmp_path: Path) -> None:
    """No server; a server that looks into another folder; a folder that cannot be written: each by its hop."""
    folder = environment["AGENTGAUGE_DISCOVERY_DIR"]

    async def broken(url: str, where: str) -> tuple[str, str]:
        hops = await probe_hops(url, where, patience_s=2.0)
        first = next(hop for hop in hops if hop.verdict != "ok")
        assert first.mend
        assert [hop.verdict for hop in hops[hops.index(first) + 1 :]] == ["unknown"] * (
            len(hops) - hops.index(first) - 1
        )
        return first.name, first.detail

    assert (await broken(f"http://127.0.0.1:{free_port()}", folder))[0] == "server"
    with serving(environment, "--memory") as (url, _):
        name, detail = await broken(url, str(tmp_path / "elsewhere"))
        assert (name, "never found" in detail) == ("scrape", True)
        (tmp_path / "a-file").write_text("")
        assert (await broken(url, str(tmp_path / "a-file" / "below")))[0] == "announce"
