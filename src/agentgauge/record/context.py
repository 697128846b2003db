"""Where this code runs: the operation that encloses it, carried by a ``ContextVar``.

A ``ContextVar`` travels through ``await``, ``create_task``, ``gather`` and ``to_thread`` by itself; threads and pools
start empty, so ``propagate`` carries it there. It is set only around a block or a step of a generator, never left set
across a ``yield``, and read once, when an operation starts.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Optional, Protocol

if TYPE_CHECKING:
    from agentgauge.record.live import LiveTask
    from agentgauge.record.node import Node
    from agentgauge.record.recorder import Recorder
    from agentgauge.record.waste import Waste


class Running(Protocol):
    """A running task, as far as the calls inside it know it; ``counts`` is component -> calls so far."""

    agent: str
    task_id: str
    trace_id: str
    counts: dict[str, int]
    waste: Waste


class Enclosing(Protocol):
    """An operation that others may run inside."""

    @property
    def recorder(self) -> Recorder:
        """Where it is recorded."""

    @property
    def task(self) -> Running | None:
        """The task it belongs to: itself, when it is one; None outside any task."""

    @property
    def live(self) -> LiveTask | None:
        """The root task whose time it is a part of."""

    @property
    def node(self) -> Node | None:
        """Its place in the tree of that task."""

    @property
    def lane(self) -> int:
        """The line of execution it started on."""


CURRENT: ContextVar[Optional[Enclosing]] = ContextVar("agentgauge_current", default=None)  # noqa: UP045 -- evaluated


def put_back(token: Token[Enclosing | None]) -> None:
    """Restore what was current before; nothing to do where the generator is closed from another context."""
    try:
        CURRENT.reset(token)
    except ValueError:
        return
