"""Functions by what they answer; the scripts and the differential test hold the rest."""

from __future__ import annotations

import datetime
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgauge.promql.functions import FUNCTIONS
from agentgauge.promql.functions.histogram import parse_bound
from agentgauge.promql.functions.labels import expand, natural_less
from agentgauge.promql.functions.time import date_of, whole_seconds
from agentgauge.promql.regex import compile_re2


def test_the_table_is_sorted_and_every_row_has_a_kernel() -> None:
    """``absent_over_time`` alone is the engine's."""
    assert list(FUNCTIONS) == sorted(FUNCTIONS)
    assert [name for name, row in FUNCTIONS.items() if row.over is None and row.call is None] == ["absent_over_time"]


@given(st.datetimes())
def test_dates_are_civil_dates(when: datetime.datetime) -> None:
    """Year, month, day, weekday and second agree with the calendar, long before 1970 too."""
    moment = when.replace(microsecond=0, tzinfo=datetime.UTC)
    date = date_of(np.array([int(moment.timestamp())]))
    month, day = date.month_and_day()
    assert (date.year[0], month[0], day[0]) == (moment.year, moment.month, moment.day)
    assert date.week_day[0] == moment.isoweekday() % 7
    assert date.year_day[0] + 1 == moment.timetuple().tm_yday
    assert date.second[0] == moment.hour * 3600 + moment.minute * 60 + moment.second


def test_what_fits_no_int64_becomes_the_smallest() -> None:
    """As x86-64 converts; fractions are cut toward zero."""
    low = np.iinfo(np.int64).min
    assert whole_seconds(np.array([1.9, -1.9, np.nan, np.inf, 1e300])).tolist() == [1, -1, low, low, low]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1.0),
        ("+Inf", math.inf),
        ("-5e-1", -0.5),
        ("0x1p3", 8.0),
        ("", None),
        ("x", None),
        ("1_0", None),
        (" 1", None),
    ],
)
def test_bounds_are_read_as_go_reads_floats(text: str, expected: float | None) -> None:
    """Not as Python does: no underscores, no blanks."""
    assert parse_bound(text) == expected


@pytest.mark.parametrize(
    ("pattern", "value", "template", "expected"),
    [
        ("(a)(b)", "ab", "$2-$1", "b-a"),
        ("(a)b", "ab", "${1}x", "ax"),
        ("(a)b", "ab", "$1x", ""),
        ("(a)b", "ab", "$$1", "$1"),
        ("(?P<n>a)b", "ab", "$n", "a"),
        ("(a)|(b)", "a", "<$2>", "<>"),
        ("a", "a", "$", "$"),
    ],
)
def test_templates_expand_as_in_go(pattern: str, value: str, template: str, expected: str) -> None:
    """The longest name counts; unknown groups are empty."""
    match = compile_re2(pattern).fullmatch(value)
    assert match is not None
    assert expand(match, template) == expected


def test_numbers_inside_labels_compare_as_numbers() -> None:
    """1.2 stands before 1.10."""
    assert natural_less("v1.2", "v1.10")
    assert not natural_less("v1.10", "v1.2")
    assert natural_less("a", "b")
