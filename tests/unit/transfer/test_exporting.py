"""An export says all that the store holds, in a form that promtool and our own import read back as it was."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgauge.database import Database
from agentgauge.errors import BadQuery
from agentgauge.model.labels import Labels, labels_from_mapping
from agentgauge.model.sample import STALE, MetricInfo, Sample
from agentgauge.model.series import DenseBlock
from agentgauge.store.store import Store
from agentgauge.transfer.exporting import export_text, series_text, time_text
from agentgauge.transfer.importing import import_text

DAY_MS = 86_400_000
T0 = 1_700_000_000_123
ALL = (-(1 << 60), 1 << 60)


@pytest.fixture
def database() -> Iterator[Database]:
    with Database.in_memory() as opened:
        yield opened


def put(database: Database, *samples: tuple[dict[str, str], int, float]) -> None:
    database.store.append([Sample(labels_from_mapping(ls), T0 + t, v) for ls, t, v in samples], any_age=True)


def text(database: Database, *selectors: str, start_ms: int = ALL[0], end_ms: int = ALL[1]) -> str:
    return "".join(export_text(database, start_ms, end_ms, selectors=selectors))


def raw(store: Store) -> dict[Labels, list[tuple[int, float]]]:
    found: dict[Labels, list[tuple[int, float]]] = {}
    for block in store.select((), *ALL):
        for i, labels in enumerate(block.labels):
            if isinstance(block, DenseBlock):
                rows = np.arange(len(block.t_ms)) if block.present is None else np.flatnonzero(block.present[:, i])
                found[labels] = list(zip(block.t_ms[rows].tolist(), block.values[rows, i].tolist(), strict=True))
            else:
                a, b = block.offsets[i], block.offsets[i + 1]
                found[labels] = list(zip(block.t_ms[a:b].tolist(), block.values[a:b].tolist(), strict=True))
    return found


@given(st.integers(-4_000_000_000_000, 4_000_000_000_000))
def test_times_survive_promtool(t_ms: int) -> None:
    """promtool multiplies the seconds and cuts, we round: both get the same millisecond."""
    seconds = float(time_text(t_ms))
    assert int(seconds * 1000) == t_ms
    assert round(seconds * 1000) == t_ms


def test_families_are_described_and_in_order(database: Database) -> None:
    """Counters lose their suffix in TYPE, histograms are one family, what is unknown has no description."""
    infos = {
        "c_total": MetricInfo("counter", "A \\ back\nslash.", ""),
        "h_seconds": MetricInfo("histogram", "", "seconds"),
        "odd": MetricInfo("counter", "", ""),
    }
    database.store.set_metadata(infos)
    put(
        database,
        ({"__name__": "z"}, 0, 1.0), ({"__name__": "h_seconds_sum"}, 0, 1.5),
        ({"__name__": "c_total", "a": 'x"\\\n'}, 0, 2.0),
        ({"__name__": "h_seconds_bucket", "le": "+Inf"}, 0, 3.0), ({"__name__": "odd"}, 0, 4.0),
    )  # fmt: skip
    assert text(database).splitlines() == [
        "# HELP c A \\\\ back\\nslash.",
        "# TYPE c counter",
        'c_total{a="x\\"\\\\\\n"} 2.0 1700000000.123',
        "# TYPE h_seconds histogram",
        "# UNIT h_seconds seconds",
        'h_seconds_bucket{le="+Inf"} 3.0 1700000000.123',
        "h_seconds_sum 1.5 1700000000.123",
        "# TYPE odd unknown",
        "odd 4.0 1700000000.123",
        "z 1.0 1700000000.123",
        "# EOF",
    ]


def test_odd_values_and_stale_markers(database: Database) -> None:
    """NaN and infinities as the format writes them; stale markers have no place in it."""
    for at, value in enumerate([float("nan"), float("inf"), -float("inf"), STALE, -0.0, 1e300]):
        put(database, ({"__name__": "a"}, at * 1000, value))
    values = [line.split(" ")[1] for line in text(database).splitlines()[:-1]]
    assert values == ["NaN", "+Inf", "-Inf", "-0.0", "1e+300"]


def test_names_beyond_ascii_words_are_quoted() -> None:
    """A name that is no identifier goes inside the braces, as Prometheus 3 reads it."""
    labels = labels_from_mapping({"__name__": "a.b", "c d": "1"})
    assert series_text(labels) == '{"a.b","c d"="1"}'


def test_selectors_and_ranges_cut(database: Database) -> None:
    """Only what matches any selector, each series once, both ends of the range included."""
    for at in range(5):
        put(database, ({"__name__": "a", "k": "1"}, at * 1000, 1.0), ({"__name__": "a", "k": "2"}, at * 1000, 2.0))
        put(database, ({"__name__": "b"}, at * 1000, 3.0))
    found = text(database, 'a{k="1"}', "a", start_ms=T0 + 1000, end_ms=T0 + 2000).splitlines()
    assert [line.split(" ")[0] for line in found] == [*['a{k="1"}'] * 2, *['a{k="2"}'] * 2, "#"]
    with pytest.raises(BadQuery):
        text(database, "a{")


def test_nothing_is_an_empty_text(database: Database) -> None:
    """An empty store exports the end mark, which is what readers ask for."""
    assert text(database) == "# EOF\n"


@pytest.mark.parametrize("series_days", [1, 1000])
def test_a_long_time_comes_in_pieces_and_back(
    database: Database, series_days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over many days, at once or day by day, the text holds every sample: imported, it gives the same store."""
    monkeypatch.setattr("agentgauge.transfer.exporting.SERIES_DAYS", series_days)
    for at in range(40):
        put(database, *(({"__name__": "a", "k": str(k)}, at * DAY_MS // 4 + k, at + k / 3) for k in range(3)))
    exported = text(database)
    other = Store.in_memory()
    import_text(io.BytesIO(exported.encode()), other)
    assert raw(other) == raw(database.store)
    other.close()
