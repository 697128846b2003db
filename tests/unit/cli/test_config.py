"""``agentgauge config``: values with their sources, mistakes with their place; ``serve`` takes the file's values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentgauge.cli import run
from agentgauge.cli.configured import defaults
from agentgauge.record.settings import SETTINGS, load_settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own, as the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_setting_is_shown_with_its_source(folder: Path, capsys, monkeypatch) -> None:
    """As JSON and as a table: the file's line, the variable, the default."""
    (folder / "agentgauge.toml").write_text("port = 9000\n")
    monkeypatch.setenv("AGENTGAUGE_HOST", "::1")
    assert run(["config", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert sorted(shown) == sorted(SETTINGS)
    assert (shown["port"]["value"], shown["port"]["source"]) == (9000, f"{folder}/agentgauge.toml:1")
    assert (shown["host"]["value"], shown["host"]["source"]) == ("::1", "AGENTGAUGE_HOST")
    assert run(["config"]) == 0
    assert "AGENTGAUGE_HOST" in capsys.readouterr().out


def test_a_mistake_ends_with_its_place(folder: Path, capsys) -> None:
    """One line: where, what, and the nearest right name."""
    (folder / "agentgauge.toml").write_text("\nprot = 9000\n")
    assert run(["config"]) == 1
    assert "agentgauge.toml:2: there is no setting 'prot'; did you mean 'port'?" in capsys.readouterr().err


def test_serve_takes_what_the_file_says(folder: Path) -> None:
    """Under the parameters' own names; only what the file says, flags and variables are click's."""
    (folder / "agentgauge.toml").write_text('interval = "2s"\nallow_host = ["a"]\nport = 1\n')
    settings = load_settings({}, {"AGENTGAUGE_LISTEN": "1"}, folder)
    assert defaults(settings) == {"interval": "2s", "hosts": ("a",)}
