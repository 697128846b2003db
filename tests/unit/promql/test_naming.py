"""Names are dropped, and label sets that become equal merge or fail."""

from __future__ import annotations

import numpy as np
import pytest

from agentgauge.errors import ExecutionError
from agentgauge.model.labels import Labels, labels_from_mapping
from agentgauge.promql.naming import drop_flagged_names, merged, without_name
from agentgauge.promql.values import Vector


def labels(**pairs: str) -> Labels:
    return labels_from_mapping(pairs)


def vector(keys: list[Labels], present: list[list[int]], flags: list[bool]) -> Vector:
    mask = np.array(present, np.bool_)
    values = np.arange(mask.size, dtype=np.float64).reshape(mask.shape)
    return Vector(keys, values, mask, np.array(flags))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"__name__": "x", "a": "1"}, {"a": "1"}),
        ({"__name__": "x", "__type__": "counter", "__unit__": "s", "a": "1"}, {"a": "1"}),
        ({"__name__": "x", "__other__": "1"}, {"__other__": "1"}),
        ({"A": "1", "__name__": "x"}, {"A": "1"}),
        ({}, {}),
    ],
)
def test_type_and_unit_go_with_the_name(before: dict[str, str], after: dict[str, str]) -> None:
    """And nothing else does, wherever the name stands."""
    assert without_name(labels_from_mapping(before)) == labels_from_mapping(after)


def test_rows_that_never_meet_are_joined() -> None:
    """Each step has the value of the row that is present there."""
    joined = merged(vector([labels(a="1"), labels(a="1")], [[1, 0, 0], [0, 0, 1]], [False, False]))
    assert joined.labels == [labels(a="1")]
    assert joined.present.tolist() == [[True, False, True]]
    assert joined.values[0, [0, 2]].tolist() == [0, 5]


def test_rows_that_meet_are_an_error() -> None:
    """At a single common step already; with ``strict`` without one."""
    meeting = vector([labels(a="1"), labels(a="1")], [[1, 1], [0, 1]], [False, False])
    with pytest.raises(ExecutionError, match="same labelset"):
        merged(meeting)
    apart = vector([labels(a="1"), labels(a="1")], [[1, 0], [0, 1]], [False, False])
    with pytest.raises(ExecutionError, match="same labelset"):
        merged(apart, strict=True)


def test_only_flagged_series_lose_their_name() -> None:
    """The end of delayed removal."""
    keys = [labels(__name__="x", a="1"), labels(__name__="x", a="2")]
    finished = drop_flagged_names(vector(keys, [[1], [1]], [True, False]))
    assert list(finished.labels) == [labels(a="1"), keys[1]]
