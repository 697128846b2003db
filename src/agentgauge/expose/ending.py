"""How a worker process ends, and how to be told in time.

``atexit`` is not enough: children of ``multiprocessing`` by fork and forkserver leave through ``os._exit``, and pools
end their workers with SIGTERM. Signals are only touched in children, and only where nobody else handles them.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
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


def at_termination(close: Callable[[], object]) -> None:
    """Have ``close()`` called before SIGTERM ends this process, unless the host handles that signal itself."""
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread may set handlers
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return

    def end(number: int, frame: FrameType | None) -> None:
        try:
            close()
        finally:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, end)
