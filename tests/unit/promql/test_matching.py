"""Elements find each other per step, and labels come from the right side."""

from __future__ import annotations

import numpy as np
import pytest

from agentgauge.errors import ExecutionError
from agentgauge.model.labels import Labels, labels_from_mapping
from agentgauge.promql.matching import Sides, count_present, find_pairs, result_labels, signature
from agentgauge.promql.nodes import Matching
from agentgauge.promql.values import Vector


def vector(*rows: tuple[dict[str, str], list[int]]) -> Vector:
    present = np.array([row[1] for row in rows], np.bool_)
    keys = [labels_from_mapping(row[0]) for row in rows]
    return Vector(keys, present.astype(np.float64), present, np.zeros(len(rows), np.bool_))


def labels(**pairs: str) -> Labels:
    return labels_from_mapping({name.replace("name", "__name__"): value for name, value in pairs.items()})


def test_signatures_ignore_the_name() -> None:
    """``ignoring`` drops the name as well; ``on`` keeps what it lists."""
    series = labels(name="x", a="1", b="2")
    assert signature(Matching(labels=("b",)))(series) == labels(a="1")
    assert signature(Matching(on=True, labels=("b", "c")))(series) == labels(b="2")


def test_series_that_take_turns_are_no_duplicates() -> None:
    """Two series of one signature match as long as they never meet."""
    left = vector(({"a": "1"}, [1, 1]))
    right = vector(({"a": "1", "v": "1"}, [1, 0]), ({"a": "1", "v": "2"}, [0, 1]))
    matching = Matching(on=True, labels=("a",))
    pairs = find_pairs(Sides.of(left, right, matching), matching)
    assert pairs.present.tolist() == [[True, False], [False, True]]


def test_duplicates_on_the_one_side_fail_even_when_nothing_matches() -> None:
    """But not at a step where one side is empty."""
    left, matching = vector(({"a": "2"}, [0, 1])), Matching(on=True, labels=("a",))
    right = vector(({"a": "1", "v": "1"}, [1, 0]), ({"a": "1", "v": "2"}, [1, 0]))
    find_pairs(Sides.of(left, right, matching), matching)
    busy = vector(({"a": "2"}, [1, 1]))
    with pytest.raises(ExecutionError, match="many-to-many matching not allowed"):
        find_pairs(Sides.of(busy, right, matching), matching)


def test_fill_stands_in_per_step() -> None:
    """A missing side is filled where the other is present, and only there."""
    left, right = vector(({"a": "1"}, [1, 0, 1])), vector(({"a": "1"}, [0, 1, 1]))
    matching = Matching(on=True, labels=("a",), fill_left=0.0, fill_right=0.0)
    pairs = find_pairs(Sides.of(left, right, matching), matching)
    found = {(int(i), int(j)): row.tolist() for i, j, row in zip(pairs.many, pairs.one, pairs.present, strict=True)}
    assert found == {
        (0, 0): [False, False, True],
        (0, -1): [True, False, False],
        (-1, 0): [False, True, False],
    }


def test_included_labels_come_from_the_one_side_and_empty_ones_delete() -> None:
    """``group_left (x, y)`` copies x and takes y away when the one side has none."""
    matching = Matching("many-to-one", True, ("a",), include=("x", "y"))
    found = result_labels(labels(name="m", a="1", y="old"), labels(a="1", x="new"), matching, frozenset({"__name__"}))
    assert found == labels(a="1", x="new")


def test_presence_is_counted_per_signature() -> None:
    """Signatures without a series count zero."""
    present = np.array([[1, 0], [1, 1], [0, 1]], np.bool_)
    assert count_present(present, np.array([2, 0, 2]), 4).tolist() == [[1, 1], [0, 0], [1, 1], [0, 0]]
