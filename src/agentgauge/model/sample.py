"""One value of one series at one time, and the three kinds of nothing.

Times are int64 milliseconds since the epoch; a range ``start_ms, end_ms`` includes both its ends, everywhere.

*No sample* is an absent cell, *stale* says that a series ended (Prometheus' staleness marker, a sample of its own),
*NaN* is a value. The first two are NaN payloads, so they are told apart on the bits only: arithmetic destroys them.
Source: Prometheus ``model/value/value.go``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from agentgauge.model.labels import Labels

STALE_BITS = 0x7FF0000000000002
"""The staleness marker: a signalling NaN that Prometheus writes when a series disappears."""

NO_SAMPLE_BITS = 0x7FF4DEAD00000001
"""Ours: the cell of a row whose series had no sample at that time. Never leaves the process or the file."""

STALE: float = struct.unpack("<d", struct.pack("<Q", STALE_BITS))[0]
NO_SAMPLE: float = struct.unpack("<d", struct.pack("<Q", NO_SAMPLE_BITS))[0]


@dataclass(frozen=True, slots=True)
class Sample:
    """One (t_ms, value) of one series."""

    labels: Labels
    t_ms: int
    value: float


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One observation that stands for many, with the ids that lead to its trace."""

    series: Labels
    labels: Labels
    t_ms: int
    value: float


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """What the exposition says about a metric family; unknown parts are empty."""

    type: str
    help: str
    unit: str = ""


def float_bits(value: float) -> int:
    """Return the 64 bits of a float, payload of a NaN included."""
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


def is_stale(value: float) -> bool:
    """Tell whether a value is the staleness marker."""
    return value != value and float_bits(value) == STALE_BITS
