"""What became of a task's tokens, and which of its calls were the same again.

A call repeats another when component, name, arguments and result are the same: polling, where the result changes, is
no loop. Only hashes are kept, of this process and for the length of the task, and no more than a thousand.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agentgauge.model.metrics import TOKEN_TYPES
from agentgauge.record.amounts import whole

if TYPE_CHECKING:
    from agentgauge.model.accounts import FateKey, PathKey
    from agentgauge.model.span import TokenUsage

MAX_CALLS = 1_000
MAX_TEXT = 65_536
MAX_DEPTH = 6
MAX_ITEMS = 1_000
"""What is looked at of a value; longer texts are compared as they are, larger structures not at all."""

_IDS = re.compile(r"\b(?:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|call_\w+|[0-9a-f]{24,})\b|\s+", re.IGNORECASE)


def fingerprint(value: object) -> int | None:
    """Return a hash of a plain value with keys sorted, white space and ids removed; None for what has no plain form."""
    try:
        return hash(_plain(value, MAX_DEPTH))
    except (TypeError, ValueError, RecursionError):
        return None


def _plain(value: object, depth: int) -> object:
    if isinstance(value, str):
        return _IDS.sub(" ", value).strip() if len(value) <= MAX_TEXT else value
    if value is None or isinstance(value, (int, float, bytes)):
        return value
    if depth == 0:
        raise ValueError("too deep to compare")
    if isinstance(value, (list, tuple)) and len(value) <= MAX_ITEMS:
        return tuple([_plain(item, depth - 1) for item in value])
    if isinstance(value, dict) and len(value) <= MAX_ITEMS:
        return ("{}", *sorted((str(key), hash(_plain(item, depth - 1))) for key, item in value.items()))
    raise TypeError("not a plain value")


class Waste:
    """The tokens and calls of one running task.

    Thread-safety: the ledger's steps; ``asks_again`` from any thread.
    """

    __slots__ = ("_asked", "_seen", "_tokens", "repeated")

    def __init__(self) -> None:
        self._tokens: dict[tuple[str, str], list[int]] = {}
        self._seen: set[tuple[str, str, int, int]] | None = None
        self._asked: set[int] | None = None
        self.repeated: dict[PathKey, int] = {}

    def repeats(self, component: str, name: str, arguments: int, result: int) -> bool:
        """Tell whether a finished call is one of this task's again; count it when it is."""
        if self._seen is None:
            self._seen = set()
        call = (component, name, arguments, result)
        if call in self._seen:
            self.repeated[component, name] = self.repeated.get((component, name), 0) + 1
            return True
        if len(self._seen) < MAX_CALLS:
            self._seen.add(call)
        return False

    def asks_again(self, arguments: int | None) -> bool:
        """Tell whether this task asked just this before: only then is a streamed answer worth a hash."""
        asked = self._asked
        if asked is None:
            asked = self._asked = set()
        if arguments is None or arguments in asked:
            return arguments is not None
        if len(asked) < MAX_CALLS:
            asked.add(arguments)
        return False

    def spent(self, model: str, fate: str, usage: TokenUsage) -> None:
        """Add the tokens of a finished call; ``fate`` holds if the task succeeds."""
        prompt, completion = usage.prompt, usage.completion
        try:
            are_counts = prompt | completion >= 0  # type: ignore[operator]  # both whole, neither negative
        except TypeError:
            are_counts = False
        if not are_counts:
            prompt, completion = whole(prompt), whole(completion)
        tokens = self._tokens.get((model, fate))
        if tokens is None:
            self._tokens[model, fate] = [prompt or 0, completion or 0]
        else:
            tokens[0] += prompt or 0
            tokens[1] += completion or 0

    def fates(self, *, success: bool) -> dict[FateKey, int]:
        """Return the tokens by fate, now that the task is over: all of them failed where it did."""
        fates: dict[FateKey, int] = {}
        for (model, fate), tokens in self._tokens.items():
            for token_type, n_tokens in zip(TOKEN_TYPES, tokens, strict=True):
                if n_tokens:
                    key = (model, token_type, fate if success else "failed_task")
                    fates[key] = fates.get(key, 0) + n_tokens
        return fates
