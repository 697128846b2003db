"""What an exception means for the work it ended: timed out, cancelled or failed.

Exceptions are known by the names of their classes and base classes, so that the timeouts of HTTP clients count as
timeouts without importing a single client.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

Ending: TypeAlias = Literal["timeout", "cancelled", "failed"]

CANCELLATIONS = frozenset({"Cancelled", "CancelledError", "GeneratorExit", "KeyboardInterrupt"})
"""asyncio, concurrent.futures, trio; a stream closed early; Ctrl-C."""

TIMEOUTS = frozenset({"APITimeoutError", "Timeout", "TimeoutError", "TimeoutException"})
"""Built in and asyncio; openai and anthropic; requests; httpx."""


def ending(error: BaseException) -> Ending:
    """Tell how an exception ends what it passes through."""
    names = {base.__name__ for base in type(error).__mro__}
    if names & CANCELLATIONS:
        return "cancelled"
    return "timeout" if names & TIMEOUTS else "failed"


def error_type(error: BaseException) -> str:
    """Return the bounded name of an exception: its class, never its message."""
    return type(error).__name__
