"""Which line of execution this is: an asyncio task where there is one, else a thread.

Operations of one lane follow each other; those of two lanes run side by side, and each lane but the first gets a
branch of its own in the task's tree (see ``record/branch.py``).
"""

from __future__ import annotations

import sys
from threading import get_ident
from typing import Any


def running_asyncio_task() -> Any | None:
    """Return the asyncio task that runs on this thread, None outside any; never imports asyncio."""
    loop = running_loop()
    current_task = getattr(sys.modules.get("asyncio"), "current_task", None)
    return None if loop is None or current_task is None else current_task(loop)


def running_loop() -> Any | None:
    """Return the event loop that runs on this thread, None where there is none."""
    # Absent while another thread is still importing it. Named so, and documented for this: it does not raise.
    get_running_loop = getattr(sys.modules.get("asyncio"), "_get_running_loop", None)
    return None if get_running_loop is None else get_running_loop()


def current_lane() -> int:
    """Return a number for this line of execution, unlike that of any other that runs."""
    task = running_asyncio_task()
    return get_ident() if task is None else id(task)
