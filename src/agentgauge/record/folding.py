"""Label limits: which label values become series, and which become ``__other__``.

A value is looked at once, when its label set is first seen; a known label set pays nothing. Values that look
unbounded (ids, hashes, timestamps, long texts) fold from the first one. Memory stays flat whatever comes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping

from agentgauge.errors import ConfigError
from agentgauge.model.metrics import LABEL_LIMITS, OTHER

MAX_VALUE_CHARACTERS = 128

_UNBOUNDED = re.compile(
    r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}"  # a UUID, with or without its dashes
    r"|[0-9a-f]{16,}"  # a hash or an address; model names do not have 16 hex digits in a row
    r"|[0-9]{9,}"  # an id or an epoch; dates in model names have 8
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}[t _][0-9]{2}[:.-]?[0-9]{2}",  # a timestamp
    re.IGNORECASE,
)


def looks_unbounded(value: str) -> bool:
    """Tell whether a value is of a kind that never ends: an id, a hash, a time, a long text, not UTF-8."""
    if len(value) > MAX_VALUE_CHARACTERS or _UNBOUNDED.search(value) is not None:
        return True
    return not value.isascii() and not _is_utf8(value)


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _nothing(label: str) -> str:
    """Return what stands for no value: code without a name has an empty one, everything else is unknown."""
    return "" if label == "name" else "unknown"


class Folding:
    """The label values this process has admitted, by label; past a limit there is only ``__other__``.

    ``on_fold(metric, label)`` is called for every value folded.

    Thread-safety: none of its own; called under the ledger's lock.
    """

    __slots__ = ("_admitted", "_limits", "_on_fold")

    def __init__(self, on_fold: Callable[[str, str], None], limits: Mapping[str, int] | None = None) -> None:
        self._limits = {**LABEL_LIMITS, **(limits or {})}
        self._admitted: dict[tuple[str, str], set[str]] = {}
        self._on_fold = on_fold

    def limit(self, limits: Mapping[str, int]) -> None:
        """Set limits of labels; what has been admitted stays.

        Raises:
            ConfigError: a label that has none, because its values are a closed set, or a limit below 1.
        """
        for label, limit in limits.items():
            if label not in LABEL_LIMITS:
                raise ConfigError(
                    f"limits: {label!r} has no limit to set; there are: {', '.join(sorted(LABEL_LIMITS))}"
                )
            if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
                raise ConfigError(f"limits: {label} must be a whole number above 0, not {limit!r}")
        self._limits.update(limits)

    def limited(self, label: str) -> bool:
        """Tell whether a label has a limit; the others have closed sets of values."""
        return label in self._limits

    def admit(self, metric: str, label: str, value: object, scope: str = "") -> str:
        """Return the value to use: itself, ``unknown`` for none, ``__other__`` when folded.

        The limit holds per label and ``scope``: names of path components are limited per agent and component.
        """
        if value is None:
            return _nothing(label)
        if isinstance(value, str):
            admitted = self._admitted.setdefault((label, scope), set())
            if value in admitted or value == OTHER:
                return sys.intern(str.__str__(value))
            if not value:
                return _nothing(label)
            if len(admitted) < self._limits[label] and not looks_unbounded(value):
                # A plain string, whatever subclass came: an enum's own str() is not its value.
                plain = sys.intern(str.__str__(value))
                admitted.add(plain)
                return plain
        self._on_fold(metric, label)
        return OTHER

    def is_admitted(self, label: str, value: object, scope: str = "") -> bool:
        """Tell whether a value has been seen and kept."""
        admitted = self._admitted.get((label, scope))
        return admitted is not None and isinstance(value, str) and value in admitted
