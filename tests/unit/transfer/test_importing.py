"""An import is exact, once or twice, whole or cut off; series that share their times become dense blocks."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agentgauge.errors import ParseError
from agentgauge.model.labels import Labels, Matcher
from agentgauge.model.series import DenseBlock, Row, SeriesBlock
from agentgauge.store.check import check_store
from agentgauge.store.store import Store
from agentgauge.transfer.importing import Imported, import_text

T0_S = 1_600_000_000
EVERY = (-(1 << 62), 1 << 62)
ANY = (Matcher("__name__", "!=", ""),)
Contents = dict[Labels, list[tuple[int, float]]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "m.db", background=False, retention_ms=0)
    yield store
    store.close()


def text(*, n_series: int = 6, n_times: int = 400, by_time: bool = True, shift_s: float = 0.0) -> bytes:
    """Counters of three targets over 8 days, one line each; ``shift_s`` gives each series times of its own."""
    cells = [(i, k) for k in range(n_times) for i in range(n_series)]
    if not by_time:
        cells.sort()
    lines = [
        f'm_total{{instance="h{i % 3}",job="j",i="{i}"}} {k * (i + 1)} {T0_S + 1800 * k + i * shift_s:.3f}'
        for i, k in cells
    ]
    return ("# TYPE m_total counter\n" + "\n".join(lines) + "\n# EOF\n").encode()


def run(store: Store, body: bytes, **options: int) -> Imported:
    return import_text(io.BytesIO(body), store, size_bytes=len(body), **options)


def blocks(store: Store) -> list[SeriesBlock]:
    return list(store.select(ANY, *EVERY))


def contents(store: Store) -> Contents:
    found: Contents = {}
    for block in blocks(store):
        for i, labels in enumerate(block.labels):
            assert labels not in found
            if isinstance(block, DenseBlock):
                kept = np.ones(len(block.t_ms), np.bool_) if block.present is None else block.present[:, i]
                t_ms, values = block.t_ms[kept], block.values[kept, i]
            else:
                a, b = block.offsets[i], block.offsets[i + 1]
                t_ms, values = block.t_ms[a:b], block.values[a:b]
            found[labels] = list(zip(t_ms.tolist(), values.tolist(), strict=True))
    return found


def expected(body: bytes) -> Contents:
    """What a text says, read the plain way."""
    found: dict[Labels, dict[int, float]] = {}
    for line in body.decode().splitlines():
        if line and not line.startswith("#"):
            series, value, t_s = line.rsplit(" ", 2)
            name, _, rest = series.partition("{")
            pairs = [pair.split("=") for pair in rest.rstrip("}").split(",")]
            labels = tuple(sorted([("__name__", name), *((k, v.strip('"')) for k, v in pairs)]))
            found.setdefault(labels, {})[round(float(t_s) * 1000)] = float(value)
    return {labels: sorted(samples.items()) for labels, samples in found.items()}


@pytest.mark.parametrize("by_time", [True, False])
@pytest.mark.parametrize("run_samples", [1, 300, 10**6])
def test_all_samples_arrive(store: Store, by_time: bool, run_samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Family by family or time by time, in one run or many: the store holds what the text says, also after a merge."""
    monkeypatch.setattr("agentgauge.transfer.importing.PIECE_BYTES", 4000)
    monkeypatch.setattr("agentgauge.transfer.importing._MARK_BYTES", 1000)
    body = text(by_time=by_time)
    done = run(store, body, run_samples=run_samples)
    assert (done.n_samples, done.n_series, done.saw_end, done.resumed_at) == (2400, 6, True, 1)
    assert contents(store) == expected(body)
    store.upkeep.merge(store.clock.now_ms())
    assert contents(store) == expected(body)
    assert check_store(store) == []


def test_shared_times_become_dense_blocks(store: Store) -> None:
    """The series of one target come back as one clean dense block."""
    run(store, text())
    found = blocks(store)
    assert len(found) == 3
    assert all(isinstance(block, DenseBlock) and block.present is None and len(block.labels) == 2 for block in found)


