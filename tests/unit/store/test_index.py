"""Matchers on the index mean what PromQL says they mean."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from agentgauge.model.labels import Labels, Matcher, label_value, labels_from_mapping
from agentgauge.store.index import Index

label_sets = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["x", "y", "xy", ""]), max_size=3)
matchers = st.builds(
    Matcher,
    st.sampled_from("abcd"),
    st.sampled_from(["=", "!=", "=~", "!~"]),
    st.sampled_from(["", "x", "y", "x|y", ".*", ".+", "x?y", "z"]),
)


def holds(matcher: Matcher, labels: Labels) -> bool:
    value = label_value(labels, matcher.name)
    if matcher.op in ("=", "!="):
        return (value == matcher.value) == (matcher.op == "=")
    return (re.fullmatch(matcher.value, value) is not None) == (matcher.op == "=~")


@given(st.lists(label_sets, max_size=20), st.lists(matchers, max_size=4))
@settings(max_examples=300, deadline=None)
def test_match_is_what_each_matcher_says_of_each_series(sets: list[dict[str, str]], wanted: list[Matcher]) -> None:
    """The posting lists give what looking at every series gives."""
    index = Index(re.compile)
    series: list[Labels] = []
    for mapping in sets:
        labels = labels_from_mapping(mapping)
        if index.find(labels) is None:
            index.add(len(index), labels)
            series.append(labels)
    expected = [i for i, labels in enumerate(series) if all(holds(m, labels) for m in wanted)]
    assert index.match(wanted).tolist() == expected


def test_ids_may_have_gaps() -> None:
    """Series that were deleted leave ids behind that match nothing."""
    index = Index(re.compile)
    index.add(0, (("a", "x"),))
    index.add(5, (("a", "y"),))
    assert index.match([Matcher("b", "=", "")]).tolist() == [0, 5]
    assert index.labels(5) == (("a", "y"),)
    assert index.n_series == 2
