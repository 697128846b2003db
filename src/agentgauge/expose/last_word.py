"""What a process counted, left behind when it ends, so that nothing after its last scrape is lost.

A file in the folder ``ended`` below the discovery folder: who it was, when, and its exposition text. A server takes it
in and removes it (``scrape/ended.py``); where none runs, the files are few and short-lived: at most ``MAX_FILES``, none
older than ``MAX_AGE_MS``. A process killed with -9 leaves none: what it did after its last scrape is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from agentgauge.expose.document import Document
from agentgauge.model.discovery import ENDED_FOLDER

MAX_FILES = 256
MAX_AGE_MS = 3_600_000


def leave_last_word(
    folder: Path, document: Document, group: dict[str, object], start_ms: int, end_ms: int
) -> Path | None:
    """Write the counts of this process for a server to take in; None when it never counted anything.

    Args:
        folder: the discovery folder.
        document: what the process showed; one that was rendered is taken to have been scraped.
        group: who it was, as its discovery file says.
        start_ms: since when it counts.
        end_ms: now.

    May raise OSError.
    """
    was_scraped = document.n_rendered > 0
    text = document.render()[1].decode("utf-8", "replace")
    if not any(family.keys for name, family in document.ledger.families.items() if name.startswith("agent_")):
        return None
    folder = folder / ENDED_FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    prune(folder, end_ms)
    path = folder / f"{os.getpid()}-{end_ms}.json"
    draft = path.with_suffix(".draft")
    draft.write_text(
        json.dumps({"group": group, "start_ms": start_ms, "end_ms": end_ms, "scraped": was_scraped, "text": text}),
        encoding="utf-8",
    )
    draft.replace(path)
    return path


def prune(folder: Path, now_ms: int) -> None:
    """Remove what nobody took in: the oldest beyond ``MAX_FILES``, and all older than ``MAX_AGE_MS``."""
    ages = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):  # taken in or pruned by another process meanwhile
            ages.append((path.stat().st_mtime_ns // 1_000_000, path))
    ages.sort(reverse=True)
    for i, (written_ms, path) in enumerate(ages):
        if i >= MAX_FILES - 1 or now_ms - written_ms > MAX_AGE_MS:
            path.unlink(missing_ok=True)
