"""Grids that no memory holds are refused before they are made."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentgauge.errors import ExecutionError
from agentgauge.model.series import SeriesBlock
from agentgauge.promql.engine import Engine, Options

TOO_MANY = "query processing would load too many samples into memory in query execution"


class Nothing:
    """A source without series."""

    def select(self, *_: object) -> Iterator[SeriesBlock]:
        return iter(())


@pytest.mark.parametrize("text", ["sum_over_time(a[292y:1ms])", "sum_over_time(vector(1)[100y:1ms])"])
def test_a_subquery_grid_counts_before_it_is_made(text: str) -> None:
    """A subquery of more steps than samples are allowed is an error, not an allocation."""
    with pytest.raises(ExecutionError, match=TOO_MANY):
        Engine(Nothing()).query(text, 0)


def test_steps_of_a_range_query_count_too() -> None:
    """So is a range query of more steps than that."""
    with pytest.raises(ExecutionError, match=TOO_MANY):
        Engine(Nothing(), Options(max_samples=1000)).query_range("a", 0, 1000 * 1001, 1000)


@pytest.mark.parametrize(
    "text",
    ["a @ 9.2e15 offset -292y", "a @ -9.223e15 offset 292y", "rate(a[292y] @ -9.22e15)", "max_over_time(a[1h:292y])",
     "sum_over_time(sum_over_time(a[292y:10y] offset -292y)[292y:10y] offset -292y)"],
)  # fmt: skip
def test_far_ends_of_time_do_not_overflow(text: str) -> None:
    """Times at the far ends stay within an int64, whatever is added to them."""
    engine = Engine(Nothing())
    for t_ms in (0, 9 * 10**15, -9 * 10**15):
        assert not engine.query(text, t_ms).steps.labels
