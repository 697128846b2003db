"""Store and engine joined: what was appended is answered, and damage is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agentgauge.database import Database, matchers_from_text
from agentgauge.errors import BadQuery
from agentgauge.model.labels import Labels, Matcher, labels_from_mapping
from agentgauge.model.sample import NO_SAMPLE, STALE, Exemplar, MetricInfo, Sample
from agentgauge.model.series import Row
from agentgauge.store.chunk import QUARANTINED
from agentgauge.testing import FakeClock

T0 = 1_700_000_000_000 // 7_200_000 * 7_200_000


def label(name: str, i: int) -> Labels:
    return labels_from_mapping({"__name__": name, "i": str(i)})


def filled(database: Database, n_rows: int = 100) -> Database:
    group = database.store.group("g")
    labels = [label("requests_total", i) for i in range(300)]
    for j in range(n_rows):
        group.append(Row(T0 + j * 15_000, np.arange(300.0) * j, labels if j == 0 else ()))
    return database


def test_rates_are_the_same_from_head_chunks_and_after_a_restart(tmp_path: Path) -> None:
    """One query, three places where its samples are: the same numbers to the bit."""
    query = ("sum by (i) (rate(requests_total[5m]))", T0, T0 + 99 * 15_000, 60_000)
    clock = FakeClock(T0 + 3_600_000)
    with Database.open(tmp_path / "m.db", clock=clock, background=False) as database:
        live = filled(database).query_range(*query)
        database.store.upkeep.seal_all()
        sealed = database.query_range(*query)
    with Database.open(tmp_path / "m.db", clock=clock, background=False) as database:
        reopened = database.query_range(*query)
    assert live.steps.values.shape[0] == 300
    for other in (sealed, reopened):
        assert other.steps.labels == live.steps.labels
        assert np.array_equal(other.steps.present, live.steps.present)
        assert np.array_equal(other.steps.values[live.steps.present], live.steps.values[live.steps.present])


def test_a_rate_goes_on_over_chunk_borders_and_resets() -> None:
    """A counter that restarts exactly at a border of two chunks is a reset, not a fall."""
    with Database.in_memory(clock=FakeClock(T0)) as database:
        group = database.store.group("g")
        group.append(Row(T0 - 30_000, np.array([10.0]), [label("c_total", 0)]))
        group.append(Row(T0 - 15_000, np.array([20.0])))
        database.store.upkeep.seal_all()
        group.append(Row(T0, np.array([5.0])))
        group.append(Row(T0 + 15_000, np.array([15.0])))
        database.store.upkeep.seal_all()
        found = database.query("resets(c_total[2m])", T0 + 15_000)
        assert found.steps.values[0, 0] == 1
        assert database.query("increase(c_total[46s])", T0 + 15_000).steps.values[0, 0] == pytest.approx(25.5, abs=1)


@pytest.mark.parametrize("sealed", [False, True])
def test_a_stale_marker_ends_a_series(sealed: bool) -> None:
    """The series is gone at once, a hole is bridged by the lookback."""
    with Database.in_memory(clock=FakeClock(T0)) as database:
        group = database.store.group("g")
        group.append(Row(T0, np.array([1.0, 2.0]), [label("x", 0), label("x", 1)]))
        group.append(Row(T0 + 15_000, np.array([STALE, NO_SAMPLE])))
        if sealed:
            database.store.upkeep.seal_all()
        found = database.query("x", T0 + 20_000)
        assert list(found.steps.labels) == [label("x", 1)]


def test_pushed_and_scraped_series_answer_together() -> None:
    """A query sums over both kinds of groups."""
    with Database.in_memory(clock=FakeClock(T0)) as database:
        database.store.group("g").append(Row(T0, np.array([1.0]), [label("x", 0)]))
        database.store.append([Sample(label("x", 1), T0 - 7, 10.0)])
        assert database.query("sum(x)", T0).steps.values[0, 0] == 11


def test_selectors_are_promql() -> None:
    """Label APIs take selector text, with the engine's regexes; nonsense is BadQuery."""
    with filled(Database.in_memory(clock=FakeClock(T0))) as database:
        assert database.series(['requests_total{i=~"1|2"}']) == [label("requests_total", 1), label("requests_total", 2)]
        assert database.label_values("i", ['{i=~"29[89]"}']) == ["298", "299"]
        assert database.label_names() == ["__name__", "i"]
        assert database.series(["requests_total"], T0 + 10**9, None) == []
        with pytest.raises(BadQuery):
            database.series(["1 + 1"])
        with pytest.raises(BadQuery):
            database.series(['x{a=~"("}'])
    assert matchers_from_text('x{a!="b"}') == (Matcher("__name__", "=", "x"), Matcher("a", "!=", "b"))


def test_metadata_and_exemplars() -> None:
    """What the exposition says, and exemplars by expression."""
    with Database.in_memory(clock=FakeClock(T0)) as database:
        exemplar = Exemplar(label("x_bucket", 0), (("trace_id", "t"),), T0, 0.5)
        database.store.group("g").append(Row(T0, np.array([1.0]), [label("x_bucket", 0)]), exemplars=[exemplar])
        database.store.set_metadata({"x": MetricInfo("histogram", "Help.")})
        assert database.exemplars("rate(x_bucket[5m]) + x_bucket", T0 - 1, T0 + 1) == [exemplar]
        assert database.metadata("x") == {"x": (MetricInfo("histogram", "Help."),)}
        assert database.metadata("y") == {}


def test_a_damaged_chunk_is_a_warning_of_the_result() -> None:
    """The answer comes from the rest and says what it misses."""
    with filled(Database.in_memory(clock=FakeClock(T0)), 200) as database:
        database.store.upkeep.seal_all()
        pen = database.store._pen
        assert pen is not None
        pen.writer.run(lambda conn: conn.execute("UPDATE chunk SET flags=flags|? WHERE col0=0", (QUARANTINED,)))
        result = database.query("count(last_over_time(requests_total[5m]))", T0 + 600_000)
        assert result.steps.values[0, 0] == 44
        assert "256 series" in result.warnings[0]
        assert database.query("1", T0).warnings == ()
