"""``agentgauge why`` where the truth is known: a slow tool, a queue for the model, a loop that repeats itself.

The demo's loop runs three agents on simulated models, made so that each has one bottleneck. A server of ours, a real
Prometheus and a real VictoriaMetrics scrape them through the discovery folder; all must be told the same, and the right
thing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ollama
import pytest
from tests.loopback import free_port

import agentgauge
from agentgauge.demo.diary import Diary
from agentgauge.demo.loop import Desk, Persona, run_sync
from agentgauge.expose.exposition import Exposition
from agentgauge.model.discovery import DIRECTORY_VARIABLE
from agentgauge.record.api import task
from agentgauge.simulator.answer import Reply, ToolCall
from agentgauge.simulator.behaviour import Turn
from agentgauge.simulator.config import SimulatorConfig
from agentgauge.simulator.server import run_in_thread
from agentgauge.testing import recording

MODEL = "llama3.1:8b"
LIMIT_S = 60.0
N_TASKS = {"librarian": 12, "crowd": 36, "looper": 24}
N_REPEATS = 6
TOOL_S = 0.4


def script(turn: Turn) -> Reply:
    """Use the one tool once, or for who loops over and over with the same words; then answer."""
    wanted = N_REPEATS + 1 if "again" in turn.system() else 1
    if turn.tools and turn.rounds() < wanted:
        name = turn.tools[0]["function"]["name"]
        return Reply("", "", (ToolCall(name, {"query": "limits"}),))
    return Reply("Twelve words are enough to answer whatever question somebody may have asked.")


def fetch_page(query: str) -> str:
    """Fetch a page, slowly.

    Args:
        query: which

    Returns:
        str: the page
    """
    threading.Event().wait(TOOL_S)
    return f"page about {query}"


def search_docs(query: str) -> str:
    """Search the documents.

    Args:
        query: what for

    Returns:
        str: what was found
    """
    return f"nothing new about {query}"


@dataclass(frozen=True)
class Watched:
    """Who watched the agents: our server's data file, a Prometheus, a VictoriaMetrics."""

    db: Path
    prometheus_url: str
    victoria_url: str
    shares: dict[tuple[str, str], float]
    """(agent, component) -> share of the critical path, from the agents' own ledger."""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Iterator[Watched]:
    """Let the three agents work while all watch, until all have seen every task."""
    folder = tmp_path_factory.mktemp("why")
    targets = folder / "targets"
    targets.mkdir()
    environ = {**os.environ, DIRECTORY_VARIABLE: str(targets)}
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv(DIRECTORY_VARIABLE, str(targets))
        records = stack.enter_context(recording())
        exposition = Exposition(records.recorder.ledger, port=free_port())
        stack.callback(exposition.close)
        ours = stack.enter_context(our_server(folder / "why.db", environ))
        theirs = stack.enter_context(prometheus(program("prometheus"), folder, targets))
        victorias = stack.enter_context(victoria(program("victoria-metrics"), folder, targets))
        watchers = ours, theirs, victorias
        seen_by_all("up", 1, *watchers)
        work(stack, lambda: seen_by_all("sum(agent_tasks_total)", len(N_TASKS), *watchers))
        seen_by_all("sum(agent_tasks_total)", sum(N_TASKS.values()) + len(N_TASKS), *watchers)
        yield Watched(folder / "why.db", theirs, victorias, true_shares(records.collected()))


def true_shares(samples: dict[str, float]) -> dict[tuple[str, str], float]:
    """Return each component's share of each agent's path, as counted in this process."""
    seconds: dict[tuple[str, str], float] = {}
    for key, value in samples.items():
        name, _, text = key.rstrip("}").partition("{")
        if name == "agent_task_path_seconds_total":
            labels = dict(part.split("=", 1) for part in text.split(","))
            pair = labels["agent"].strip('"'), labels["component"].strip('"')
            seconds[pair] = seconds.get(pair, 0.0) + value
    return {
        (agent, component): value / sum(other for (who, _), other in seconds.items() if who == agent)
        for (agent, component), value in seconds.items()
    }


