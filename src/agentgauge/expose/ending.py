"""How a worker process ends, and how to be told in time.

``atexit`` is not enough: children of ``multiprocessing`` by fork and forkserver leave through ``os._exit``, and pools
end their workers with SIGTERM. Signals are only touched in children, and only where nobody else handles them.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType


def is_child() -> bool:
    """Tell whether ``multiprocessing`` started this process."""
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def at_worker_end(close: Callable[[], object]) -> None:
    """Have ``close()`` called when a child of ``multiprocessing`` is done; call it once the child runs its own code."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, close, exitpriority=0)


class Termination:
    """SIGTERM, held off while something is being finished.

    Thread-safety: made and told of signals on the main thread; ``finishing`` on any.
    """

    __slots__ = ("_close", "_is_finishing", "_number")

    def __init__(self, close: Callable[[], object]) -> None:
        self._close = close
        self._is_finishing = False
        self._number = 0

    def watch(self) -> None:
        """Have the given ``close()`` called before SIGTERM ends this process, unless the host handles that signal."""
        if threading.current_thread() is not threading.main_thread():
            return  # only the main thread may set handlers
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._arrived)

    @contextmanager
    def held_off(self) -> Generator[None]:
        """Let a signal that arrives during the block take effect after it."""
        self._is_finishing = True
        try:
            yield
        finally:
            self._is_finishing = False
            if self._number:
                _die(self._number)

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        self._number = number
        if self._is_finishing:
            return  # the block that this interrupts ends the process
        try:
            self._close()
        finally:
            _die(number)


def _die(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
