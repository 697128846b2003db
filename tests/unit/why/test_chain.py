"""From recorded seconds to the sentence: the whole chain over a store, the command, and the server's route."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from tests.unit.why.history import N_SLOW, N_TASKS, play

from agentgauge.backends.embedded import EmbeddedBackend
from agentgauge.cli import run
from agentgauge.database import Database
from agentgauge.errors import ConfigError
from agentgauge.server.why import why_routes
from agentgauge.testing import FakeClock
from agentgauge.why.answer import AgentAnswer, Answer
from agentgauge.why.ask import ask

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A data file with the played history, and when it ends."""
    path = tmp_path_factory.mktemp("why") / "why.db"
    with Database.open(path) as database:
        end_ms = play(database)
    return path, end_ms


@pytest.fixture(scope="module")
def answer(stored: tuple[Path, int]) -> Answer:
    path, end_ms = stored

    async def asked() -> Answer:
        backend = EmbeddedBackend(Database.open(path, read_only=True), owns_database=True)
        try:
            return await ask(backend, "", HOUR_MS, 2.0, end_ms)
        finally:
            await backend.close()

    return asyncio.run(asked())


def of(answer: Answer, name: str) -> AgentAnswer:
    return next(agent for agent in answer.agents if agent.agent == name)


def test_seconds_per_task_are_the_played_ones(answer: Answer) -> None:
    """Each part of the shopper's path is what it spent: exact but for the series' own extrapolation."""
    agent = of(answer, "shopper")
    assert agent.n_tasks == pytest.approx(N_TASKS + 1, rel=0.02)
    web_s = 6.0 * (N_TASKS + 2 * N_SLOW) / (N_TASKS + 1)
    seconds = {part.key: part.path_s for part in agent.parts}
    expected = {
        ("tool", "web"): web_s,
        ("own", ""): 2.0,
        ("decode", "m"): 1.0,
        ("queue", "m"): 0.5,
        ("prefill", "m"): 0.5,
    }
    assert seconds == pytest.approx(expected, rel=0.05)
    assert agent.mean_s == pytest.approx(sum(seconds.values()), rel=1e-3)


def test_what_runs_alone_saves_what_is_alone(answer: Answer) -> None:
    """One thing at a time: both ends of the interval are half of the tool's seconds."""
    part = of(answer, "shopper").part(("tool", "web"))
    assert part is not None
    assert part.what_if.low_s == pytest.approx(part.path_s / 2, rel=0.02)
    assert part.what_if.high_s == pytest.approx(part.path_s / 2, rel=0.02)


def test_slow_tasks_call_more(answer: Answer) -> None:
    """The shopper's slow tasks take twelve seconds longer, all of it from more calls of ``web``."""
    slow = of(answer, "shopper").slow
    assert slow is not None
    assert slow.after.n_tasks == pytest.approx(N_SLOW, rel=0.1)
    assert slow.gap_s == pytest.approx(12.0, rel=0.05)
    assert slow.changes[0].key == ("tool", "web")
    assert slow.changes[0].more_calls_s == pytest.approx(12.0, rel=0.05)
    assert sum(change.total_s for change in slow.changes) == pytest.approx(slow.gap_s, abs=1e-9)
    assert "from more calls of web" in of(answer, "shopper").sentence


def test_the_loop_is_named_with_its_turns(answer: Answer) -> None:
    """Four of five searches repeat; with their turns they are twelve of fifteen seconds."""
    agent = of(answer, "looper")
    assert agent.bottleneck is not None
    assert (agent.bottleneck.kind, agent.bottleneck.key) == ("loop", ("tool", "docs"))
    assert agent.bottleneck.seconds == pytest.approx(12.0, rel=0.05)
    assert agent.waste.repeats[0].share == pytest.approx(0.8, rel=0.03)


