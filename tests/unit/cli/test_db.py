"""agentgauge db: info, check, compact and backup say what they found and exit as scripts expect."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from agentgauge.cli.db import command
from agentgauge.errors import StoreError
from agentgauge.model.labels import labels_from_mapping
from agentgauge.model.series import Row
from agentgauge.store.store import Store

T0 = 1_700_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed data file with two metrics."""
    path = tmp_path / "m.db"
    store = Store.open(path, background=False)
    labels = [labels_from_mapping({"__name__": f"m{i % 2}", "i": str(i)}) for i in range(10)]
    group = store.group("g")
    for j in range(300):
        group.append(Row(T0 + j * 15_000, np.arange(10.0) * j, labels if j == 0 else ()))
    store.upkeep.seal_all()
    store.close()
    return path


def ask(*arguments: object) -> dict[str, object]:
    result = CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.output)
    return found


def test_info_counts(path: Path) -> None:
    """Series by metric, samples, times, bytes per sample."""
    found = ask("info", "--db", path, "--json")
    assert found["series_by_metric"] == {"m0": 5, "m1": 5}
    assert found["values_by_label"] == {"i": 10, "__name__": 2}
    assert found["n_samples"] == 3000
    assert (found["oldest_ms"], found["newest_ms"]) == (T0, T0 + 299 * 15_000)
    assert found["bytes_per_sample"] == pytest.approx(path.stat().st_size / 3000)


def test_info_draws_tables(path: Path) -> None:
    """Without --json a person reads it."""
    result = CliRunner().invoke(command, ["info", "--db", str(path)], catch_exceptions=False)
    assert "bytes per sample" in result.output
    assert "m0" in result.output


def test_check_finds_a_flipped_bit(path: Path) -> None:
    """A clean file is exit status 0, a damaged chunk 1, with its series and interval."""
    assert ask("check", "--db", path, "--json") == {"ok": True, "findings": []}
    conn = sqlite3.connect(path)
    conn.execute("UPDATE chunk SET crc = crc + 1 WHERE id = (SELECT min(id) FROM chunk)")
    conn.commit()
    conn.close()
    result = CliRunner().invoke(command, ["check", "--db", str(path)])
    assert result.exit_code == 1
    assert "10 series" in result.output


def test_compact_makes_it_smaller(path: Path) -> None:
    """Free pages go, the answers stay."""
    before = ask("info", "--db", path, "--json")
    found = ask("compact", "--db", path, "--json")
    assert int(str(found["after_bytes"])) <= int(str(found["before_bytes"]))
    after = ask("info", "--db", path, "--json")
    assert after["free_bytes"] == 0
    assert after["n_samples"] == before["n_samples"]


@pytest.mark.parametrize("flags", [(), ("--compact",)])
def test_backup_while_writing(path: Path, tmp_path: Path, flags: tuple[str, ...]) -> None:
    """The copy of a file in use is whole, and never lands on another file."""
    store = Store.open(path, background=False)
    store.group("g").append(Row(T0 + 300 * 15_000, np.arange(10.0)))
    ask("backup", tmp_path / "copy.db", "--db", path, "--json", *flags)
    store.close()
    assert ask("check", "--db", tmp_path / "copy.db", "--json")["ok"] is True
    assert ask("info", "--db", tmp_path / "copy.db", "--json")["n_samples"] == 3010
    with pytest.raises(StoreError, match="exists"):
        CliRunner().invoke(command, ["backup", str(tmp_path / "copy.db"), "--db", str(path)], catch_exceptions=False)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """Nothing is made by looking."""
    with pytest.raises(StoreError, match=r"none\.db"):
        CliRunner().invoke(command, ["info", "--db", str(tmp_path / "none.db")], catch_exceptions=False)
    assert not list(tmp_path.iterdir())