def test_times_of_their_own_stay_exact(store: Store) -> None:
    """Series that share no time are kept without a matrix of holes, and exactly."""
    body = text(n_series=9, shift_s=7.0)
    run(store, body)
    assert contents(store) == expected(body)
    assert not any(isinstance(block, DenseBlock) for block in blocks(store))


def test_shuffled_lines_and_repeats(store: Store) -> None:
    """Any order of lines is taken; of two samples of one time the later line wins."""
    lines = text(n_times=60).decode().splitlines()[1:-1]
    random.Random(5).shuffle(lines)
    lines.append(lines[7].rsplit(" ", 2)[0] + " 12345.5 " + lines[7].rsplit(" ", 1)[1])
    body = "\n".join([*lines, "# EOF\n"]).encode()
    run(store, body, run_samples=50)
    assert contents(store) == expected(body)


def test_twice_is_once(store: Store) -> None:
    """Importing a text again changes nothing, not even the number of samples after a merge."""
    body = text()
    run(store, body)
    run(store, body)
    store.upkeep.merge(store.clock.now_ms())
    assert contents(store) == expected(body)
    with store.snapshot() as conn:
        assert conn.execute("SELECT sum(nrow*ncol) FROM chunk").fetchone() == (2400,)


class Interrupted(io.BytesIO):
    """A text whose reader is interrupted after so many bytes, as Ctrl-C does."""

    def __init__(self, body: bytes, after: int, seekable: bool) -> None:
        super().__init__(body)
        self._left = after
        self._seekable = seekable

    def seekable(self) -> bool:
        return self._seekable

    def read(self, size: int | None = -1, /) -> bytes:
        if self._left <= 0:
            raise KeyboardInterrupt
        part = super().read(min(size or -1, 4000))
        self._left -= len(part)
        return part


@pytest.mark.parametrize("run_samples", [200, 10**6])
@pytest.mark.parametrize("seekable", [True, False])
def test_an_import_goes_on_where_it_stood(
    tmp_path: Path, seekable: bool, run_samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off anywhere, also between processes, the rest is read and the result is that of one import."""
    monkeypatch.setattr("agentgauge.transfer.importing._MARK_BYTES", 1000)
    body = text()
    for after in (3000, 20_000, 60_000, len(body) * 2):
        store = Store.open(tmp_path / "m.db", background=False, retention_ms=0)
        source = Interrupted(body, after, seekable)
        try:
            done = import_text(source, store, size_bytes=len(body) if seekable else None, run_samples=run_samples)
        except KeyboardInterrupt:
            done = None
        if done is None:
            store.close()
    assert done is not None
    assert done.resumed_at > 1
    assert done.n_samples == 2400
    assert contents(store) == expected(body)
    assert store.note("import:anything") is None
    store.close()


def test_a_bad_line_keeps_what_came_before(store: Store) -> None:
    """The error names the line; earlier runs are in, and the corrected text completes them."""
    good = text()
    lines = good.splitlines(keepends=True)
    bad = b"".join([*lines[:2000], b"m_total{ 1 1\n", *lines[2000:]])
    with pytest.raises(ParseError, match="line 2001") as caught:
        run(store, bad, run_samples=100)
    assert caught.value.line == 2001
    run(store, good)
    assert contents(store) == expected(good)


def test_imported_series_live_on(store: Store) -> None:
    """A series that is scraped later is one series with one history."""
    body = text(n_series=1, n_times=3)
    run(store, body)
    (labels,) = expected(body)
    group = store.group("live")
    group.append(Row((T0_S + 90_000) * 1000, np.array([5.0]), [labels]))
    assert contents(store)[labels] == [*expected(body)[labels], ((T0_S + 90_000) * 1000, 5.0)]
    assert store.n_series == 1
