"""RE2 patterns on Python's engine (first slice)."""

from __future__ import annotations

import re
from functools import lru_cache

from agentgauge.errors import BadQuery


@lru_cache(maxsize=512)
def compile_re2(pattern: str) -> re.Pattern[str]:
    """Compile an anchored RE2 pattern; use ``fullmatch``."""
    try:
        return re.compile(f"(?s:{pattern})")
    except re.error as error:
        raise BadQuery(f"error parsing regexp: {error}") from None
