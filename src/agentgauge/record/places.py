"""Where in the user's code the label values came from that had to be folded: file and line, a few per label.

Looked at only when a value is folded, and only the first times: a million folded values cost a million additions and
``MAX_LOOKS`` walks up the stack. What is worked off later (``Ledger.later``) has no place any more; no value is kept.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from types import FrameType

MAX_LOOKS = 50
MAX_PLACES = 5
MAX_DEPTH = 60

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_LATER = {"_drain", "_run"}
"""Functions of the ledger below which no caller is the one who made the value."""


class Places:
    """Per metric and label, the places whose values were folded.

    Thread-safety: none of its own; called under the ledger's lock.
    """

    __slots__ = ("_looks", "_places")

    def __init__(self) -> None:
        self._looks: Counter[tuple[str, str]] = Counter()
        self._places: dict[tuple[str, str], Counter[str]] = {}

    def look(self, metric: str, label: str) -> str:
        """Note who asks for a folded value; return the place when it is the first time, else nothing."""
        key = (metric, label)
        if self._looks[key] >= MAX_LOOKS:
            return ""
        self._looks[key] += 1
        place = _place(sys._getframe(1))  # noqa: SLF001 -- the documented way to the caller, a tenth of inspect's cost
        places = self._places.setdefault(key, Counter())
        if place and (place in places or len(places) < MAX_PLACES):
            places[place] += 1
        return place if self._looks[key] == 1 else ""

    def found(self) -> list[tuple[str, str, list[str]]]:
        """Return (metric, label, places, most frequent first)."""
        return [
            (metric, label, [place for place, _ in places.most_common()])
            for (metric, label), places in sorted(self._places.items())
        ]


def _place(frame: FrameType | None) -> str:
    """Return ``file:line in function`` of the first frame outside this package; empty when that is not known."""
    for _ in range(MAX_DEPTH):
        if frame is None:
            return ""
        code = frame.f_code
        if not code.co_filename.startswith(_PACKAGE):
            return f"{code.co_filename}:{frame.f_lineno} in {code.co_name}"
        if code.co_name in _LATER:
            return ""
        frame = frame.f_back
    return ""
