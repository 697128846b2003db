"""Discovery: the folder of local agents and file_sd files, dead processes and broken files passed over."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from agentgauge.model.discovery import PID_LABEL, STARTED_LABEL, started_of_stat
from agentgauge.scrape.discovery import Discovery
from agentgauge.scrape.target import target_from_address


def write(path: Path, address: str, **labels: str) -> None:
    path.write_text(json.dumps([{"targets": [address], "labels": labels}]))


def test_living_processes_are_found_and_dead_ones_passed_over(tmp_path: Path) -> None:
    """A file counts while its process lives, by id and start time; it is never deleted."""
    dead = subprocess.Popen(["/bin/true"])
    dead.wait()
    started = started_of_stat(Path(f"/proc/{os.getpid()}/stat").read_text())
    write(tmp_path / "a.json", "h:1", **{PID_LABEL: str(os.getpid()), STARTED_LABEL: started})
    write(tmp_path / "b.json", "h:2", **{PID_LABEL: str(dead.pid)})
    write(tmp_path / "c.json", "h:3", **{PID_LABEL: str(os.getpid()), STARTED_LABEL: "1"})
    found = Discovery(directory=str(tmp_path)).look()
    assert [dict(target.labels) for target in found.targets] == [{"instance": "h:1", "job": "agentgauge"}]
    assert len(list(tmp_path.iterdir())) == 3


def test_a_broken_file_costs_itself_and_is_named(tmp_path: Path) -> None:
    """Other files and static targets stay; a mended file counts at the next look."""
    write(tmp_path / "good.json", "h:1")
    for number, text in enumerate(
        ["{", "{}", '[{"targets": "x"}]', '[{"targets": ["h:1"], "labels": {"a": 1}}]', "[" * 9999]
    ):
        (tmp_path / f"bad{number}.json").write_text(text)
    discovery = Discovery([target_from_address("s:1")], globs=[str(tmp_path / "*.json")])
    found = discovery.look()
    assert [target.url for target in found.targets] == ["http://s:1/metrics", "http://h:1/metrics"]
    assert len(found.problems) == 5
    write(tmp_path / "bad0.json", "h:22222")
    assert len(discovery.look().problems) == 4


def test_a_missing_folder_is_no_target(tmp_path: Path) -> None:
    """No agent has ever started: that is no problem."""
    assert Discovery(directory=str(tmp_path / "none")).look().targets == ()


def test_two_paths_of_one_port_are_two_targets(tmp_path: Path) -> None:
    """Neither hides the other: the later is named by its path, without a password; the same place is one target."""
    write(tmp_path / "a.json", "h:1")
    static = [target_from_address(address) for address in ("h:1", "http://me:secret@h:1/other", "http://h:1/metrics")]
    found = Discovery(static, str(tmp_path)).look()
    assert [(target.url, dict(target.labels)["instance"]) for target in found.targets] == [
        ("http://h:1/metrics", "h:1"),
        ("http://me:secret@h:1/other", "h:1/other"),
    ]
