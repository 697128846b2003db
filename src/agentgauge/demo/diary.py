"""The agents' own plain log of what they did, kept beside the metrics and never computed from them.

A monitor is only as good as its last comparison with the truth. The end-to-end test runs the agents, adds this diary
up and holds every counter against it.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["task", "llm", "tool"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing an agent did: a task, an LLM call or a tool call, and how it ended. ``name`` is the model or tool.

    ``n_prompt``, ``n_completion``: the tokens that the answer named; 0 where none came.
    """

    kind: Kind
    agent: str
    name: str
    outcome: str
    n_prompt: int = 0
    n_completion: int = 0


@dataclass(slots=True)
class Note:
    """An entry in the making."""

    outcome: str = "success"
    n_prompt: int = 0
    n_completion: int = 0


class Diary:
    """Entries in the order they were made, in memory and, when a path is given, one JSON object a line.

    Thread-safety: any thread may write; reading gives what is complete.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self._file = path.open("a", encoding="utf-8") if path else None

    def write(self, entry: Entry) -> None:
        """Note one finished thing."""
        with self._lock:
            self._entries.append(entry)
            if self._file:
                self._file.write(json.dumps(asdict(entry)) + "\n")
                self._file.flush()

    def entries(self) -> list[Entry]:
        """Return what has been written so far."""
        with self._lock:
            return list(self._entries)

    def close(self) -> None:
        """Close the file, if there is one."""
        with self._lock:
            if self._file:
                self._file.close()
                self._file = None


def counts(entries: Iterable[Entry]) -> Counter[tuple[str, str, str, str]]:
    """Count entries by (kind, agent, name, outcome)."""
    return Counter((entry.kind, entry.agent, entry.name, entry.outcome) for entry in entries)


def read_diary(path: Path) -> list[Entry]:
    """Read a diary file."""
    return [Entry(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
