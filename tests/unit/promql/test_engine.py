"""The engine: kinds, order, limits, errors, annotations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from tests.conformance.differential.samples import matches

from agentgauge.errors import BadQuery, ExecutionError, NotSupported, QueryTimeout
from agentgauge.model.labels import Labels, Matcher, labels_from_mapping
from agentgauge.model.sample import NO_SAMPLE, STALE
from agentgauge.model.series import DenseBlock, RaggedBlock, Result, SeriesBlock
from agentgauge.promql.engine import Engine, Options

MINUTE_MS = 60_000


def series(name: str, **labels: str) -> Labels:
    return labels_from_mapping({"__name__": name, **labels})


class Blocks:
    """A source that yields given blocks, cut to nothing, and counts what it was asked."""

    def __init__(self, *blocks: SeriesBlock) -> None:
        self.blocks = blocks
        self.asked: list[tuple[int, int]] = []

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Iterator[SeriesBlock]:
        self.asked.append((start_ms, end_ms))
        for block in self.blocks:
            if all(matches(labels, matchers) for labels in block.labels):
                yield block


def minutes(*values: float, name: str = "x_total", start: int = 0, **labels: str) -> RaggedBlock:
    """One series with a sample every minute from time 0."""
    t_ms = np.arange(start, start + len(values), dtype=np.int64) * MINUTE_MS
    return RaggedBlock([series(name, **labels)], np.array([0, len(values)]), t_ms, np.array(values, np.float64))


def values(result: Result) -> list[float]:
    return [float(row[0]) for row in result.steps.values]


def engine(*blocks: SeriesBlock, **options: object) -> Engine:
    return Engine(Blocks(*blocks), Options(**options))  # type: ignore[arg-type]


def test_a_sample_exactly_as_old_as_the_lookback_is_absent() -> None:
    """Windows are left-open; one millisecond later the sample is gone, at the edge too."""
    asked = engine(minutes(1))
    assert values(asked.query("x_total", 299_999)) == [1]
    assert values(asked.query("x_total", 300_000)) == []
    assert values(engine(minutes(1), semantics="2.x").query("x_total", 300_000)) == [1]


def test_a_stale_marker_ends_a_series_at_once_and_is_no_sample() -> None:
    """An instant selector is absent after a marker; a range does not see the marker."""
    asked = engine(minutes(1, 2, STALE))
    assert values(asked.query("x_total", 2 * MINUTE_MS)) == []
    assert values(asked.query("count_over_time(x_total[5m])", 2 * MINUTE_MS)) == [2]
    assert values(asked.query("last_over_time(x_total[5m])", 2 * MINUTE_MS)) == [2]


def holes() -> DenseBlock:
    """Six series: five with the same hole and end, one of its own."""
    t_ms = np.arange(4, dtype=np.int64) * MINUTE_MS
    table = np.array([[float(10 * row + column) for column in range(6)] for row in range(4)])
    present = np.ones((4, 6), np.bool_)
    stale = np.zeros((4, 6), np.bool_)
    present[1, :5] = False
    present[3, :5] = False
    stale[3, :5] = True
    present[2, 5] = False
    table[1, :5], table[3, :5], table[2, 5] = NO_SAMPLE, STALE, NO_SAMPLE
    return DenseBlock([series("y", i=str(i)) for i in range(6)], t_ms, table, present, stale)


def test_holes_and_markers_of_a_dense_block_are_read_as_such() -> None:
    """Absent cells do not count; a stale marker ends the series; columns with one pattern stay together."""
    asked = engine(holes())
    counts = asked.query("count_over_time(y[10m])", 3 * MINUTE_MS)
    assert values(counts) == [2, 2, 2, 2, 2, 3]
    assert values(asked.query("y", 3 * MINUTE_MS)) == [35]
    assert values(asked.query("y", 2 * MINUTE_MS)) == [20, 21, 22, 23, 24, 15]


def test_results_are_sorted_unless_the_query_orders() -> None:
    """Matrices and plain vectors by labels; ``sort_desc`` and ``topk`` keep theirs in instant queries."""
    asked = engine(minutes(3, i="b"), minutes(5, i="c"), minutes(4, i="a"))
    names = lambda result: [dict(labels)["i"] for labels in result.steps.labels]  # noqa: E731
    assert names(asked.query("x_total", 0)) == ["a", "b", "c"]
    assert names(asked.query("sort_desc(x_total)", 0)) == ["c", "a", "b"]
    assert names(asked.query("topk(2, x_total)", 0)) == ["c", "a"]
    assert names(asked.query_range("sort_desc(x_total)", 0, 60_000, 60_000)) == ["a", "b", "c"]


def test_kinds_follow_the_expression() -> None:
    """vector, scalar, string, matrix; a range query of a scalar is one series without labels."""
    asked = engine(minutes(1, 2, 3))
    assert asked.query("x_total", 0).kind == "vector"
    assert asked.query("1 + 1", 0).kind == "scalar"
    assert asked.query('"text"', 0).text == "text"
    raw = asked.query("x_total[2m]", 2 * MINUTE_MS)
    assert raw.kind == "matrix"
    assert raw.samples is not None
    assert raw.samples.values.tolist() == [2, 3]
    assert asked.query_range("2", 0, 60_000, 60_000).steps.labels == ((),)


def test_a_range_query_of_a_range_vector_is_refused() -> None:
    """The words are Prometheus'."""
    with pytest.raises(BadQuery, match='invalid expression type "range vector" for range query'):
        engine().query_range("x[5m]", 0, 60_000, 60_000)


