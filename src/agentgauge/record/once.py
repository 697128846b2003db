"""How an operation ends: once, and without a lock when it is the garbage collector that ends it."""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentgauge.record.recorder import Recorder


class EndsOnce:
    """An operation that ends once, whoever ends it: ``_open`` is there until then; dropped before, it is cancelled."""

    __slots__ = ("_is_over", "_open", "recorder")

    _is_over: bool
    _open: bool
    recorder: Recorder

    def finish(self, status: Any = "success") -> None:
        """End it."""
        raise NotImplementedError

    def close_once(self) -> bool:
        """Tell the first caller, and no other, that the operation is its to end.

        Deleting a slot is one atomic step of the interpreter, so two threads cannot both succeed; no lock is needed.
        """
        try:
            del self._open
        except AttributeError:
            return False
        self._is_over = True
        return True

    def __del__(self) -> None:
        try:
            if self._is_over:
                return  # asked first, because to miss ``_open`` costs as much as half an operation
        except AttributeError:
            return  # it never began
        if hasattr(self, "_open"):
            without_locks(self.recorder, self.finish, "cancelled")


def end_of(recorder: Recorder, start_ns: int, t_ns: int | None) -> int:
    """Return when an operation ended: as told, else now; never before its start and never in the future."""
    end_ns = recorder.clock.monotonic_ns()
    if t_ns is not None and t_ns < end_ns:
        end_ns = t_ns
    return end_ns if end_ns > start_ns else start_ns


def without_locks(recorder: Recorder, act: Callable[..., None], *args: Any) -> None:
    """Run something of ours in a finaliser, where no lock may be taken.

    While this thread is entered in ``inside``, ledger and live tasks append what they are given instead of locking.
    """
    inside = recorder.ledger.inside
    me = get_ident()
    was_inside = me in inside
    inside.add(me)
    try:
        act(*args)
    finally:
        if not was_inside:
            inside.discard(me)
