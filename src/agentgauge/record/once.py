"""How an operation ends: once, and without a lock when it is the garbage collector that ends it."""

from __future__ import annotations

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
    """End as cancelled what was dropped; run by finalisers, so it must take no lock.

    While this thread is entered in ``inside``, ledger and live tasks append what they are given instead of locking.
    """
    if not hasattr(operation, "_open"):
        return
    inside = operation.recorder.ledger.inside
    me = get_ident()
    was_inside = me in inside
    inside.add(me)
    try:
        operation.finish("cancelled")
    finally:
        if not was_inside:
            inside.discard(me)