def test_the_sample_limit_is_an_error_of_its_own() -> None:
    """A query that would hold too many cells is refused; a small one passes."""
    asked = engine(minutes(*range(200)), max_samples=300)
    assert values(asked.query("x_total", 0)) == [0]
    with pytest.raises(ExecutionError, match="would load too many samples into memory"):
        asked.query_range("x_total", 0, 200 * MINUTE_MS, 60_000)


def test_cells_are_given_back() -> None:
    """A sum of many parts needs room for one part at a time."""
    asked = engine(minutes(*range(200)), max_samples=1_500)
    text = " + ".join(["sum(x_total)"] * 12)
    assert asked.query_range(text, 0, 199 * MINUTE_MS, 60_000).stats.samples_peak <= 1_500


def test_check_is_called_between_slices_and_may_stop_the_query() -> None:
    """A deadline raises from inside the evaluation."""
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls > 3:
            raise QueryTimeout("query timed out in expression evaluation")

    with pytest.raises(QueryTimeout):
        engine(minutes(1, 2)).query("sum(x_total) + sum(x_total) + sum(x_total)", 0, check=check)


def test_a_selector_that_stands_twice_is_decoded_once() -> None:
    """The second use of equal matchers over the same times reads what the first one decoded."""
    source = Blocks(minutes(1, 2, 3))
    Engine(source).query("rate(x_total[5m]) / rate(x_total[5m])", 2 * MINUTE_MS)
    assert len(source.asked) == 1


def test_what_does_not_vary_with_time_is_evaluated_once() -> None:
    """A pinned expression asks for its samples once and is spread over the steps."""
    source = Blocks(minutes(1, 2, 3))
    result = Engine(source).query_range("x_total @ 60", 0, 600_000, 60_000)
    assert source.asked == [(60_000 - 299_999, 60_000)]
    assert result.steps.values.tolist() == [[2.0] * 11]


def test_refused_features_name_the_way_out() -> None:
    """What the engine leaves out is an error, never an empty answer."""
    with pytest.raises((NotSupported, BadQuery)):
        engine().query("info(x)", 0)


