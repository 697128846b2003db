"""Promises of the documentation: everything is in it, everything in it works, and nothing points nowhere."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import click
import httpx
import pytest

import agentgauge
from agentgauge import testing
from agentgauge.cli import COMMANDS, group
from agentgauge.doctor.check import CHECKS
from agentgauge.model.clock import SystemClock
from agentgauge.model.metrics import METRICS
from agentgauge.promql.functions import FUNCTIONS
from agentgauge.promql.nodes import Selector, Window
from agentgauge.promql.plan import plan
from agentgauge.promql.tree import selectors
from agentgauge.server.app import State, routes
from agentgauge.server.status import Status
from agentgauge.simulator.config import SimulatorConfig
from agentgauge.simulator.faults import KINDS
from agentgauge.simulator.server import SimulatedOllama, run_in_thread

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
PROSE = [page for page in PAGES if page != REFERENCE / "python-api.md"]
"""Pages whose examples stand alone; those of the Python API are pieces, taken from docstrings that have tests."""

TUTORIAL_MODEL = "http://127.0.0.1:11435"
"""Where the tutorial's simulator listens."""

SCRAPED = {"up", "scrape_duration_seconds", "scrape_samples_scraped"}
ENDINGS = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
NAMES = {metric.name + ending for metric in METRICS.values() for ending in ENDINGS[metric.type]} | SCRAPED


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def _all_blocks(language: str, pages: list[Path]) -> list[Any]:
    found = [(page, nth, block) for page in pages for nth, block in enumerate(_blocks(page, language))]
    return [pytest.param(block, id=f"{_name(page)}-{nth}") for page, nth, block in found]


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatedOllama]:
    """A simulated Ollama in a hurry."""
    with run_in_thread(SimulatorConfig(parallel=2, speed=200)) as running:
        yield running


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"docs_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _run_python(arguments: list[str], folder: Path) -> str:
    environ = {**os.environ, "AGENTGAUGE_DISCOVERY_DIR": str(folder / "targets"), "PYTHONDEVMODE": "1"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- everything is in it ---------------------------------------------------------------------------------------------


def test_generated_pages_are_what_the_tables_say() -> None:
    """After a change of a table, ``./dev docs`` has been run."""
    generator = _load(DOCS / "generate.py")
    for name, write in generator.PAGES.items():
        committed = (REFERENCE / name).read_text(encoding="utf-8")
        assert committed == write(), f"docs/reference/{name} is out of date: run ./dev docs"


def test_every_metric_function_command_and_public_name_is_documented() -> None:
    """The reference pages name each row of the tables and each public name."""
    read = {name: (REFERENCE / name).read_text(encoding="utf-8") for name in ("metrics.md", "promql.md")}
    assert [name for name in METRICS if f"`{name}`" not in read["metrics.md"]] == []
    assert [name for name in FUNCTIONS if f"`{name}(" not in read["promql.md"]] == []
    commands = (REFERENCE / "commands.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"## agentgauge {name}\n" not in commands] == []
    python = (REFERENCE / "python-api.md").read_text(encoding="utf-8").replace("\\_", "_")
    names = [f"ag.{name}" for name in agentgauge.__all__] + [f"agentgauge.testing.{name}" for name in testing.__all__]
    assert [name for name in names if f"## {name}\n" not in python] == []


def test_every_route_is_documented() -> None:
    """The page of the HTTP API names each path that the server answers, with its methods."""
    nothing = cast("Any", object())
    state = State(
        backend=nothing, clock=SystemClock(), live=nothing, targets_view=dict, metrics_app=nothing, status=Status(),
        facts=nothing, receiver=nothing, handover=nothing,
    )  # fmt: skip
    rows = [line for line in (REFERENCE / "http-api.md").read_text(encoding="utf-8").splitlines() if line[:2] == "| "]
    wrong = []
    for route in cast("Any", routes(state)):
        path = re.sub(r"\{(\w+):path\}", r"{\1}", route.path).replace("{path}", "…").replace("job{rest}", "job/{job}")
        shown = {tuple(re.findall("[A-Z]{3,}", row.split("|")[2])) for row in rows if f"`{path}`" in row.split("|")[1]}
        shown |= {("GET",) for row in rows if path in ("/static/…", "/licenses.md") and f"`{path}`" in row}
        if len(shown) != 1 or set(shown.pop()) - {"HEAD"} != route.methods - {"HEAD"}:
            wrong.append(f"{route.path} {sorted(route.methods)}")
    assert wrong == []


def test_every_kind_of_fault_is_documented() -> None:
    """The page on tests names each fault, in the simulator's own words."""
    page = (DOCS / "how-to" / "test-your-agents.md").read_text(encoding="utf-8")
    assert [kind for kind, says in KINDS.items() if f"| `{kind}` | {says} |" not in page] == []


def test_every_check_of_the_doctor_is_documented() -> None:
    """The page on the doctor names each check as the doctor does, in the order of its rows."""
    page = (DOCS / "how-to" / "doctor.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` ([^|]+) \| ", page, re.MULTILINE)
    assert rows == [(check.id, check.title) for check in CHECKS.values()]


def test_every_page_is_in_the_index() -> None:
    """Nobody has to guess that a page exists."""
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    inside = [page.relative_to(DOCS) for page in DOCS.rglob("*.md") if page.name != "README.md"]
    assert [str(page) for page in inside if f"({page})" not in index] == []


# --- everything in it works ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", _all_blocks("python", PROSE))
def test_python_examples_run(block: str, simulator: SimulatedOllama, tmp_path: Path) -> None:
    """A reader can paste each example and run it."""
    script = tmp_path / "example.py"
    script.write_text(block.replace(TUTORIAL_MODEL, simulator.url), encoding="utf-8")
    _run_python([str(script)], tmp_path)


def _command_lines() -> list[str]:
    typed = [line.strip() for page in PAGES for block in _blocks(page, "sh") for line in block.splitlines()]
    typed += [
        line.rpartition("| ")[2].removeprefix("$ ")
        for page in PAGES
        for block in _blocks(page, "console")
        for line in block.splitlines()
        if line.startswith("$ ")
    ]
    inline = [found for page in PAGES for found in re.findall(r"`(agentgauge [a-z][^`\n]*)`", page.read_text("utf-8"))]
    lines = [line for line in (*typed, *inline) if line.startswith("agentgauge ")]
    placeholders = re.compile(r"[\[…|]|COMMAND")
    return sorted({line for line in lines if not placeholders.search(re.sub(r"'[^']*'", "''", line))})


@pytest.mark.parametrize("line", _command_lines())
def test_command_lines_parse(line: str) -> None:
    """Each command line in the documentation names commands and flags that exist, with values they take."""
    arguments = shlex.split(line.rstrip(" &"), comments=True)[1:]
    context = group.make_context("agentgauge", list(arguments))
    command: click.Command = group
    while isinstance(command, click.Group) and arguments:
        _, found, arguments = command.resolve_command(context, arguments)
        assert found is not None, f"no such command in: {line}"
        command = found
    try:
        if not isinstance(command, click.Group):
            command.make_context("agentgauge", arguments)
    except (click.MissingParameter, click.exceptions.NoArgsIsHelpError):
        return  # a command named in a sentence, without its arguments
    except click.exceptions.Exit:
        assert "--help" in line, line


def _queries() -> list[str]:
    queries = []
    for page in PAGES:
        for block in _blocks(page, "promql"):
            lines = [line for line in block.splitlines() if not line.startswith("#")]
            queries += re.split(r"\n(?=\S)", "\n".join(lines).strip())
        for block in _blocks(page, "sh"):
            queries += re.findall(r"agentgauge query [^'\n]*'([^']+)'", block)
    return sorted({query.replace("$__rate_interval", "5m").replace("…", "5m") for query in queries})


@pytest.mark.parametrize("query", _queries())
def test_queries_parse_and_name_our_metrics(query: str) -> None:
    """Each PromQL in the documentation is PromQL, and asks for metrics that are written."""
    asked = {_metric(selector) for selector in selectors(plan(query, Window(0, 0)))}
    assert asked <= NAMES, f"not metrics of ours: {sorted(asked - NAMES)}"


def _metric(selector: Selector) -> str:
    return next(matcher.value for matcher in selector.matchers if matcher.name == "__name__")


# --- examples --------------------------------------------------------------------------------------------------------


def test_the_ollama_example_runs(simulator: SimulatedOllama, tmp_path: Path) -> None:
    """It asks, calls its tool, streams, and says where its metrics are."""
    said = _run_python([str(ROOT / "examples" / "ollama_agent.py"), simulator.url], tmp_path)
    assert "metrics: http://127.0.0.1:" in said
    assert "717710" in said


def test_the_threads_example_runs(tmp_path: Path) -> None:
    """Its searches come back in order."""
    assert "['A', 'B', 'C', 'D', 'ONE MORE']" in _run_python([str(ROOT / "examples" / "threads.py")], tmp_path)


async def test_the_asgi_example_answers() -> None:
    """The application answers, and its metrics know what it did."""
    app = _load(ROOT / "examples" / "asgi_app.py").app
    with testing.recording():
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app", follow_redirects=True) as client:
            assert (await client.get("/ask", params={"question": "why"})).json() == {"answer": "WHY"}
            assert (await client.get("/metrics")).status_code == 200


def test_every_example_has_a_test() -> None:
    """A file in examples/ is run by a test above, and shown in the index."""
    tested, index = Path(__file__).read_text(encoding="utf-8"), (DOCS / "README.md").read_text(encoding="utf-8")
    names = [path.name for path in (ROOT / "examples").glob("*.py")]
    assert [name for name in names if f'"{name}"' not in tested or f"({Path('..')}/examples/{name})" not in index] == []


# --- nothing points nowhere ------------------------------------------------------------------------------------------


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    """Each link to a file of ours finds it, and each anchor its heading."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            broken.append(target)
        elif anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            if anchor not in map(_slug, headings):
                broken.append(target)
    assert broken == []


def test_no_committed_file_names_a_machine_or_a_registry() -> None:
    """No path of a developer's machine and no package registry stands in a file that is committed."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a checkout: git ls-files does not answer")
    hosts = ("pypi" + r"\.org", "python" + "hosted", "npm" + r"js\.(org|com)", r"proxy\.golang")
    places = (r"(?<![\w.])/" + "work/", "/" + r"root/\.")
    wanted = re.compile("|".join((*hosts, *places)).encode())
    found = []
    for name in listed.stdout.split(b"\0"):
        path = ROOT / os.fsdecode(name)
        if name and path.is_file() and not path.is_symlink():
            hits = {hit.group().decode() for hit in wanted.finditer(path.read_bytes())}
            found += [f"{os.fsdecode(name)}: {hit}" for hit in sorted(hits)]
    assert found == []
