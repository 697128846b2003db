"""One target: labels, report series, stale markers, and what a failed scrape leaves."""

from __future__ import annotations

import numpy as np
import pytest

from agentgauge.errors import ConfigError, ParseError
from agentgauge.model.labels import Labels, label_value, labels_from_mapping
from agentgauge.model.sample import NO_SAMPLE_BITS, is_stale
from agentgauge.scrape.target import Limits, Scraped, TargetSeries, relabel_for, target_from_address

REPORT = {
    "up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
}  # fmt: skip


class Group:
    """Keeps the columns as a store would."""

    def __init__(self) -> None:
        self.columns: list[Labels] = []
        self.series = TargetSeries(target_from_address("h:1"), (), Limits(samples=5))

    def take(self, scraped: Scraped) -> dict[str, float]:
        self.columns += scraped.row.new_labels
        self.series.stored()
        bits = scraped.row.values.view(np.uint64)
        return {
            label_value(labels, "__name__"): float(value)
            for labels, value, bit in zip(self.columns, scraped.row.values, bits, strict=True)
            if bit != NO_SAMPLE_BITS
        }


def test_series_get_job_and_instance_and_the_scrape_its_own_series() -> None:
    """A first scrape holds the target's samples and the five report series, all with its labels."""
    group = Group()
    row = group.take(group.series.success(b"a 1\nb 2\n", 1000, 0.25))
    assert row == {
        "a": 1, "b": 2, "up": 1, "scrape_duration_seconds": 0.25, "scrape_samples_scraped": 2,
        "scrape_samples_post_metric_relabeling": 2, "scrape_series_added": 2,
    }  # fmt: skip
    assert {(label_value(labels, "job"), label_value(labels, "instance")) for labels in group.columns} == {
        ("agentgauge", "h:1")
    }


def test_a_series_that_vanished_is_stale_once() -> None:
    """The first scrape without it marks it, the next has nothing, and its return counts as added."""
    group = Group()
    group.take(group.series.success(b"a 1\nb 2\n", 1, 0))
    second = group.take(group.series.success(b"a 1\n", 2, 0))
    assert is_stale(second["b"])
    third = group.take(group.series.success(b"a 1\n", 3, 0))
    assert "b" not in third
    assert third["scrape_series_added"] == 0
    assert group.take(group.series.success(b"a 1\nb 2\n", 4, 0))["scrape_series_added"] == 1


def test_a_failed_scrape_leaves_up_0_and_everything_stale() -> None:
    """``up`` and the report series go on, all else ends."""
    group = Group()
    group.take(group.series.success(b"a 1\nb 2\n", 1, 0))
    row = group.take(group.series.failure(2, 1.5))
    assert row["up"] == 0
    assert row["scrape_duration_seconds"] == 1.5
    assert {name for name, value in row.items() if is_stale(value)} == {"a", "b"}
    assert set(group.take(group.series.failure(3, 1.5))) == REPORT


def test_the_end_leaves_nothing_alive() -> None:
    """At shutdown every series gets its marker, ``up`` too."""
    group = Group()
    group.take(group.series.success(b"a 1\n", 1, 0))
    row = group.take(group.series.end(2))
    assert set(row) == REPORT | {"a"}
    assert all(map(is_stale, row.values()))


@pytest.mark.parametrize("body", [b"a 1\nbroken\n", b"a 1\n" + b"".join(b"n%d 1\n" % i for i in range(9))])
def test_a_refused_text_leaves_no_series_behind(body: bytes) -> None:
    """A malformed text and one beyond the limit allot no column, and the next good one is read."""
    group = Group()
    with pytest.raises(ParseError):
        group.series.success(b"new 1\n" + body, 1, 0)
    assert set(group.take(group.series.failure(1, 0))) == REPORT
    assert group.take(group.series.success(b"a 1\n", 2, 0))["a"] == 1
    assert "new" not in {label_value(labels, "__name__") for labels in group.columns}


def test_an_exposed_label_moves_aside_unless_honored() -> None:
    """The target's value wins and the exposed one is kept as ``exported_``; honor_labels turns it round."""
    exposed = labels_from_mapping({"__name__": "m", "job": "own", "exported_job": "older"})
    target = target_from_address("h:1", {"job": "agents"})
    merged = dict(relabel_for(target)(exposed))
    assert merged == {
        "__name__": "m", "job": "agents", "instance": "h:1", "exported_job": "older", "exported_exported_job": "own",
    }  # fmt: skip
    honored = target_from_address("h:1", {"job": "agents"}, honor_labels=True)
    assert dict(relabel_for(honored)(exposed))["job"] == "own"


def test_addresses_and_file_sd_labels_make_the_url() -> None:
    """host:port, URLs, path, scheme and parameters; other ``__`` labels vanish."""
    assert target_from_address("127.0.0.1:8001").url == "http://127.0.0.1:8001/metrics"
    assert target_from_address("https://h/x?y=1").url == "https://h/x?y=1"
    target = target_from_address("h:1", {"__metrics_path__": "/p", "__param_q": "a b", "__other": "z", "zone": "eu"})
    assert target.url == "http://h:1/p?q=a%20b"
    assert dict(target.labels) == {"instance": "h:1", "job": "agentgauge", "zone": "eu"}
    for wrong in ("", "ftp://h:1", "a b:1", "h:port", "h/p"):
        with pytest.raises(ConfigError):
            target_from_address(wrong)


def test_the_first_scrape_after_a_kill_ends_what_is_gone() -> None:
    """Series that the store holds and the target no longer has are marked stale once."""
    target = target_from_address("h:1")
    stored = [labels_from_mapping({"__name__": name, "job": "agentgauge", "instance": "h:1"}) for name in ("a", "b")]
    series = TargetSeries(target, stored, Limits())
    first, second = (series.success(b"a 1\n", t_ms, 0).row.values for t_ms in (1, 2))
    assert first[0] == 1
    assert is_stale(float(first[1]))
    assert second.view(np.uint64)[1] == NO_SAMPLE_BITS
