"""Annotations: one text once, with a position; repairs are merged; ten of a kind are shown."""

from __future__ import annotations

from agentgauge.promql.annotations import Annotations, Repair


def test_a_text_is_kept_once_with_its_first_position() -> None:
    """Lines and byte columns count from 1."""
    notes = Annotations("é +\n rate(x[5m])")
    notes.maybe_no_counter("x", 11)
    notes.maybe_no_counter("x", 0)
    assert notes.infos() == (
        'PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "x" (2:7)',
    )


def test_more_than_ten_are_counted() -> None:
    """The eleventh and on are one line."""
    notes = Annotations("q")
    for i in range(13):
        notes.bad_quantile(float(i + 2), 0)
    assert len(notes.warnings()) == 11
    assert notes.warnings()[-1] == "3 more warning annotations omitted"


def test_repairs_of_one_text_become_one_range() -> None:
    """Bounds, difference, samples and times are those of all together."""
    notes = Annotations("histogram_quantile(0.5, x)")
    notes.repaired(Repair(60_000, 60_000, 2.0, 2.0, 1.0, 1), "", 24)
    notes.repaired(Repair(0, 0, 1.0, 5.0, 0.125, 1), "", 24)
    (text,) = notes.infos()
    assert text.endswith(
        ", from buckets 1 to 5, with a max diff of 1, over 2 samples"
        " from 1970-01-01T00:00:00Z to 1970-01-01T00:01:00Z (1:25)"
    )


def test_a_bad_bucket_names_the_metric_only_when_it_is_known() -> None:
    """Delayed mode knows it."""
    notes = Annotations("q")
    notes.bad_bucket('a"b', "", 0)
    notes.bad_bucket("", "m", 0)
    assert notes.warnings() == (
        'PromQL warning: bucket label "le" is missing or has a malformed value of "a\\"b" (1:1)',
        'PromQL warning: bucket label "le" is missing or has a malformed value of "" for metric name "m" (1:1)',
    )