def work(stack: ExitStack, until_seen: Callable[[], None]) -> None:
    """Let each agent do one task, wait until that is seen, then run all to the end of theirs."""
    quick = stack.enter_context(run_in_thread(SimulatorConfig(parallel=4, speed=12, script=script)))
    narrow = stack.enter_context(run_in_thread(SimulatorConfig(parallel=1, speed=3, script=script)))
    agentgauge.instrument("ollama")
    stack.callback(agentgauge.uninstrument)
    diary = Diary()

    def desk(url: str) -> Desk:
        client = ollama.Client(host=url, timeout=30)
        stack.callback(client.close)
        return Desk(MODEL, client, ollama.AsyncClient(host=url), diary)

    def run(persona: Persona, at: Desk, n_tasks: int) -> None:
        for _ in range(n_tasks):
            with task(agent=persona.name):
                run_sync(persona, at, "What are the limits?")

    librarian = Persona("librarian", "You fetch, then answer.", {"fetch_page": fetch_page})
    looper = Persona("looper", "You search again and again.", {"search_docs": search_docs}, n_turns_max=N_REPEATS + 2)
    crowd = Persona("crowd", "You answer.", {})
    jobs = [
        threading.Thread(target=run, args=(librarian, desk(quick.url), N_TASKS["librarian"])),
        threading.Thread(target=run, args=(looper, desk(quick.url), N_TASKS["looper"])),
        *(threading.Thread(target=run, args=(crowd, desk(narrow.url), N_TASKS["crowd"] // 6)) for _ in range(6)),
    ]
    for persona, url in ((librarian, quick.url), (looper, quick.url), (crowd, narrow.url)):
        at = desk(url)
        at.client.generate(MODEL)  # loads the model, which is nobody's task
        run(persona, at, 1)
    until_seen()
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()


@contextmanager
def our_server(db: Path, environ: dict[str, str]) -> Iterator[str]:
    """Run ``agentgauge serve`` and yield its address."""
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "agentgauge", "serve", "--listen", address, "--db", str(db), "--interval", "500ms"]
    with process(command, environ):
        yield f"http://{address}"


@contextmanager
def prometheus(path: str, folder: Path, targets: Path) -> Iterator[str]:
    """Run a Prometheus that finds its targets in the discovery folder and yield its address."""
    address = f"127.0.0.1:{free_port()}"
    config = folder / "prometheus.yml"
    found = {"files": [f"{targets}/*.json"], "refresh_interval": "1s"}
    config.write_text(json.dumps(scrape_config(found)))
    data = f"--storage.tsdb.path={folder / 'prometheus'}"
    with process([path, f"--config.file={config}", data, f"--web.listen-address={address}"], dict(os.environ)):
        yield f"http://{address}"


@contextmanager
def victoria(path: str, folder: Path, targets: Path) -> Iterator[str]:
    """Run a VictoriaMetrics that does the same, and yield its address."""
    address = f"127.0.0.1:{free_port()}"
    config = folder / "victoria.yml"
    config.write_text(json.dumps(scrape_config({"files": [f"{targets}/*.json"]})))
    data = f"-storageDataPath={folder / 'victoria'}"
    scraping = [f"-promscrape.config={config}", "-promscrape.fileSDCheckInterval=1s"]
    asking = ["-search.latencyOffset=0s", "-search.disableCache", f"-httpListenAddr={address}"]
    with process([path, data, *scraping, *asking], dict(os.environ)):
        yield f"http://{address}"


def scrape_config(found: dict[str, object]) -> dict[str, object]:
    """Return the configuration that scrapes every second what is found."""
    job = {"job_name": "agentgauge", "file_sd_configs": [found]}
    return {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}


@contextmanager
def process(command: list[str], environ: dict[str, str]) -> Iterator[None]:
    """Run a process while the block runs; its own words only where it fails."""
    running = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        running.terminate()
        running.wait(20)


def seen_by_all(expr: str, wanted: float, *urls: str) -> None:
    """Wait until every server answers the expression with that value."""
    pause = threading.Event()
    for url in urls:
        for _ in range(round(LIMIT_S / 0.2)):
            if value_of(url, expr) == wanted:
                break
            pause.wait(0.2)
        else:
            raise AssertionError(f"{url}: {expr} is {value_of(url, expr)}, not {wanted}")


def value_of(url: str, expr: str) -> float | None:
    """Return the first value of an instant query, None where there is none."""
    try:
        with urllib.request.urlopen(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': expr})}") as answer:
            found = json.load(answer)["data"]["result"]
    except OSError:
        return None
    return float(found[-1]["value"][1]) if found else None


def why(*arguments: str) -> dict[str, Any]:
    """Run ``agentgauge why --json`` and return what it says, by agent."""
    command = [sys.executable, "-m", "agentgauge", "why", "--json", "--last", "10m", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr + ran.stdout
    return {agent["agent"]: agent for agent in json.loads(ran.stdout)["agents"]}


@pytest.fixture(scope="module", params=["our file", "a real Prometheus", "a real VictoriaMetrics"])
def answers(request: pytest.FixtureRequest, watched: Watched) -> dict[str, Any]:
    """Ask each once."""
    if request.param == "our file":
        return why("--db", str(watched.db))
    return why("--url", watched.prometheus_url if request.param == "a real Prometheus" else watched.victoria_url)


def share_of(agent: dict[str, Any], component: str) -> float:
    return sum(part["share"] for part in agent["path"] if part["component"] == component)


@pytest.mark.peer
@pytest.mark.slow
class TestWhy:
    """The same promises, whoever kept the data."""

    def test_a_slow_tool_is_named(self, answers: dict[str, Any]) -> None:
        """The librarian waits for its tool; the interval holds what halving 0.4 s a task saves."""
        agent = answers["librarian"]
        found = agent["bottleneck"]
        assert (found["kind"], found["component"], found["name"]) == ("component", "tool", "fetch_page")
        gain = next(part for part in agent["path"] if part["name"] == "fetch_page")["what_if"]
        assert gain["low_seconds"] * 0.95 <= TOOL_S / 2 <= gain["high_seconds"] * 1.2
        assert agent["sentence"].startswith("librarian waits for fetch_page: ")
        assert agent["seconds_per_task"] >= TOOL_S * 0.95

    def test_a_queue_is_named(self, answers: dict[str, Any]) -> None:
        """Six at once for one slot: most of the time is spent in the queue."""
        agent = answers["crowd"]
        found = agent["bottleneck"]
        assert (found["kind"], found["component"], found["name"]) == ("component", "queue", MODEL)
        assert share_of(agent, "queue") > 0.5
        assert "OLLAMA_NUM_PARALLEL" in agent["sentence"]
        decode = next(part for part in agent["path"] if part["component"] == "decode")["what_if"]
        assert decode["high_seconds"] > decode["high_seconds_without_waits"]

    def test_a_loop_is_named(self, answers: dict[str, Any]) -> None:
        """The looper makes six of seven searches for nothing."""
        agent = answers["looper"]
        found = agent["bottleneck"]
        assert (found["kind"], found["component"], found["name"]) == ("loop", "tool", "search_docs")
        repeated = agent["waste"]["repeated"][0]
        assert repeated["share_of_calls"] == pytest.approx(N_REPEATS / (N_REPEATS + 1), abs=0.03)
        assert repeated["per_task"] == pytest.approx(N_REPEATS, rel=0.1)
        assert found["share"] > 0.6
        assert agent["sentence"].startswith("looper repeats itself")

    def test_shares_are_the_true_ones(self, answers: dict[str, Any], watched: Watched) -> None:
        """Shares of the path are the agents' own, but for what a scraper cannot see of the first second."""
        assert set(answers) == set(N_TASKS)
        for (name, component), share in watched.shares.items():
            assert share_of(answers[name], component) == pytest.approx(share, abs=0.06), (name, component)

    def test_parts_sum_to_the_task(self, answers: dict[str, Any]) -> None:
        """Shares of the critical path sum to one, and nothing about these agents is in doubt."""
        for agent in answers.values():
            assert sum(part["share"] for part in agent["path"]) == pytest.approx(1.0, abs=0.01)
            assert agent["doubt"] == ""

    def test_nothing_is_wasted_by_the_others(self, answers: dict[str, Any]) -> None:
        """Who does not loop repeats nothing, and all tokens were useful."""
        for name in ("librarian", "crowd"):
            assert answers[name]["waste"]["repeated"] == []
            assert answers[name]["waste"]["wasted_share"] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.peer
@pytest.mark.slow
def test_the_accounts_agree_as_scraped(watched: Watched) -> None:
    """A real Prometheus sees the identities: path = durations, states = path when all is over, fates = tokens."""
    for expr in (
        "sum by (agent) (agent_task_path_seconds_total) - on (agent) agent_root_task_seconds_total",
        "sum by (agent) (agent_task_state_seconds_total) - on (agent) agent_root_task_seconds_total",
        "sum(agent_llm_phase_seconds_total) - sum(agent_llm_latency_seconds_sum)",
        "agentgauge_accounting_error_seconds",
    ):
        furthest = value_of(watched.prometheus_url, f"max(abs({expr}))")
        assert furthest is not None, expr
        assert furthest < 1e-6, expr
    roots = 'sum(agent_task_path_calls_total{component="own"}) - sum(agent_tasks_total)'
    fates = "sum(agent_token_fate_total) - sum(agent_token_usage_total)"
    assert [value_of(watched.prometheus_url, expr) for expr in (roots, fates)] == [0.0, 0.0]
