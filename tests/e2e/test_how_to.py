"""The how-to that people paste works as written with agentgauge beside it, in the same process and on the same machine.

Metrics of the same names made by hand with prometheus_client, an endpoint of its own on the usual port, a
verification by import and request, and the three queries: answered from both, by our server.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.loopback import free_port, until

BY_HAND = """
import sys, time
from prometheus_client import Counter, Gauge, Histogram, start_http_server
import agentgauge as ag

PORT = int(sys.argv[1])
TOOL_CALLS = Counter("agent_tool_calls_total", "Total tool calls by tool name", ["agent", "tool_name", "status"])
LLM_LATENCY = Histogram(
    "agent_llm_latency_seconds", "LLM call latency in seconds", ["agent"], buckets=(0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
)
TOKENS = Counter("agent_token_usage_total", "Token usage by agent", ["agent", "token_type"])
ACTIVE = Gauge("agent_active_count", "Number of currently active agents", ["agent_type"])
TASKS = Counter("agent_tasks_total", "Tasks by completion status", ["agent", "status"])
DURATION = Histogram("agent_task_duration_seconds", "End-to-end task duration", ["agent"])

def monitored_tool_call(agent, tool, fail):
    start = time.time()
    try:
        if fail:
            raise ValueError("tool")
        TOOL_CALLS.labels(agent=agent, tool_name=tool, status="success").inc()
    except Exception:
        TOOL_CALLS.labels(agent=agent, tool_name=tool, status="error").inc()
        raise
    finally:
        LLM_LATENCY.labels(agent=agent).observe(time.time() - start)

start_http_server(PORT)
exposition = ag.start(port=PORT)
print(exposition.url, flush=True)

for line in sys.stdin:
    for i in range(5):
        with ag.task(agent="easy"):
            try:
                monitored_tool_call("hard", "search", fail=i == 0)
            except ValueError:
                pass
            try:
                with ag.tool_call("search"):
                    if i == 0:
                        raise ValueError("tool")
            except ValueError:
                pass
            with ag.llm_call(model="m"):
                pass
    TOKENS.labels(agent="hard", token_type="prompt").inc(12)
    TASKS.labels(agent="hard", status="success").inc()
    DURATION.labels(agent="hard").observe(0.2)
    ACTIVE.labels(agent_type="hard").set(1)
    print("done", flush=True)
"""

QUERIES = (
    "topk(5, sum(rate(agent_tool_calls_total[5m])) by (tool_name))",
    'sum(rate(agent_tool_calls_total{status="error"}[5m])) by (agent)'
    " / sum(rate(agent_tool_calls_total[5m])) by (agent)",
    "histogram_quantile(0.95, sum(rate(agent_llm_latency_seconds_bucket[5m])) by (le))",
)


def get_json(url: str) -> dict[str, object]:
    """Return what an address answers, as JSON."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return dict(json.load(answer))


class Agent:
    """The pasted script, running; ``work`` lets it do its calls once."""

    def __init__(self, process: subprocess.Popen[str], port: int, url: str) -> None:
        self._process = process
        self.by_hand_url = f"http://127.0.0.1:{port}/metrics"
        self.url = url

    def work(self) -> None:
        """Let it call its tools five times, one of them failing."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment with a discovery folder of its own."""
    return {**os.environ, "AGENTGAUGE_DISCOVERY_DIR": str(tmp_path / "targets")}


@pytest.fixture
def agent(environ: dict[str, str]) -> Iterator[Agent]:
    """The pasted script."""
    port = free_port()
    command = [sys.executable, "-c", BY_HAND, str(port)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environ
    ) as process:
        assert process.stdout
        yield Agent(process, port, process.stdout.readline().strip())
        process.kill()


@pytest.fixture
def server(environ: dict[str, str], agent: Agent) -> Iterator[str]:
    """Our server, scraping the agent's own endpoint as a target and ours by discovery."""
    target = agent.by_hand_url.removeprefix("http://").removesuffix("/metrics")
    port = free_port()
    command = [sys.executable, "-m", "agentgauge", "serve", "--memory", "--listen", f"127.0.0.1:{port}"]
    command += ["--interval", "500ms", "--target", target, "--no-self-scrape"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout
        assert "http" in process.stdout.readline()
        yield f"http://127.0.0.1:{port}"
        process.terminate()


def ask(server: str, query: str) -> list[dict[str, object]]:
    """Return the result of an instant query."""
    answer = get_json(f"{server}/api/v1/query?{urllib.parse.urlencode({'query': query})}")
    return list(answer["data"]["result"])  # type: ignore[index]


def test_both_endpoints_live_side_by_side(agent: Agent) -> None:
    """The script keeps its port, ours moves on to the next, and each shows its own."""
    agent.work()
    by_hand = urllib.request.urlopen(agent.by_hand_url, timeout=10).read().decode()
    ours = urllib.request.urlopen(agent.url, timeout=10).read().decode()
    assert 'agent_tool_calls_total{agent="hard",status="error",tool_name="search"} 1.0' in by_hand
    assert 'agent_tool_calls_total{agent="easy",tool_name="search",status="error"} 1' in ours.replace(".0", "") or (
        'agent_tool_calls_total{agent="easy",status="error",tool_name="search"} 1' in ours.replace(".0", "")
    )
    assert "hard" not in ours
    assert "easy" not in by_hand


def test_the_verification_script(environ: dict[str, str]) -> None:
    """A counter of one's own, a thread, a port, a request: with agentgauge imported and started, True as ever."""
    script = f"""
import agentgauge; agentgauge.start(port={free_port()})
from prometheus_client import Counter, start_http_server
import threading, urllib.request
Counter('test_total', 'Test', ['label']).labels(label='test').inc()
thread = threading.Thread(target=lambda: start_http_server({(port := free_port())}), daemon=True)
thread.start(); thread.join()
print('test_total' in urllib.request.urlopen('http://localhost:{port}/metrics').read().decode())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True, env=environ, timeout=60
    )
    assert done.stdout.strip() == "True", done.stderr


def test_the_three_queries(agent: Agent, server: str) -> None:
    """The how-to's queries answer over metrics made by hand and by us, without a changed character."""
    agent.work()
    until("the tools are seen", lambda: len(ask(server, "agent_tool_calls_total")) >= 4)
    agent.work()
    until("both agents have a share", lambda: len(ask(server, QUERIES[1])) == 2)
    until("both fail now and then", lambda: all(float(row["value"][1]) > 0 for row in ask(server, QUERIES[1])))  # type: ignore[index]
    (top,) = ask(server, QUERIES[0])
    assert top["metric"] == {"tool_name": "search"}
    shares = {row["metric"]["agent"]: float(row["value"][1]) for row in ask(server, QUERIES[1])}  # type: ignore[index]
    assert shares == {"easy": pytest.approx(0.2), "hard": pytest.approx(0.2)}
    (quantile,) = ask(server, QUERIES[2])
    assert 0 < float(quantile["value"][1]) <= 0.1  # type: ignore[index]
