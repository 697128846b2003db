"""The command line's frame: the table, lazy commands, one-message failures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agentgauge.cli import COMMANDS, run


def test_help_lists_the_table_and_loads_no_command() -> None:
    """``--help`` names every command without importing NumPy, a server or a command."""
    code = (
        "import sys; from agentgauge.cli import run; run(['--help']);"
        "bad = [n for n in sys.modules if n in ('numpy', 'starlette', 'aiohttp') or n.startswith('agentgauge.cli.')];"
        "sys.exit(repr(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in COMMANDS)


def test_without_click_the_install_line_is_printed(tmp_path: Path) -> None:
    """On a machine with the recording side alone the command says how to get the rest."""
    code = "import sys; sys.modules['click'] = None; from agentgauge.__main__ import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "pip install 'agentgauge[server]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "part"),
    [
        (["nonsense"], 2, "No such command"),
        (["qery"], 2, "Did you mean 'query'?"),
        (["query"], 2, "PROMQL"),
        (["query", "up", "--url", "http://h", "--db", "f"], 2, "exclude"),
        (["query", "up", "--url", "ftp://h"], 1, "http"),
        (["query", "up", "--db", "/nowhere/x"], 1, "no file"),
        (["query", "up", "--db", __file__], 1, "test_commands.py' is no data file of agentgauge: name one"),
        (["serve", "--remote-write", "foo"], 1, "'foo' is no http or https URL; for example http://"),
        (["query", "up", "--time", "soon"], 1, "--time"),
        (["query", "up", "--step", "5s"], 2, "--range"),
        (["serve", "--interval", "1ms"], 1, "--interval"),
        (["serve", "--listen", "x"], 1, "--listen"),
        (["serve", "--enable-feature", "promql-experimental"], 1, "did you mean promql-experimental-functions?"),
        (["serve", "--enable-feature", "x"], 1, "promql-binop-fill-modifiers, promql-delayed-name-removal, promql-"),
        (["query", "up", "--enable-feature", "promql-binop-fill-modifiers"], 2, "needs --db"),
        (["serve", "--memory", "--target", "a b"], 1, "HOST:PORT"),
    ],
)
def test_mistakes_are_one_message(
    arguments: list[str], status: int, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong flag or value ends with a status and a sentence, never with a traceback."""
    assert run(arguments) == status
    shown = capsys.readouterr().err
    assert part in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("name", ["import", "export"])
def test_help_lines_of_subcommands_are_whole(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The list of subcommands ends no line in the middle of a sentence."""
    assert run([name, "--help"]) == 0
    assert "..." not in capsys.readouterr().out.partition("Commands:")[2]