def test_the_command_prints_it(stored: tuple[Path, int], capsys: pytest.CaptureFixture[str]) -> None:
    """The command reads a file: sentence, path, slow against normal, waste; as JSON the same."""
    path, _ = stored
    last = "3h"
    assert run(["why", "--db", str(path), "--last", last]) == 0
    shown = capsys.readouterr().out
    for part in (
        "shopper waits for web",
        "looper repeats itself",
        "2× faster saves",
        "Why 4 of 41 tasks",
        "tokens: useful",
    ):
        assert part in shown, part
    assert run(["why", "--db", str(path), "--last", last, "--json", "--agent", "looper"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [agent["bottleneck"]["kind"] for agent in found["agents"]] == ["loop"]
    assert all('agent="looper"' in expr for fact, expr in found["queries"].items() if fact != "seen")


def test_narrow_terminals_are_not_overrun(
    stored: tuple[Path, int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 80 columns no line is longer."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["why", "--db", str(stored[0]), "--last", "3h"]) == 0
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert lines
    assert max(map(len, lines)) <= 80


def test_without_data_the_command_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty file is no traceback: the missing metric, the next step, and status 1."""
    with Database.open(tmp_path / "empty.db"):
        pass
    assert run(["why", "--db", str(tmp_path / "empty.db")]) == 1
    shown = capsys.readouterr().out
    assert "There is no agent_tasks_total in the last 1 h" in shown
    assert "agentgauge serve" in shown


@pytest.mark.parametrize(
    ("arguments", "status", "part"),
    [
        (["--k", "1"], 1, "must be above 1"),
        (["--last", "soon"], 1, "--last"),
        (["--url", "http://h", "--db", "f"], 2, "exclude"),
        (["--db", "/nowhere/x"], 1, "no file"),
    ],
)
def test_mistakes_are_one_message(
    arguments: list[str], status: int, part: str, stored: tuple[Path, int], capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong value ends with a sentence."""
    more = [] if "--db" in arguments or "--last" in arguments else ["--db", str(stored[0])]
    assert run(["why", *arguments, *more]) == status
    shown = capsys.readouterr().err
    assert part in shown
    assert "Traceback" not in shown


def test_show_promql_prints_the_queries(capsys: pytest.CaptureFixture[str]) -> None:
    """The queries come without asking anybody, each on one line under what it means."""
    assert run(["why", "--show-promql", "--agent", "a", "--last", "2h"]) == 0
    shown = capsys.readouterr().out
    assert 'increase(agent_task_path_seconds_total{agent="a"}[7200s])' in shown
    assert "# seconds on the critical path" in shown


@pytest.fixture
def client(stored: tuple[Path, int]) -> Iterator[TestClient]:
    """The route over the played history, an hour after nothing."""
    path, end_ms = stored
    database = Database.open(path, read_only=True)
    with TestClient(Starlette(routes=why_routes(EmbeddedBackend(database), FakeClock(end_ms)))) as client:
        yield client
    database.close()


def test_the_route_answers_like_the_command(client: TestClient) -> None:
    """``/api/why`` gives the command's JSON."""
    found: dict[str, Any] = client.get("/api/why", params={"range": 3600}).json()
    assert {agent["agent"]: agent["bottleneck"]["kind"] for agent in found["agents"]} == {
        "shopper": "component",
        "looper": "loop",
    }
    alone = client.get("/api/why", params={"agent": "looper", "range": 3600, "k": 3}).json()
    assert [agent["agent"] for agent in alone["agents"]] == ["looper"]
    assert alone["k"] == 3
    assert client.get("/api/why", params={"agent": "nobody"}).json()["missing"]["metric"] == "agent_tasks_total"


@pytest.mark.parametrize("params", [{"k": "1"}, {"range": "x"}, {"range": "0"}, {"t_ms": "soon"}, {"k": "nan"}])
def test_the_route_refuses_nonsense(client: TestClient, params: dict[str, str]) -> None:
    """What cannot be asked is a 400 with a sentence."""
    refused = client.get("/api/why", params=params)
    assert refused.status_code == 400
    assert refused.text


async def test_k_must_be_above_one(stored: tuple[Path, int]) -> None:
    """Not faster is no question."""
    backend = EmbeddedBackend(Database.open(stored[0], read_only=True), owns_database=True)
    with pytest.raises(ConfigError, match="above 1"):
        await ask(backend, k=0.5)
    await backend.close()
