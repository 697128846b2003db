"""Settings: four sources in order, each value with its place; what is wrong names itself and the nearest right one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agentgauge.errors import ConfigError
from agentgauge.record.setting_kinds import KINDS, NotOfKind
from agentgauge.record.settings import SETTINGS, load_settings

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="no TOML reader before 3.11")


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_each_source_is_stronger_than_the_one_before(tmp_path: Path) -> None:
    """Default, file, environment, argument: the last that says something wins, and is named."""
    path = write(tmp_path, "pyproject.toml", "[tool.agentgauge]\nport = 1\nhost = 'a'\nport_search = 3\n")
    environ = {"AGENTGAUGE_HOST": "b", "AGENTGAUGE_PORT_SEARCH": "4"}
    found = load_settings({"port_search": 5, "linger": None}, environ, tmp_path)
    assert [found[name] for name in ("port", "host", "port_search", "linger")] == [1, "b", 5, 0.0]
    assert [found.sources[name] for name in ("port", "host", "port_search", "linger")] == [
        f"{path}:2",
        "AGENTGAUGE_HOST",
        "argument",
        "default",
    ]


def test_the_nearest_file_counts_and_its_own_name_wins(tmp_path: Path) -> None:
    """Upwards from the folder; agentgauge.toml before pyproject.toml; one without our table is passed over."""
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    write(tmp_path, "pyproject.toml", "[tool.agentgauge]\nport = 1\n")
    write(inner.parent, "pyproject.toml", "[tool.other]\nport = 2\n")
    assert load_settings({}, {}, inner)["port"] == 1
    write(inner.parent, "agentgauge.toml", "port = 3\n[slo]\nresearcher = 30\n")
    found = load_settings({}, {}, inner)
    assert (found["port"], found["slo"]) == (3, {"researcher": 30.0})
    named = write(tmp_path, "other.toml", "port = 4\n")
    assert load_settings({}, {"AGENTGAUGE_CONFIG": str(named)}, inner)["port"] == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\nprot = 1\n", ["agentgauge.toml:2", "'prot'", "did you mean 'port'"]),
        ("port = '1'\n", ["agentgauge.toml:1", "a port, 0 to 65535", "'1'"]),
        ("port = true\n", ["a port"]),
        ("zzz = 1\n", ["there are: allow_host"]),
        ("[limits]\nagent = 0\n", ["agentgauge.toml:1", "label = whole number"]),
        ("slo = 3\n", ["a table of name = number"]),
        ("port = \n", ["is not TOML"]),
    ],
)
def test_a_wrong_file_names_place_value_and_what_is_right(tmp_path: Path, text: str, words: list[str]) -> None:
    """File and line, the wrong name or value, what it must be or the nearest name."""
    write(tmp_path, "agentgauge.toml", text)
    with pytest.raises(ConfigError) as caught:
        load_settings({}, {}, tmp_path)
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_wrong_variable_names_itself(tmp_path: Path) -> None:
    """A value that cannot be read is an error with an example; a variable that is none is a note."""
    with pytest.raises(ConfigError, match=r"AGENTGAUGE_PORT: port must be a port.*for example AGENTGAUGE_PORT=8001"):
        load_settings({}, {"AGENTGAUGE_PORT": "many"}, tmp_path)
    found = load_settings({}, {"AGENTGAUGE_PRT": "1", "AGENTGAUGE_NO_SKIPS": "1"}, tmp_path)
    assert found.notes == ("the variable AGENTGAUGE_PRT is no setting; did you mean 'AGENTGAUGE_PORT'?",)


def test_tables_from_the_environment(tmp_path: Path) -> None:
    """Objectives, limits, ladders and lists as text."""
    environ = {
        "AGENTGAUGE_SLO": "a=1.5, b=2",
        "AGENTGAUGE_LIMITS": "tool_name=5",
        "AGENTGAUGE_BUCKETS": "agent_llm_latency_seconds=1,2;x=3",
        "AGENTGAUGE_TARGETS": "h:1,h:2",
    }
    found = load_settings({}, environ, tmp_path)
    assert found["slo"] == {"a": 1.5, "b": 2.0}
    assert found["limits"] == {"tool_name": 5}
    assert found["buckets"] == {"agent_llm_latency_seconds": (1.0, 2.0), "x": (3.0,)}
    assert found["targets"] == ("h:1", "h:2")


@pytest.mark.parametrize("row", SETTINGS.values(), ids=lambda row: row.name)
def test_every_default_is_of_its_kind(row) -> None:
    """What the table says by itself is what it would accept; an example can be read."""
    kind = KINDS[row.kind]
    assert kind.check(row.default) == row.default
    kind.read(kind.example.strip("'"))
    with pytest.raises(NotOfKind):
        kind.check(object())
