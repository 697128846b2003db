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
from time import sleep
from types import FrameType

PATIENCE_S = 5.0
"""How long SIGTERM waits for a main thread that computes, before the process ends without it."""

POKE_S = 0.05


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
    """SIGTERM in a worker: the last word first, then the end; held off while something is being finished.

    A Python handler runs when the main thread next looks, and that may be never: a signal that arrives between its last
    look and a wait for a lock does not wake it, and a pool that ends its workers would hang (seen in one pool of fifty
    on a busy machine). So a thread reads the signal's byte from a pipe and pokes the main thread until it has looked;
    after ``PATIENCE_S`` (a long computation in C) it ends the process itself.

    Thread-safety: ``watch`` and ``forget`` act on the main thread only; ``held_off`` on any.
    """

    __slots__ = ("_close", "_is_finishing", "_number", "_pipe")

    def __init__(self, close: Callable[[], object]) -> None:
        self._close = close
        self._is_finishing = False
        self._number = 0
        self._pipe: tuple[int, int] | None = None

    def watch(self) -> None:
        """Have the given ``close()`` called before SIGTERM ends this process, unless the host handles that signal."""
        if threading.current_thread() is not threading.main_thread():
            return  # only the main thread may set handlers
        if self._pipe is not None or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            return
        reading, writing = self._pipe = os.pipe()
        os.set_blocking(writing, False)
        others = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        if others != -1:
            # An event loop's: it wakes up for every signal, so the handler runs.
            signal.set_wakeup_fd(others)
        else:
            threading.Thread(target=self._poke, args=(reading,), name="agentgauge-end", daemon=True).start()
        signal.signal(signal.SIGTERM, self._arrived)

    def forget(self) -> None:
        """Take it back in a forked child: the pipe is the parent's."""
        if self._pipe is None:
            return
        signal.set_wakeup_fd(-1)
        for end in self._pipe:
            os.close(end)
        self._pipe, self._number, self._is_finishing = None, 0, False
        if signal.getsignal(signal.SIGTERM) == self._arrived:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

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

    def _poke(self, reading: int) -> None:
        while signal.SIGTERM not in os.read(reading, 100):
            pass  # some other signal's byte
        main = threading.main_thread().ident
        for _ in range(round(PATIENCE_S / POKE_S)):
            sleep(POKE_S)
            if self._number == 0 and main is not None:
                signal.pthread_kill(main, signal.SIGTERM)
        self._close()
        os.kill(os.getpid(), signal.SIGKILL)


def _die(number: int) -> None:
    if threading.current_thread() is threading.main_thread():
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    else:
        os.kill(os.getpid(), signal.SIGKILL)
