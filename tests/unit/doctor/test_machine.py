"""What is true of a machine: files of the dead, programs on the path, disks, ports."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from agentgauge.doctor import machine
from agentgauge.model.discovery import PID_LABEL, STARTED_LABEL, started_of_stat


def announce(folder: Path, name: str, pid: int, started: str) -> None:
    """Write a discovery file."""
    labels = {PID_LABEL: str(pid), STARTED_LABEL: started}
    (folder / name).write_text(json.dumps([{"targets": ["127.0.0.1:1"], "labels": labels}]))


def test_files_of_the_dead_are_stale(tmp_path: Path) -> None:
    """Gone, or alive under the same id but started at another time; files without an owner are not ours to judge."""
    me = os.getpid()
    announce(tmp_path, "alive.json", me, started_of_stat(Path(f"/proc/{me}/stat").read_text()))
    announce(tmp_path, "reused.json", me, "1")
    announce(tmp_path, "gone.json", 2**22 + 1, "1")
    (tmp_path / "own.json").write_text('[{"targets": ["127.0.0.1:2"]}]')
    (tmp_path / "broken.json").write_text("{")
    seen = machine.announced_in(str(tmp_path))
    assert sorted(Path(path).name for path in seen.alive) == ["alive.json", "own.json"]
    assert sorted(Path(path).name for path in seen.stale) == ["gone.json", "reused.json"]
    assert [Path(path).name for path in seen.broken] == ["broken.json"]
    assert seen.pids == {me}


def test_every_program_of_the_name_is_found_in_order(tmp_path: Path) -> None:
    """The first on the path is the one that runs."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        program = tmp_path / name / "agentgauge"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    search_path = os.pathsep.join(str(tmp_path / name) for name in ("b", "none", "a", "b"))
    assert machine.commands_on(search_path) == [str(tmp_path / name / "agentgauge") for name in ("b", "a")]


def test_a_disk_is_found_for_a_folder_that_is_not_made_yet(tmp_path: Path) -> None:
    """The nearest folder above is on the same disk."""
    seen = machine.disk_of(str(tmp_path / "not" / "yet" / "metrics.db"))
    assert seen is not None
    assert seen.path == str(tmp_path)
    assert 0 < seen.free_bytes < seen.total_bytes
    assert machine.disk_of("") is None


def test_who_listens_is_named() -> None:
    """This very process, while it listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        found = machine.listener_on(port)
        assert found is not None
        assert found.pid == os.getpid()
    assert machine.listener_on(port) is None


def test_a_process_tells_its_interpreter_and_environment() -> None:
    """Of this one, what runs it; of one that is gone, nothing."""
    assert machine.agent_process(os.getpid()).executable
    assert machine.agent_process(2**22 + 1).executable == ""


def test_the_machine_is_looked_at_as_it_is(tmp_path: Path) -> None:
    """Versions and paths are those in use."""
    seen = machine.look({"PATH": str(tmp_path), "VIRTUAL_ENV": "/x"}, str(tmp_path), str(tmp_path), 1)
    assert seen.package_version == seen.distribution_version
    assert Path(seen.package_path).name == "agentgauge"
    assert seen.libraries["prometheus_client"]
    assert (seen.virtual_env, list(seen.commands), seen.listener) == ("/x", [], None)
