"""Pushes that wait on disk until somebody answers: durable, oldest first, bounded.

A push is written before it is first sent and removed when it is taken, so a crash in between sends it again, which
counts once (``push.py``). The next job sends what earlier ones could not. Past ``MAX_FILES``, ``MAX_BYTES`` or
``MAX_AGE_MS`` the oldest goes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from time import sleep

from agentgauge.expose.push import Outcome, Push, push_from_json

try:
    import fcntl
except ImportError:  # not on Windows: there two processes may send one push twice, which counts once
    fcntl = None  # type: ignore[assignment]

LOCK_ATTEMPTS = 40
LOCK_STEP_S = 0.05

MAX_FILES = 500
MAX_BYTES = 64 * 1024 * 1024
MAX_AGE_MS = 14 * 86_400_000


def spool_directory(environ: Mapping[str, str]) -> Path:
    """Return the folder of this user: ``$AGENTGAUGE_SPOOL_DIR`` or ``$XDG_STATE_HOME/agentgauge/spool``."""
    chosen = environ.get("AGENTGAUGE_SPOOL_DIR")
    if chosen:
        return Path(chosen)
    home = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME") or "~").expanduser() / ".local" / "state")
    return Path(home) / "agentgauge" / "spool"


class Spool:
    """A folder of pushes.

    Thread-safety: any thread, any number of processes; may raise OSError where the folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, push: Push) -> None:
        """Write a push so that a crash of the machine does not lose it; the oldest goes where there are too many."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(push)
        draft = path.with_suffix(".draft")
        with open(draft, "w", encoding="utf-8", opener=_private) as file:
            file.write(push.to_json())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        self._trim(push.end_ms)

    def flush(self, send: Callable[[Push], Outcome]) -> dict[str, Outcome]:
        """Send all that wait, oldest first, until one is not answered; return what came of each, by id.

        Nothing where another process is at it for long: it sends these too, or the next job does.
        """
        outcomes: dict[str, Outcome] = {}
        with self._alone() as is_alone:
            for path in self._paths() if is_alone else ():
                push = _read(path)
                outcome: Outcome = "refused" if push is None else send(push)
                if push is not None:
                    outcomes[push.id] = outcome
                if outcome == "unanswered":
                    break
                path.unlink(missing_ok=True)
        return outcomes

    def _path(self, push: Push) -> Path:
        return self._folder / f"{push.end_ms:015d}-{push.id}.json"

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("*.json"))

    def _trim(self, now_ms: int) -> None:
        n_bytes = 0
        for n_files, path in enumerate(reversed(self._paths()), 1):
            with contextlib.suppress(OSError):
                n_bytes += path.stat().st_size
                is_old = now_ms - int(path.name.partition("-")[0]) > MAX_AGE_MS
                if n_files > 1 and (n_files > MAX_FILES or n_bytes > MAX_BYTES or is_old):
                    path.unlink()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[bool]:
        """Hold the folder's lock; tell whether it came free within two seconds."""
        with open(self._folder / "lock", "w", opener=_private) as file:
            is_ours = _locks(file.fileno())
            for _ in range(LOCK_ATTEMPTS):
                if is_ours:
                    break
                sleep(LOCK_STEP_S)
                is_ours = _locks(file.fileno())
            yield is_ours


def _locks(descriptor: int) -> bool:
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _read(path: Path) -> Push | None:
    """Read a push; None for what is none."""
    try:
        return push_from_json(path.read_text(encoding="utf-8"))
    except (ValueError, TypeError):
        return None


def _private(path: str, flags: int) -> int:
    """Open for this user alone: the file may hold credentials."""
    return os.open(path, flags, 0o600)
