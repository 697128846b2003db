"""What a check says: a verdict, what it looked at, what it saw, and the command that mends it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

Verdict: TypeAlias = Literal["ok", "warn", "bad", "unknown"]
"""ok; warn: numbers may be wrong or will be; bad: something does not work; unknown: it could not be seen."""

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Judgement:
    """The outcome of one check; ``mend`` is a command to run or a line to write, empty where nothing is to do."""

    verdict: Verdict
    looked_at: str
    detail: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the doctor's answer: a judgement under its check's name."""

    check: str
    title: str
    group: str
    verdict: Verdict
    looked_at: str
    detail: str
    mend: str = ""


def ok(looked_at: str, detail: str, mend: str = "") -> Judgement:
    """Return that all is well; ``mend`` may hold a hint."""
    return Judgement("ok", looked_at, detail, mend)


def warn(looked_at: str, detail: str, mend: str) -> Judgement:
    """Return that numbers are or will be wrong."""
    return Judgement("warn", looked_at, detail, mend)


def bad(looked_at: str, detail: str, mend: str) -> Judgement:
    """Return that something does not work."""
    return Judgement("bad", looked_at, detail, mend)


def unknown(looked_at: str, detail: str, mend: str = "") -> Judgement:
    """Return that it could not be seen."""
    return Judgement("unknown", looked_at, detail, mend)


def listed(parts: Iterable[str], n_shown: int = _SHOWN) -> str:
    """Join the first few parts and say how many more there are."""
    every = list(parts)
    more = len(every) - n_shown
    return "; ".join(every[:n_shown]) + (f"; and {more} more" if more > 0 else "")


def counted(n: float, noun: str) -> str:
    """Say how many of something: ``1 scrape``, ``1,200 scrapes``."""
    return f"{n:,.0f} {noun}" + "s" * (f"{n:.0f}" != "1")


def times(n: float) -> str:
    """Say how often: ``once``, ``twice``, ``1,200 times``."""
    return {"1": "once", "2": "twice"}.get(f"{n:.0f}", f"{n:,.0f} times")
