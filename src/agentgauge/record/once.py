"""How an operation ends: once, and without a lock when it is the garbage collector that ends it."""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from agentgauge.record.recorder import Recorder


class Ending(Protocol):
    """An operation, as far as its end goes; ``_open`` is there until it is over."""

    _open: bool
    recorder: Recorder

    def finish(self, status: Any) -> None:
        """End it."""


def close_once(operation: Ending) -> bool:
    """Tell the first caller, and no other, that the operation is its to end.

    Deleting a slot is one atomic step of the interpreter, so two threads cannot both succeed; no lock is needed.
    """
    try:
        del operation._open  # noqa: SLF001 -- the protocol above is this module's own
    except AttributeError:
        return False
    return True


def end_of(recorder: Recorder, start_ns: int, t_ns: int | None) -> int:
    """Return when an operation ended: as told, else now; never before its start and never in the future."""
    now_ns = recorder.clock.monotonic_ns()
    return max(start_ns, now_ns if t_ns is None else min(t_ns, now_ns))


def abandon(operation: Ending) -> None:
    """End as cancelled what was dropped; run by finalisers, so it must take no lock."""
    if hasattr(operation, "_open"):
        without_locks(operation.recorder, operation.finish, "cancelled")


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
