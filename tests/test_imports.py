"""Promises about what an import costs and reaches, each looked at in a fresh interpreter."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("numpy", "sqlite3", "starlette", "uvicorn", "aiohttp", "click", "rich", "textual", "promql_parser", "pcodec")


def modules_after(code: str) -> set[str]:
    """Return the names of all modules loaded after running code in a fresh interpreter."""
    probe = f"import json, sys\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return set(json.loads(answer.stdout.splitlines()[-1]))


def test_recording_loads_nothing_heavy() -> None:
    """``import agentgauge`` loads no server library, no client SDK and no prometheus_client."""
    loaded = modules_after("import agentgauge")
    assert not loaded & {*HEAVY, "opentelemetry", "ollama", "openai", "httpx", "prometheus_client"}


def test_recording_a_task_loads_nothing_heavy() -> None:
    """Recording loads no more than importing, but for the standard library."""
    loaded = modules_after("import agentgauge as ag\nwith ag.task(agent='a'):\n  with ag.tool_call('t'): pass")
    assert not loaded & {*HEAVY, "opentelemetry", "ollama", "openai", "httpx", "prometheus_client"}


def test_help_loads_no_command() -> None:
    """``agentgauge --help`` prints its table without loading a single command."""
    code = "from agentgauge.__main__ import main\nsys.argv[1:] = ['--help']\ntry: main()\nexcept SystemExit: pass"
    loaded = modules_after(code)
    assert not loaded & {"numpy", "sqlite3", "starlette", "aiohttp", "agentgauge.cli.serve", "agentgauge.cli.query"}


@pytest.mark.parametrize("module", ["agentgauge.integrations.ollama"])
def test_integrations_import_without_their_library(module: str) -> None:
    """Each integration can be imported where its library is missing."""
    blocker = f"import sys\nfor name in ('ollama', 'httpx', 'httpx2'): sys.modules[name] = None\nimport {module}"
    assert module in modules_after(blocker)
