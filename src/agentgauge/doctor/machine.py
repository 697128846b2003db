"""Gathers what this machine and this process are: paths, versions, disk, discovery files, who listens where."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import agentgauge
from agentgauge.doctor.facts import AgentProcess, Announced, Disk, Host, Listener
from agentgauge.doctor.versions import TESTED
from agentgauge.expose.ports import owner_of
from agentgauge.model.discovery import PID_LABEL, STARTED_LABEL, started_of_stat
from agentgauge.model.version import VERSION

MAX_AGENTS = 50


def look(environ: Mapping[str, str], folder: str, data_path: str, port: int) -> Host:
    """Return what is true of this machine now; blocks for some milliseconds, so run it in a thread."""
    announced = announced_in(folder)
    return Host(
        python=sys.version_info[:3],
        executable=sys.executable,
        prefix=sys.prefix,
        virtual_env=environ.get("VIRTUAL_ENV", ""),
        package_path=str(Path(agentgauge.__file__).parent),
        package_version=VERSION,
        distribution_version=version_of("agentgauge"),
        commands=commands_on(environ.get("PATH", "")),
        libraries={name: version for name in TESTED if (version := version_of(TESTED[name].pip))},
        disk=disk_of(data_path),
        announced=announced,
        agents=[agent_process(pid) for pid in sorted(announced.pids)[:MAX_AGENTS]],
        port=port,
        listener=listener_on(port),
    )


def version_of(distribution: str) -> str:
    """Return the installed version of a package, the empty string when it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def commands_on(search_path: str, name: str = "agentgauge") -> list[str]:
    """Return every program of that name on a search path, the one that runs first; no folder twice."""
    folders = dict.fromkeys(part for part in search_path.split(os.pathsep) if part)
    return [found for folder in folders if (found := shutil.which(name, path=folder))]


def disk_of(path: str) -> Disk | None:
    """Return the disk that holds a path, or that of the nearest folder above it; None for no path."""
    if not path:
        return None
    for folder in (Path(path), *Path(path).absolute().parents):
        try:
            usage = shutil.disk_usage(folder)
        except OSError:
            continue  # not made yet, or not ours to see: the folder above is on the same disk
        return Disk(str(folder), usage.free, usage.total)
    return None


def announced_in(folder: str) -> Announced:
    """Read the discovery folder: which files are of processes that live."""
    alive: list[str] = []
    stale: list[str] = []
    broken: dict[str, str] = {}
    pids: set[int] = set()
    for path in sorted(Path(folder).glob("*.json")) if folder else ():
        try:
            labels = [group.get("labels") or {} for group in json.loads(path.read_text(encoding="utf-8"))]
            owners = [(int(one[PID_LABEL]), one.get(STARTED_LABEL, "")) for one in labels if PID_LABEL in one]
        except FileNotFoundError:
            continue
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            broken[str(path)] = f"{type(error).__name__}: {error}"
            continue
        living = [pid for pid, started in owners if is_alive(pid, started)]
        pids.update(living)
        (alive if living or not owners else stale).append(str(path))
    return Announced(folder, alive, stale, broken, frozenset(pids))


def is_alive(pid: int, started: str) -> bool:
    """Tell whether a process lives and is the one that started then; unsure means yes."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except FileNotFoundError:
        return not Path("/proc/self").exists()
    except OSError:
        return True
    if stat.rpartition(")")[2].split()[:1] == ["Z"]:
        return False
    return not started or started == started_of_stat(stat)


def agent_process(pid: int) -> AgentProcess:
    """Return what runs a process, as far as this user may see it."""
    folder = Path(f"/proc/{pid}")
    try:
        executable = (folder / "cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
        variables = (folder / "environ").read_bytes().split(b"\0")
    except OSError:
        return AgentProcess(pid)
    chosen = [one[12:].decode(errors="replace") for one in variables if one.startswith(b"VIRTUAL_ENV=")]
    return AgentProcess(pid, executable, chosen[0] if chosen else "")


def listener_on(port: int) -> Listener | None:
    """Return who listens on a port; None when nobody does, or nobody that this user may see."""
    owner = owner_of(port)
    return Listener(*owner) if owner else None
