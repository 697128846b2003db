"""The file by which a process says where it can be scraped; gone at its end, pruned by the next when it crashed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from agentgauge.model.discovery import (
    PID_LABEL,
    STARTED_LABEL,
    discovery_directory,
    discovery_file_name,
    started_of_stat,
)


def announce(host: str, port: int) -> Path:
    """Write this process' discovery file, atomically, and return its path; remove those of dead processes.

    May raise OSError: a folder that cannot be written costs discovery, not the endpoint.
    """
    folder = Path(discovery_directory(os.environ, os.getuid() if hasattr(os, "getuid") else 0))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    prune(folder)
    path = folder / discovery_file_name(os.getpid(), port)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(_targets(host, port)) + "\n", encoding="utf-8")
    draft.replace(path)
    return path


def _targets(host: str, port: int) -> list[dict[str, object]]:
    pid = os.getpid()
    address = f"[{host}]" if ":" in host else host
    if host in {"0.0.0.0", "::", ""}:
        address = "127.0.0.1"
    labels = {
        "job": "agentgauge",
        "process": Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python",
        PID_LABEL: str(pid),
        STARTED_LABEL: _started(pid),
    }
    return [{"targets": [f"{address}:{port}"], "labels": labels}]


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
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's process with this id: the start time decides below where it can be read
    # The same id with another start time is another process.
    return not started or _started(pid) in {"", started}


def _started(pid: int) -> str:
    try:
        return started_of_stat(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""
