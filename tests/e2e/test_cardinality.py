"""Cardinality under attack: a million tools, invented models, ids as agents: flat memory, right sums, a culprit."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

ATTACK = """
import json, logging, os, resource, sys, urllib.request, uuid
import agentgauge as ag
from agentgauge.record.api import default_recorder

logging.disable()
exposition = ag.start(port=0)

def resident_kb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024

def random_tool(n):
    for i in range(n):
        with ag.tool_call(f"tool-{i}-{os.getpid()}"):  # the culprit
            pass

def invented_model(n):
    for i in range(n):
        try:
            with ag.llm_call(model=f"llama-{i}:latest"):
                raise ValueError("404: no such model")
        except ValueError:
            pass
        with ag.llm_call(model=f"model-{i}") as call:
            call.usage(prompt=1, completion=1)

def id_as_agent(n):
    for _ in range(n):
        with ag.task(agent=f"agent-{uuid.uuid4()}"):
            pass

n_tools, n_others = int(sys.argv[1]), int(sys.argv[2])
random_tool(n_tools // 10); invented_model(n_others // 10); id_as_agent(n_others // 10)
urllib.request.urlopen(exposition.url).read()
before_kb = resident_kb()
random_tool(n_tools - n_tools // 10); invented_model(n_others - n_others // 10); id_as_agent(n_others - n_others // 10)
body = urllib.request.urlopen(exposition.url).read()
after_kb = resident_kb()

def total(name, **labels):
    return sum(
        sample.value
        for family in default_recorder().ledger.collect()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )

print(json.dumps({
    "grown_kb": after_kb - before_kb,
    "body": len(body),
    "tools": total("agent_tool_calls_total"),
    "other_tools": total("agent_tool_calls_total", tool_name="__other__"),
    "calls": total("agent_llm_calls_total"),
    "tokens": total("agent_token_usage_total"),
    "tasks": total("agent_tasks_total"),
    "other_tasks": total("agent_tasks_total", agent="__other__"),
    "active": total("agent_active_count"),
    "series": total("agentgauge_series"),
    "folded": json.load(urllib.request.urlopen(exposition.url.replace("/metrics", "/debug/folded")))["folded"],
}))
"""


@pytest.mark.slow
def test_a_million_tools_and_invented_models(tmp_path, monkeypatch) -> None:
    """Every call is counted, under few series and in flat memory, and the line that made the labels is named."""
    monkeypatch.setenv("AGENTGAUGE_DISCOVERY_DIR", str(tmp_path))
    script = tmp_path / "attack.py"
    script.write_text(ATTACK)
    command = [sys.executable, str(script), "1000000", "20000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["tools"] == 1_000_000
    assert found["other_tools"] == 1_000_000 - 400  # the first 200 names keep theirs; each came twice
    assert found["calls"] == 40_000
    assert found["tokens"] == 40_000
    assert found["tasks"] == found["other_tasks"] == 20_000
    assert found["active"] == 0
    assert found["series"] < 20_000
    assert found["grown_kb"] < 4_000, found["grown_kb"]
    line = next(i for i, text in enumerate(ATTACK.splitlines(), 1) if "the culprit" in text)
    (tools,) = [row for row in found["folded"] if row["label"] == "tool_name" and "tool_calls" in row["metric"]]
    assert tools["places"] == [f"{script}:{line} in random_tool"]
