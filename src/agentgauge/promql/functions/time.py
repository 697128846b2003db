"""Functions of time: ``time()``, ``timestamp()``, and the parts of a date.

Dates are computed as Go does, on a 64-bit count of seconds that wraps, so that even NaN and infinite arguments give
Prometheus' answers on x86-64. Source: Go time/time.go (absDate), Prometheus promql/functions.go (dateWrapper).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentgauge.model.series import Values
from agentgauge.promql.functions.elementwise import CallKernel, vector_arg, with_values
from agentgauge.promql.naming import drop_names
from agentgauge.promql.nodes import Call
from agentgauge.promql.scope import Scope
from agentgauge.promql.values import Scalar, Value, vector_of

_DAY_S = 86_400
_ZERO_YEAR = -292277022399
"""Go counts days from 1 January of this year; it is the first of a cycle of 400 years."""
_ZERO_S = 9223372028715321600
"""Seconds from there to 1970."""

_MONTH_STARTS = np.array([0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365])


@dataclass(frozen=True, slots=True)
class Date:
    """Civil dates of many times, as arrays of one shape. year_day counts from 0."""

    year: NDArray[np.int64]
    year_day: NDArray[np.int64]
    leap: NDArray[np.bool_]
    second: NDArray[np.int64]
    week_day: NDArray[np.int64]

    def month_and_day(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the month and the day in it, both from 1."""
        leap_day = self.leap & (self.year_day == 59)
        day = self.year_day - (self.leap & (self.year_day > 59))
        month = np.searchsorted(_MONTH_STARTS, day, "right")
        return np.where(leap_day, 2, month), np.where(leap_day, 29, day - _MONTH_STARTS[month - 1] + 1)


def date_of(seconds: NDArray[np.int64]) -> Date:
    """Turn seconds since 1970 (UTC, no leap seconds) into civil dates, proleptic Gregorian."""
    absolute = seconds.astype(np.uint64) + np.uint64(_ZERO_S)
    week_day = ((absolute + np.uint64(_DAY_S)) % np.uint64(7 * _DAY_S)) // np.uint64(_DAY_S)
    days = (absolute // np.uint64(_DAY_S)).astype(np.int64)
    n400, days = days // 146_097, days % 146_097
    n100 = np.minimum(days // 36_524, 3)
    days -= 36_524 * n100
    n4, days = days // 1_461, days % 1_461
    n1 = np.minimum(days // 365, 3)
    years = 400 * n400 + 100 * n100 + 4 * n4 + n1 + _ZERO_YEAR
    leap = (years % 4 == 0) & ((years % 100 != 0) | (years % 400 == 0))
    return Date(
        years, days - 365 * n1, leap, (absolute % np.uint64(_DAY_S)).astype(np.int64), week_day.astype(np.int64)
    )


def whole_seconds(values: Values) -> NDArray[np.int64]:
    """Truncate to int64 as x86-64 does: what does not fit becomes the smallest one."""
    fits = (values >= -(2.0**63)) & (values < 2.0**63)
    return np.where(fits, np.trunc(np.where(fits, values, 0.0)), 0.0).astype(np.int64) + np.where(
        fits, np.int64(0), np.iinfo(np.int64).min
    )


def date_part(part: Callable[[Date], NDArray[np.int64]]) -> CallKernel:
    """Make a kernel that returns a part of a date: of the step's time, or of each value when there is an argument."""

    def kernel(scope: Scope, _call: Call, args: Sequence[Value]) -> Value:
        if not args:
            seconds = np.trunc(scope.t_ms / 1000).astype(np.int64)
            values = part(date_of(seconds)).astype(np.float64)[None, :]
            return vector_of([()], values, np.ones(values.shape, np.bool_))
        vector = vector_arg(args[0])
        values = part(date_of(whole_seconds(vector.values))).astype(np.float64)
        return drop_names(scope, with_values(vector, values))

    return kernel


def minute(date: Date) -> NDArray[np.int64]:
    """Return the minute of the hour."""
    return date.second % 3_600 // 60


def hour(date: Date) -> NDArray[np.int64]:
    """Return the hour of the day."""
    return date.second // 3_600


def day_of_week(date: Date) -> NDArray[np.int64]:
    """Return the day of the week; Sunday is 0."""
    return date.week_day


def day_of_month(date: Date) -> NDArray[np.int64]:
    """Return the day of the month, from 1."""
    return date.month_and_day()[1]


def day_of_year(date: Date) -> NDArray[np.int64]:
    """Return the day of the year, from 1."""
    return date.year_day + 1


def days_in_month(date: Date) -> NDArray[np.int64]:
    """Return the length of the month in days."""
    month = date.month_and_day()[0]
    length: NDArray[np.int64] = np.diff(_MONTH_STARTS)[month - 1] + ((month == 2) & date.leap)
    return length


def month(date: Date) -> NDArray[np.int64]:
    """Return the month, from 1."""
    return date.month_and_day()[0]


def year(date: Date) -> NDArray[np.int64]:
    """Return the year."""
    return date.year


def time(scope: Scope, _call: Call, _args: Sequence[Value]) -> Value:
    """Return each step's time in seconds."""
    return Scalar(scope.t_ms / 1000)


def timestamp(scope: Scope, _call: Call, args: Sequence[Value]) -> Value:
    """Return each step's time in seconds, for every element; for a bare selector the engine asks its samples."""
    vector = vector_arg(args[0])
    return drop_names(scope, with_values(vector, np.broadcast_to(scope.t_ms / 1000, vector.values.shape)))
