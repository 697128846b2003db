"""The file by which a process says where it can be scraped; gone at its end, pruned by the next when it crashed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from agentgauge.model.discovery import (
    PID_LABEL,
    STARTED_LABEL,
    WISHED_LABEL,
    discovery_directory,
    discovery_file_name,
    started_of_stat,
    state_of_stat,
)


def announce(folder: Path, host: str, port: int, wished: int) -> Path:
    """Write this process' discovery file, atomically, and return its path; remove those of dead processes.

    May raise OSError: a folder that cannot be written costs discovery, not the endpoint.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    prune(folder)
    path = folder / discovery_file_name(os.getpid(), port)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps([target_group(host, port, wished)]) + "\n", encoding="utf-8")
    draft.replace(path)
    return path


def own_folder() -> Path:
    """Return the discovery folder of this user."""
    return Path(discovery_directory(os.environ, os.getuid() if hasattr(os, "getuid") else 0))


def target_group(host: str, port: int, wished: int) -> dict[str, object]:
    """Return this process as a target group of ``file_sd``; port 0 is a process that never had an endpoint."""
    pid = os.getpid()
    address = f"[{host}]" if ":" in host else host
    if host in {"0.0.0.0", "::", ""}:
        address = "127.0.0.1"
    labels = {
        "job": "agentgauge",
        "process": _program(),
        PID_LABEL: str(pid),
        STARTED_LABEL: _started(pid),
        WISHED_LABEL: str(wished),
    }
    return {"targets": [f"{address}:{port}"], "labels": labels}


def has_sibling(folder: Path, wished: int) -> bool:
    """Tell whether another living process of this program is announced that asked for the same port."""
    try:
        paths = list(folder.glob("[0-9]*-*.json"))
    except OSError:
        return False
    return any(_is_sibling(path, str(wished)) for path in paths)


def _is_sibling(path: Path, wished: str) -> bool:
    try:
        labels = json.loads(path.read_text(encoding="utf-8"))[0]["labels"]
        found = (labels["process"], labels[WISHED_LABEL]) == (_program(), wished)
        return found and labels[PID_LABEL] != str(os.getpid()) and _is_alive(path)
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _program() -> str:
    return Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"


def prune(folder: Path) -> None:
    """Remove the files of processes that have ended."""
    for path in folder.glob("[0-9]*-*.json"):
        if not _is_alive(path):
            path.unlink(missing_ok=True)


def _is_alive(path: Path) -> bool:
    """Tell whether the process that wrote a file still runs; unsure means yes."""
    try:
        labels = json.loads(path.read_text(encoding="utf-8"))[0]["labels"]
        pid, started = int(labels[PID_LABEL]), labels[STARTED_LABEL]
    except (OSError, ValueError, LookupError, TypeError):
        return True  # not ours to judge: unreadable, or not written by us
    stat = _stat(pid)
    if not stat:
        return _signal_reaches(pid)
    # A zombie has been killed and waits for its parent; the same id with another start time is another process.
    return state_of_stat(stat) != "Z" and (not started or started_of_stat(stat) in {"", started})


def _signal_reaches(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's process with this id
    return True


def _started(pid: int) -> str:
    return started_of_stat(_stat(pid))


def _stat(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
