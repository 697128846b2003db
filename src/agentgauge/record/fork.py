"""What a forked child does first: every object that asked gets ``after_fork()`` called in the child.

One hook for the whole process, because ``os.register_at_fork`` cannot be undone; objects are held weakly.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Something that must be made anew in a forked child."""

    def after_fork(self) -> None:
        """Run in the child, on its only thread, before the host's code; must not raise."""


_FORKABLES: weakref.WeakSet[Forkable] = weakref.WeakSet()


def on_fork(subject: Forkable) -> None:
    """Have ``subject.after_fork()`` called in every forked child for as long as the subject lives."""
    _FORKABLES.add(subject)


def _after_fork() -> None:
    for subject in list(_FORKABLES):
        subject.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
