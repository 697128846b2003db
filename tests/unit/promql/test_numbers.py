"""Floats, times and durations as Prometheus writes them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgauge.promql.numbers import (
    format_duration_ms,
    format_float,
    format_g,
    format_open_metrics,
    format_plain,
    format_timestamp,
)
from agentgauge.promql.quote import go_quote
from agentgauge.promql.tokens import duration_ms_from_text
from agentgauge.server.json import value_texts


@pytest.mark.parametrize(
    ("value", "api", "g", "open_metrics"),
    [
        (0.0, "0", "0", "0.0"),
        (-0.0, "-0", "-0", "-0.0"),
        (1.0, "1", "1", "1.0"),
        (0.1, "0.1", "0.1", "0.1"),
        (1e-5, "0.00001", "1e-05", "1e-05"),
        (1e-7, "1e-07", "1e-07", "1e-07"),
        (999_999.0, "999999", "999999", "999999.0"),
        (1e6, "1000000", "1e+06", "1e+06"),
        (1234567.5, "1234567.5", "1.2345675e+06", "1.2345675e+06"),
        (1e16, "10000000000000000", "1e+16", "1e+16"),
        (1.5e21, "1.5e+21", "1.5e+21", "1.5e+21"),
        (5e-324, "5e-324", "5e-324", "5e-324"),
        (math.inf, "+Inf", "+Inf", "+Inf"),
        (-math.inf, "-Inf", "-Inf", "-Inf"),
        (math.nan, "NaN", "NaN", "NaN"),
    ],
)
def test_forms_of_a_float(value: float, api: str, g: str, open_metrics: str) -> None:
    """The API, %g and OpenMetrics differ in when exponents begin and in the point."""
    assert (format_float(value), format_g(value), format_open_metrics(value)) == (api, g, open_metrics)


@given(st.floats())
def test_every_form_reads_back(value: float) -> None:
    """Any form is the same float again, bit for bit but for NaN's payload."""
    for form in (format_float, format_g, format_plain, format_open_metrics):
        again = float(form(value))
        assert again == value or (again != again and value != value)
        assert math.copysign(1, again) == math.copysign(1, value) or value != value


@given(st.lists(st.floats(), min_size=1))
def test_a_row_is_written_like_its_values(values: list[float]) -> None:
    """The fast path of a row writes what format_float writes."""
    assert value_texts(np.array(values)) == [format_float(value).encode() for value in values]


@given(st.integers(0, 9 * 10**12))
def test_durations_read_back(ms: int) -> None:
    """A printed duration is the same duration."""
    assert (duration_ms_from_text(format_duration_ms(ms)) if ms else 0) == ms


def test_durations_and_times() -> None:
    """Years and weeks only without a rest; times have none or three decimals."""
    assert format_duration_ms(90 * 86_400_000) == "90d"
    assert format_duration_ms(14 * 86_400_000) == "2w"
    assert format_duration_ms(-5_400_000) == "-1h30m"
    assert [format_timestamp(t) for t in (0, 100, 1500, -1500, 2000)] == ["0", "0.100", "1.500", "-1.500", "2"]


def test_go_quote() -> None:
    """Quotes are Go's: known escapes, bytes as hex, printable Unicode as it is."""
    assert go_quote('a"\\\n\x00\u200b\udcffé') == r'"a\"\\\n\x00\u200b\xffé"'
