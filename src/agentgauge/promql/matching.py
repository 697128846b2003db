"""How the elements of two vectors find each other.

A *signature* is what remains of a label set under ``on`` or ``ignoring``; equal signatures match. Signatures do not
vary with time, but which series are present does: two series of one signature may take turns, and are an error only
at a step where both are there. So everything is counted per signature and step.
Source: Prometheus promql/engine.go (VectorBinop, resultMetric).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentgauge.errors import ExecutionError
from agentgauge.model.labels import METRIC_NAME, Labels, label_value, labels_from_pairs, only, without
from agentgauge.model.series import Mask
from agentgauge.promql.nodes import Matching
from agentgauge.promql.quote import go_quote
from agentgauge.promql.values import Vector

IMPLICIT_MANY = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
NOT_UNIQUE = "multiple matches for labels: grouping labels must ensure unique matches"


def signature(matching: Matching) -> Callable[[Labels], Labels]:
    """Return the function from labels to what counts in matching; also the labels of a filled-in element."""
    if matching.on:
        kept = frozenset(matching.labels)
        return lambda labels: only(labels, kept)
    dropped = frozenset({*matching.labels, METRIC_NAME})
    return lambda labels: without(labels, dropped)


@dataclass(frozen=True, slots=True)
class Signatures:
    """Signature numbers of both sides' series, counted from 0 over both."""

    left: NDArray[np.intp]
    right: NDArray[np.intp]
    n: int

    @classmethod
    def of(cls, left: Sequence[Labels], right: Sequence[Labels], matching: Matching) -> Signatures:
        """Number the signatures of two sides."""
        key, numbers = signature(matching), {}  # type: ignore[var-annotated]
        sides = [
            np.array([numbers.setdefault(key(labels), len(numbers)) for labels in side], np.intp)
            for side in (left, right)
        ]
        return cls(sides[0], sides[1], len(numbers))


def count_present(present: Mask, signatures: NDArray[np.intp], n: int) -> NDArray[np.int32]:
    """Count for each signature and step the series that are present: (n, K)."""
    counts = np.zeros((n, present.shape[1]), np.int32)
    if len(signatures) == 0:
        return counts
    order = np.argsort(signatures, kind="stable")
    numbers, cuts = np.unique(signatures[order], return_index=True)
    counts[numbers] = np.add.reduceat(present[order], cuts, axis=0, dtype=np.int32)
    return counts


@dataclass(frozen=True, slots=True)
class Sides:
    """The two sides of a match, the *many* one first; in one-to-one matching that is the left one.

    ``fill_many`` and ``fill_one`` stand in for a missing element.
    """

    many: Vector
    one: Vector
    many_signature: NDArray[np.intp]
    one_signature: NDArray[np.intp]
    n_signatures: int
    swapped: bool
    fill_many: float | None
    fill_one: float | None

    @classmethod
    def of(cls, left: Vector, right: Vector, matching: Matching) -> Sides:
        """Sort out which side is which. ``fill_right`` belongs to the one side even under group_right."""
        found = Signatures.of(left.labels, right.labels, matching)
        swapped = matching.card == "one-to-many"
        many, one = (right, left) if swapped else (left, right)
        signatures = (found.right, found.left) if swapped else (found.left, found.right)
        return cls(many, one, *signatures, found.n, swapped, matching.fill_left, matching.fill_right)

    def n_pairs(self) -> int:
        """Return how many pairs of series have equal signatures; series that take turns make many."""
        many = np.bincount(self.many_signature, minlength=self.n_signatures)
        one = np.bincount(self.one_signature, minlength=self.n_signatures)
        return int(many @ one)

    def active_steps(self) -> Mask:
        """Return the steps (K,) at which anything can match; elsewhere nothing is checked either."""
        many, one = self.many.seen(), self.one.seen()
        return many & one if self.fill_many is None and self.fill_one is None else many | one


