"""Our failures never reach the host: counted, logged once per kind, raised in strict mode only.

``agentgauge.testing`` sets strict mode; nothing sniffs the environment for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Set
from threading import get_ident
from types import TracebackType


class Guard:
    """The one fence between agentgauge and its host.

    ``count`` adds one to ``agentgauge_record_errors_total{where}`` and must not raise. ``inside`` holds the threads
    that are in one of our critical sections: there nothing is logged, only noted, because a log handler has locks of
    its own and may be waiting, with them held, for ours. Who leaves the section calls ``flush``.

    Thread-safety: any thread, also finalisers and signal handlers.
    """

    __slots__ = ("_count", "_inside", "_logged", "noted", "strict")

    def __init__(self, count: Callable[[str], None], inside: Set[int] = frozenset()) -> None:
        self._count = count
        self._inside = inside
        self.noted: deque[str] = deque()
        self._logged: set[str] = set()
        self.strict = False

    def failed(self, where: str, error: BaseException) -> None:
        """Count a failure of ours; log the first of its kind; raise it in strict mode."""
        self.refused(where, f"{type(error).__name__}: {error}")
        if self.strict:
            raise error

    def refused(self, where: str, reason: str) -> None:
        """Count an input that cannot be recorded; log the first of its kind."""
        self._count(where)
        if where not in self._logged and len(self._logged) < 100:
            self._logged.add(where)
            self._log(where, reason)

    def once(self, kind: str, message: str) -> None:
        """Log a message once per kind, as a warning."""
        if kind not in self._logged:
            self._logged.add(kind)
            self.noted.append(message)
            if get_ident() not in self._inside:
                self.flush()

    def flush(self) -> None:
        """Log what was noted; only outside our critical sections."""
        import logging  # an eighth of our import's cost, for a message that most processes never need

        while self.noted:
            try:
                logging.getLogger("agentgauge").warning("%s", self.noted.popleft())
            except IndexError:
                return  # another thread was quicker
            except Exception:  # noqa: BLE001 -- a user's logging filter may raise; that is not the host's call either
                self._count("log")

    def _log(self, where: str, reason: str) -> None:
        self.once(f"first {where}", f"agentgauge could not record ({where}): {reason[:500]}; counted, not shown again")

    def __call__(self, where: str) -> Guarded:
        """Return a context manager that keeps ``Exception`` from its block away from the host."""
        return Guarded(self, where)


class Guarded:
    """A block whose failures are counted instead of raised."""

    __slots__ = ("_guard", "_where")

    def __init__(self, guard: Guard, where: str) -> None:
        self._guard = guard
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self._guard.failed(self._where, error)
        return True
