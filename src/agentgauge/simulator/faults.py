"""Faults on purpose: which go wrong, how often, decided by the seed and the request, never by chance.

The same request asked again draws again, so a client's retry can succeed; a whole run repeats under its seed.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentgauge.errors import ConfigError

CRASH = "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error"
MIDSTREAM = "an error was encountered while running the model: " + CRASH
BUSY = "server busy, please try again.  maximum pending requests exceeded"

KINDS: Mapping[str, str] = {
    "badargs": "a tool call with arguments that do not fit the tool",
    "busy": "503, as when the pending queue is full",
    "crash": "500 before the first token",
    "early-end": "the stream ends without a last object",
    "midstream": "an error after some tokens",
    "reset": "the connection is reset after some tokens",
    "stall": "nothing more is sent for some seconds after some tokens",
    "truncated": "the answer stops at the output limit",
}
"""Kind -> what the client sees."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault and the share of requests that have it; ``seconds`` is how long a stall lasts."""

    kind: str
    share: float
    seconds: float = 30.0


def parse_fault(text: str) -> Fault:
    """Read ``midstream:0.02`` or ``stall:0.01:5``; raises ConfigError with the kinds there are."""
    kind, _, rest = text.partition(":")
    share, _, seconds = (rest or "1").partition(":")
    try:
        fault = Fault(kind, float(share), float(seconds or 30))
    except ValueError:
        raise ConfigError(
            f"--fault {text!r}: write KIND:SHARE or stall:SHARE:SECONDS, for example midstream:0.02"
        ) from None
    if kind not in KINDS:
        raise ConfigError(f"--fault {text!r}: no such kind; there are {', '.join(KINDS)}")
    if not 0 <= fault.share <= 1 or fault.seconds < 0:
        raise ConfigError(f"--fault {text!r}: a share is between 0 and 1, seconds are not negative")
    return fault


def fault_for(faults: Sequence[Fault], seed: int) -> Fault | None:
    """Return the fault of the request with this seed, or None. Shares add up, so none hides another."""
    draw = random.Random(f"fault:{seed}").random()
    for fault in faults:
        if draw < fault.share:
            return fault
        draw -= fault.share
    return None