@dataclass(frozen=True, slots=True)
class Pairs:
    """Matching elements. Shapes: many, one (P,) series numbers, -1 filled in; present (P, K); signature (P,)."""

    many: NDArray[np.intp]
    one: NDArray[np.intp]
    present: Mask
    signature: NDArray[np.intp]


def find_pairs(sides: Sides, matching: Matching) -> Pairs:
    """Match the elements of two sides at every step. Raises ExecutionError for matches that are not unique."""
    active = sides.active_steps()
    n = sides.n_signatures
    n_many = count_present(sides.many.present, sides.many_signature, n)
    n_one = count_present(sides.one.present, sides.one_signature, n)
    _refuse_duplicates(sides, matching, (n_one > 1) & active)
    matched = (n_one > 0) if sides.fill_one is None else np.ones(n_one.shape, np.bool_)
    if matching.card == "one-to-one" and ((n_many > 1) & matched & active).any():
        raise ExecutionError(IMPLICIT_MANY)
    many, one = _candidates(sides)
    parts = [Pairs(many, one, sides.many.present[many] & sides.one.present[one], sides.many_signature[many])]
    if sides.fill_one is not None:
        rows = np.arange(sides.many.n_series)
        alone = sides.many.present & (n_one[sides.many_signature] == 0)
        parts.append(Pairs(rows, np.full(len(rows), -1), alone, sides.many_signature))
    if sides.fill_many is not None:
        rows = np.arange(sides.one.n_series)
        alone = sides.one.present & (n_many[sides.one_signature] == 0)
        parts.append(Pairs(np.full(len(rows), -1), rows, alone, sides.one_signature))
    return _used(parts)


def _candidates(sides: Sides) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return all pairs of series with equal signatures."""
    by_signature: dict[int, list[int]] = {}
    for row, number in enumerate(sides.one_signature):
        by_signature.setdefault(int(number), []).append(row)
    pairs = [
        (row, other) for row, number in enumerate(sides.many_signature) for other in by_signature.get(int(number), ())
    ]
    table = np.array(pairs, np.intp).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _used(parts: Sequence[Pairs]) -> Pairs:
    """Join pairs and leave out those that are never present."""
    many, one, present, signatures = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("many", "one", "present", "signature")
    )
    used = np.flatnonzero(present.any(axis=1))
    return Pairs(many[used], one[used], present[used], signatures[used])


def _refuse_duplicates(sides: Sides, matching: Matching, twice: Mask) -> None:
    """Raise ExecutionError when the one side has two elements of a signature at an active step."""
    if not twice.any():
        return
    number, step = (int(axis[0]) for axis in np.nonzero(twice))
    rows = [row for row in np.flatnonzero(sides.one_signature == number).tolist() if sides.one.present[row, step]]
    series = sorted(labels_text(sides.one.labels[row]) for row in rows[:2])
    group = labels_text(signature(matching)(sides.one.labels[rows[0]]))
    side = "left" if sides.swapped else "right"
    raise ExecutionError(
        f"found duplicate series for the match group {group} on the {side} hand-side of the operation:"
        f" [{series[0]}, {series[1]}]"
        ";many-to-many matching not allowed: matching labels must be unique on one side"
    )


def labels_text(labels: Labels) -> str:
    """Print a label set as Prometheus' errors do."""
    return "{" + ", ".join(f"{name}={go_quote(value)}" for name, value in labels) + "}"


def result_labels(many: Labels, one: Labels, matching: Matching, reserved: frozenset[str]) -> Labels:
    """Return the labels of a match: the many side's, less ``reserved``, with what ``group_*`` includes."""
    labels = without(many, reserved) if reserved else many
    if matching.card == "one-to-one":
        names = frozenset(matching.labels)
        labels = only(labels, names) if matching.on else without(labels, names)
    if not matching.include:
        return labels
    included = {name: label_value(one, name) for name in matching.include}
    return labels_from_pairs([*(pair for pair in labels if pair[0] not in included), *included.items()])
