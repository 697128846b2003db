"""The one default ``Recorder`` of a process: made on first use, replaceable for tests."""

from __future__ import annotations

from collections.abc import Callable

from agentgauge.record.recorder import Recorder

_RECORDERS: list[Recorder] = []
"""The recorder in use, last; those it stands in for (tests) before it."""


def default_recorder() -> Recorder:
    """Return the recorder of this process, made on first use."""
    if not _RECORDERS:
        _RECORDERS.append(Recorder())
    return _RECORDERS[-1]


def use_recorder(recorder: Recorder) -> Callable[[], None]:
    """Record into another recorder until the returned function is called."""
    _RECORDERS.append(recorder)

    def restore() -> None:
        _RECORDERS.remove(recorder)

    return restore
