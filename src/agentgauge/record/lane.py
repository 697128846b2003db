"""Which line of execution this is: an asyncio task where there is one, else a thread.

Operations of one lane follow each other; those of two lanes run side by side, and each lane but the first gets a
branch of its own in the task's tree (see ``record/branch.py``).
"""

from __future__ import annotations

from sys import modules
from threading import get_ident
from typing import Any


def running_asyncio_task() -> Any | None:
    """Return the asyncio task that runs on this thread, None outside any; never imports asyncio."""
    asyncio = modules.get("asyncio")
    if asyncio is None:
        return None
    try:
        loop = asyncio._get_running_loop()  # noqa: SLF001 -- named so, documented for this: it does not raise
        return None if loop is None else asyncio.current_task(loop)
    except AttributeError:
        return None  # another thread is still importing it


def running_loop() -> Any | None:
    """Return the event loop that runs on this thread, None where there is none."""
    get_running_loop = getattr(modules.get("asyncio"), "_get_running_loop", None)
    return None if get_running_loop is None else get_running_loop()


def current_lane() -> int:
    """Return a number for this line of execution, unlike that of any other that runs."""
    if "asyncio" not in modules:
        return get_ident()
    task = running_asyncio_task()
    return get_ident() if task is None else id(task)
