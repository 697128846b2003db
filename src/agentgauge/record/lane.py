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
    return None if loop is None else sys.modules["asyncio"].current_task(loop)


def running_loop() -> Any | None:
    """Return the event loop that runs on this thread, None where there is none."""
    asyncio = sys.modules.get("asyncio")
    # Named so, and documented for this: it does not raise.
    return None if asyncio is None else asyncio._get_running_loop()  # noqa: SLF001


def current_lane() -> int:
    """Return a number for this line of execution, unlike that of any other that runs."""
    task = running_asyncio_task()
    return get_ident() if task is None else id(task)
