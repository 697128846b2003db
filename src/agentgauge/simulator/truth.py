"""The server's own account of what it sent, one entry per request that called a model: what a monitor must find."""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

N_ENTRIES = 100_000
"""How many entries are kept in memory, the newest; the file has all."""

Outcome = Literal["ok", "error", "cancelled", "reset", "early-end", "midstream"]


@dataclass(frozen=True, slots=True)
class Sent:
    """One request and what was sent for it. Durations are nanoseconds as in the answer's fields, 0 when not reached.

    Attributes:
        model: as the client named it. outcome: ``cancelled`` when the client went away before the end.
        n_prompt, n_completion: tokens as counted by the model; n_cached: of the prompt, not processed again.
        counted: whether the client was told the counts: the last object, or the usage, left the server.
        truncated: the prompt was cut to fit the context. n_tool_calls: calls sent.
    """

    number: int
    path: str
    model: str
    stream: bool
    status: int
    outcome: Outcome
    done_reason: str = ""
    n_prompt: int = 0
    n_cached: int = 0
    n_completion: int = 0
    counted: bool = False
    truncated: bool = False
    n_tool_calls: int = 0
    total_ns: int = 0
    load_ns: int = 0
    queue_ns: int = 0
    prompt_eval_ns: int = 0
    eval_ns: int = 0
    arrived_ns: int = 0
    fault: str = ""


class TruthLog:
    """Entries in the order in which requests ended; in memory, and in a file of JSON lines when a path is given.

    Thread-safety: written by the server's thread; ``entries`` may be called from any.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._entries: deque[Sent] = deque(maxlen=N_ENTRIES)
        self._file = path.open("a", encoding="utf-8") if path else None

    def write(self, entry: Sent) -> None:
        """Note one request."""
        with self._lock:
            self._entries.append(entry)
            if self._file is not None:
                self._file.write(json.dumps(asdict(entry), ensure_ascii=False) + "\n")
                self._file.flush()

    def entries(self) -> list[Sent]:
        """Return what has been noted so far."""
        with self._lock:
            return list(self._entries)

    def close(self) -> None:
        """Close the file, if there is one."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