def test_annotations_carry_positions_and_do_not_repeat() -> None:
    """One text once, with the line and column of the expression it is about."""
    asked = engine(minutes(1, 2, 3, name="gauge", i="a"), minutes(1, 2, 3, name="gauge", i="b"))
    result = asked.query("sum(\n  rate(gauge[5m]))", 2 * MINUTE_MS)
    assert result.infos == (
        'PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "gauge" (2:8)',
    )
    assert asked.query("quantile(7, gauge)", 0).warnings == (
        "PromQL warning: quantile value should be between 0 and 1, got 7 (1:10)",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "x_total + on () y_total",
            "found duplicate series for the match group {} on the right hand-side of the operation: "
            '[{__name__="y_total", i="1"}, {__name__="y_total", i="2"}]'
            ";many-to-many matching not allowed: matching labels must be unique on one side",
        ),
        (
            "y_total + on () x_total",
            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
        ),
        (
            "y_total * on () group_left (i) x_total",
            "multiple matches for labels: grouping labels must ensure unique matches",
        ),
        ('label_replace(y_total, "i", "", "i", ".*")', "vector cannot contain metrics with the same labelset"),
        ('rate({__name__=~".+", i!="2"}[5m])', "vector cannot contain metrics with the same labelset"),
        ('count_values("", x_total)', 'invalid label name ""'),
        ('label_join(x_total, "", "-", "i")', "invalid destination label name in label_join(): "),
        ("topk(NaN, x_total)", "Parameter value is NaN"),
        ("topk(1e30, x_total)", "Scalar value 1e+30 overflows int64"),
    ],
)
def test_errors_have_prometheus_words(text: str, message: str) -> None:
    """Dashboards and scripts know these texts."""
    asked = engine(
        minutes(1, 2, 3, i="1"), minutes(1, 2, 3, name="y_total", i="1"), minutes(1, 2, 3, name="y_total", i="2")
    )
    with pytest.raises(ExecutionError) as caught:
        asked.query(text, 2 * MINUTE_MS)
    assert str(caught.value) == message


def test_delayed_removal_keeps_names_for_grouping_and_drops_them_at_the_end() -> None:
    """By default the name is gone inside ``by``; in delayed mode it is still there, and leaves at the end."""
    blocks = (minutes(1, 2, 3), minutes(2, 4, 6, name="y_total"))
    text = 'sum by (__name__) (rate({__name__=~"[xy]_total"}[5m]))'
    with pytest.raises(ExecutionError):
        engine(*blocks).query(text, 2 * MINUTE_MS)
    with pytest.raises(ExecutionError):
        engine(*blocks, delayed_name_removal=True).query(text, 2 * MINUTE_MS)
    renamed = f'label_replace({text}, "n", "$1", "__name__", "(.*)")'
    result = engine(*blocks, delayed_name_removal=True).query(renamed, 2 * MINUTE_MS)
    assert [dict(labels) for labels in result.steps.labels] == [{"n": "x_total"}, {"n": "y_total"}]


@pytest.mark.parametrize(
    "text", ["max_over_time(x_total[100y:1ms])", "count_over_time(vector(1)[200y:1ms])", "x_total[250y:1ms]"]
)
def test_a_hostile_grid_is_refused_before_it_is_made(text: str) -> None:
    """Billions of points are an error at once, not memory."""
    with pytest.raises(ExecutionError, match="too many samples"):
        engine(minutes(1, 2, 3)).query(text, 10 * MINUTE_MS)
    with pytest.raises(ExecutionError, match="too many samples"):
        engine(minutes(1, 2, 3)).query_range("1", 0, 10**14, 1)


def test_many_distinct_values_are_limited() -> None:
    """``count_values`` makes a series per value, and each costs its steps."""
    asked = engine(minutes(*range(400)), max_samples=20_000)
    with pytest.raises(ExecutionError, match="too many samples"):
        asked.query_range('count_values("v", x_total)', 0, 399 * MINUTE_MS, 60_000)


def test_the_names_of_a_raw_subquery_are_dropped_at_the_end() -> None:
    """Delayed mode, and no function around the range vector."""
    result = engine(minutes(1, 2, 3), delayed_name_removal=True).query("rate(x_total[5m])[2m:1m]", 2 * MINUTE_MS)
    assert result.samples is not None
    assert list(result.samples.labels) == [()]


def test_pairs_of_series_that_take_turns_count_against_the_limit() -> None:
    """Many series of one signature on both sides are an error, not gigabytes."""
    left = [minutes(1, i=str(i)) for i in range(40)]
    right = [minutes(1, name="y_total", start=i, i=str(i)) for i in range(40)]
    asked = engine(*left, *right, max_samples=20_000, lookback_ms=1)
    with pytest.raises(ExecutionError, match="too many samples"):
        asked.query_range("x_total * on () group_left y_total", 0, 39 * MINUTE_MS, 60_000)
