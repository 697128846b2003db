"""Better bounds: none where the ladder fits, further where it ends too soon, finer where the p95 is."""

from __future__ import annotations

import math
from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from agentgauge.model.metrics import DURATION_BUCKETS_S
from agentgauge.view.ladder import MAX_STEP, ladder_from_counts, toml_line

BOUNDS = [*DURATION_BUCKETS_S, math.inf]


def ladder(counts: dict[float, float], **settings):
    """Return the proposal for counts per bucket."""
    totals = accumulate(counts.get(bound, 0) for bound in BOUNDS)
    return ladder_from_counts("m", dict(zip(BOUNDS, totals, strict=True)), **settings)


def test_a_ladder_that_fits_is_left_alone() -> None:
    """No reason, the bounds as they are."""
    found = ladder({0.5: 50, 1: 100, 2: 20})
    assert found.reasons == ()
    assert found.proposed == found.bounds


def test_one_that_ends_too_soon_gets_further_bounds() -> None:
    """More than 5 % in or above the last bucket: said, with bounds well past it."""
    found = ladder({300: 50, math.inf: 50})
    assert "50% of the observations" in found.reasons[0]
    assert found.proposed[-1] >= 8 * 600


def test_a_p95_in_a_wide_bucket_gets_finer_bounds() -> None:
    """A bucket wider than its lower bound: the proposal has bounds inside it, and the objective."""
    found = ladder({5: 100}, keep=[3.3])
    assert "p95 is in the bucket 2 to 5" in found.reasons[0]
    assert {3.0, 3.3} <= set(found.proposed)
    assert toml_line(found).startswith("m = [")


def test_nothing_observed_proposes_nothing() -> None:
    """No counts, no ladder."""
    assert ladder({}) is None
    assert ladder_from_counts("m", {}) is None


@given(st.dictionaries(st.sampled_from(BOUNDS), st.integers(0, 1000)))
def test_proposals_are_ladders(counts) -> None:
    """Ascending, positive, no step above the greatest, never more than may be set."""
    found = ladder(counts)
    if found is None or not found.reasons:
        return
    assert 1 <= len(found.proposed) <= 100
    assert list(found.proposed) == sorted(set(found.proposed))
    assert all(b <= a * MAX_STEP * 1.001 for a, b in pairwise(found.proposed))
