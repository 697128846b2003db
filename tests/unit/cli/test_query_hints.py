"""``agentgauge query``: what is said when nothing matches, and under a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentgauge.cli import run
from agentgauge.database import Database


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Return an empty data file."""
    path = tmp_path / "empty.db"
    Database.open(path).close()
    return str(path)


@pytest.mark.parametrize(
    ("promql", "hint"),
    [
        ("rate(agent_tasks_totl[5m])", "did you mean agent_tasks_total?"),
        ("agent_tasks_totl[5m]", "did you mean agent_tasks_total?"),
        ("agent_llm_latency_seconds", "a histogram: ask for agent_llm_latency_seconds_bucket"),
        ("sum(agent_tasks_total)", "processes that ended are history: ask with --range 1h"),
    ],
)
def test_no_match_names_what_was_meant(promql: str, hint: str, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is nearly one of ours, or a histogram without its suffix, gets a hint on stderr."""
    assert run(["query", promql, "--db", file]) == 0
    shown = capsys.readouterr()
    assert "no series matches" in shown.out
    assert hint in shown.err


def test_no_match_of_a_foreign_name_gets_no_hint(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Names that are not ours are left alone."""
    assert run(["query", "http_requests_total", "--db", file]) == 0
    assert capsys.readouterr().err == ""


def test_a_parse_error_has_its_caret(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The message begins with the position, and a caret stands under it; an empty query has none."""
    assert run(["query", "up +", "--db", file]) == 1
    assert capsys.readouterr().err == "agentgauge: 1:5: parse error: unexpected end of input\n\n    up +\n        ^\n"
    assert run(["query", "", "--db", file]) == 1
    assert "^" not in capsys.readouterr().err
