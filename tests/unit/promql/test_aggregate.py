"""Aggregations over whole vectors: long groups, absent cells, selections."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from tests.conformance.differential.samples import MemorySource

from agentgauge.model.labels import labels_from_mapping
from agentgauge.promql.aggregate import aggregated
from agentgauge.promql.annotations import Annotations
from agentgauge.promql.nodes import Aggregate, Number, String
from agentgauge.promql.ranking import count_values, ranked
from agentgauge.promql.scope import Budget, Options, Query, Scope
from agentgauge.promql.values import Scalar, Vector


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Steps without a member divide by zero; the engine turns these warnings off around everything."""
    with np.errstate(all="ignore"):
        yield


def scope(n_steps: int) -> Scope:
    query = Query(
        MemorySource([]), Options(), 300_000, 0, 0, Annotations(""), Budget(10**6), lambda: None, instant=n_steps == 1
    )
    return Scope(query, np.arange(n_steps, dtype=np.int64) * 1_000)


def vector(values: list[list[float | None]]) -> Vector:
    present = np.array([[value is not None for value in row] for row in values])
    table = np.array([[7.0 if value is None else value for value in row] for row in values], np.float64)
    keys = [labels_from_mapping({"__name__": "x", "g": str(i % 2), "i": str(i)}) for i in range(len(values))]
    return Vector(keys, table, present, np.zeros(len(keys), np.bool_))


def node(op: str, *grouping: str, param: object = None) -> Aggregate:
    return Aggregate(op, Number(0.0), param, grouping)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("op", "expected"),
    [("sum", 4.0), ("avg", 2.0), ("min", 1.0), ("max", 3.0), ("count", 2.0), ("group", 1.0), ("stddev", 1.0)],
)
def test_absent_cells_take_no_part(op: str, expected: float) -> None:
    """What stands in their place is not looked at; a step without any is absent."""
    found = aggregated(scope(2), node(op), vector([[1.0, None], [None, None], [3.0, None]]), None)
    assert found.values[0, 0] == expected
    assert found.present.tolist() == [[True, False]]


def test_a_long_group_is_summed_in_parts_to_the_same_bits() -> None:
    """A thousand series whose sum cancels exactly."""
    values = [[1e16], [1.0], [-1e16]] * 400
    found = aggregated(scope(1), node("sum"), vector(values), None)  # type: ignore[arg-type]
    assert found.values[0, 0] == 400.0


def test_extremes_are_nan_only_when_all_are() -> None:
    """NaN is a value, and loses against every other."""
    both = vector([[math.nan, math.nan], [1.0, math.nan]])
    found = aggregated(scope(2), node("max"), both, None).values[0]
    assert found[0] == 1.0
    assert math.isnan(found[1])


def test_topk_takes_the_best_of_each_group_and_nan_last() -> None:
    """Per step; k is cut to a whole number."""
    rows = vector([[1.0, 9.0], [5.0, 1.0], [math.nan, 2.0], [4.0, 8.0]])
    found = ranked(scope(2), node("topk", "g"), rows, Scalar(np.array([1.9, 1.0])))
    chosen = {dict(labels)["i"]: row.tolist() for labels, row in zip(found.labels, found.present, strict=True)}
    assert chosen == {"0": [True, True], "1": [True, False], "3": [False, True]}


def test_count_values_tells_zero_from_minus_zero_and_counts_nan_once() -> None:
    """The value becomes a label in plain notation."""
    rows = vector([[0.0], [-0.0], [math.nan], [math.nan], [1e7]])  # type: ignore[list-item]
    found = count_values(scope(1), node("count_values", param=String("v")), rows)
    assert {dict(labels)["v"]: row[0] for labels, row in zip(found.labels, found.values, strict=True)} == {
        "0": 1,
        "-0": 1,
        "NaN": 2,
        "10000000": 1,
    }
