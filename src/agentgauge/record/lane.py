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
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    loop = asyncio._get_running_loop()  # noqa: SLF001 -- named so, documented for this: it does not raise
    return None if loop is None else asyncio.current_task(loop)


def current_lane() -> int:
    """Return a number for this line of execution, unlike that of any other that runs."""
    task = running_asyncio_task()
    return get_ident() if task is None else id(task)
