"""``agentgauge serve`` on disks and files that are not well: it never exits, and never serves a wrong sample."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.loopback import CountingTarget, until

from agentgauge.model.labels import labels_from_mapping
from agentgauge.model.series import Row
from agentgauge.store.check import check_store, store_info
from agentgauge.store.store import Store

T0 = 1_700_000_000_000 // 7_200_000 * 7_200_000
N_ROWS, STEP_MS = 240, 15_000
N_EXPOSED = 1_000
CAN_MOUNT = os.geteuid() == 0 and shutil.which("mount") is not None


def many_counters(n: int) -> str:
    """Return many counters that all show how often they were scraped."""
    return "".join(f'seen_total{{i="{i}"}} {n}\n' for i in range(N_EXPOSED))


@pytest.fixture
def target() -> Iterator[CountingTarget]:
    started = CountingTarget(many_counters)
    yield started
    started.close()


class Served:
    """A running server of a data file."""

    def __init__(self, process: subprocess.Popen[str], url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self.log = log

    def api(self, path: str, **params: str) -> Any:
        """Ask the API; the whole answer."""
        assert self.process.poll() is None, self.log.read_text()
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(params)}", timeout=60) as answer:
            return json.load(answer)

    def value(self, expr: str) -> float | None:
        """Return the value of the first series of an answer."""
        found = self.api("query", query=expr)["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    @property
    def problems(self) -> str:
        """What it says is wrong with its file."""
        return "; ".join(self.api("status/runtimeinfo")["data"]["storageProblems"])

    @property
    def target(self) -> dict[str, Any]:
        """The state of the target that counts."""
        found: list[dict[str, Any]] = self.api("targets")["data"]["activeTargets"]
        return next(one for one in found if one["labels"]["job"] == "agentgauge")

    def end(self) -> None:
        """End it as systemd would; that works however the disk is."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, self.log.read_text()
        assert "Traceback" not in self.log.read_text()


@contextmanager
def served(tmp_path: Path, db: Path, *arguments: str) -> Iterator[Served]:
    """Run a server until the block ends."""
    line = [sys.executable, "-m", "agentgauge", "serve", "--listen", "127.0.0.1:0", "--db", str(db)]
    log = tmp_path / "server.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [*line, "--no-discovery", *arguments], stdout=subprocess.PIPE, stderr=out, text=True, bufsize=1
        )
    assert process.stdout is not None
    try:
        banner = process.stdout.readline()
        assert banner, log.read_text()
        yield Served(process, next(word for word in banner.split() if word.startswith("http://")), log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def small_disk(tmp_path: Path, size_mb: int) -> Iterator[Path]:
    """Mount a file system of a few megabytes."""
    point = tmp_path / "disk"
    point.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(point)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no mount here: {done.stderr.decode().strip()}")
    try:
        yield point
    finally:
        subprocess.run(["umount", "--lazy", str(point)], check=True)


def write_history(db: Path) -> None:
    """Write an hour of 300 series in two groups, sealed every half hour."""
    store = Store.open(db, background=False, retention_ms=0)
    rng = np.random.default_rng(1)
    series = {
        name: [labels_from_mapping({"__name__": f"{name}_total", "i": str(i)}) for i in range(150)] for name in "ab"
    }
    for row in range(N_ROWS):
        for name, new in series.items():
            store.group(name).append(Row(T0 + row * STEP_MS, rng.random(150) + row, () if row else new))
        if row == N_ROWS // 2 - 1:
            store.upkeep.seal_all()
    store.upkeep.seal_all()
    store.close()


def flip_a_bit(db: Path) -> None:
    """Flip one bit of the file, in the middle of the values of the first chunk."""
    with sqlite3.connect(db) as conn:
        (values,) = conn.execute("SELECT vals FROM chunk ORDER BY id LIMIT 1").fetchone()
    conn.close()
    body = bytearray(db.read_bytes())
    at = body.find(values[len(values) // 2 : len(values) // 2 + 64])
    assert at > 0
    body[at + 9] ^= 8
    db.write_bytes(bytes(body))


def test_a_flipped_bit_is_a_warning_with_series_and_interval(tmp_path: Path) -> None:
    """The query answers from the rest, and says which series miss what; the other group is whole."""
    db = tmp_path / "m.db"
    write_history(db)
    flip_a_bit(db)
    at = str((T0 + N_ROWS * STEP_MS) / 1000)
    with served(tmp_path, db) as server:
        whole = server.api("query", query="count_over_time(b_total[2h])", time=at)
        assert [one["value"][1] for one in whole["data"]["result"]] == [str(N_ROWS)] * 150
        assert not whole.get("warnings")
        for _ in range(2):
            rest = server.api("query", query="count_over_time(a_total[2h])", time=at)
            assert [one["value"][1] for one in rest["data"]["result"]] == [str(N_ROWS // 2)] * 150
            (warning,) = rest["warnings"]
            assert "150 series of group 'a'" in warning
            assert "from 2023-11-14T22:00:00.000Z to 2023-11-14T22:29:45.000Z" in warning
        server.end()
    done = subprocess.run(
        [sys.executable, "-m", "agentgauge", "db", "check", "--db", str(db)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "quarantined" in done.stdout


def test_a_truncated_file_is_set_aside_and_monitoring_goes_on(tmp_path: Path, target: CountingTarget) -> None:
    """The server starts, says what became of the old file, and stores what it scrapes."""
    db = tmp_path / "m.db"
    write_history(db)
    with db.open("r+b") as file:
        file.truncate(db.stat().st_size // 2 // 4096 * 4096)
    with served(tmp_path, db, "--target", f"127.0.0.1:{target.server_port}", "--interval", "200ms") as server:
        assert ".corrupt-" in server.problems
        assert list(tmp_path.glob("m.db.corrupt-*"))
        until("samples are stored", lambda: (server.value("count_over_time(seen_total[1m])") or 0) > 3)
        until("the page knows", lambda: server.value("agentgauge_store_problems") == 1)
        server.end()


def test_a_file_damaged_while_it_is_served_makes_place_for_a_fresh_one(tmp_path: Path, target: CountingTarget) -> None:
    """Whatever is written over the file, the server lives on, keeps the old file and stores again."""
    db = tmp_path / "m.db"
    write_history(db)
    with served(tmp_path, db, "--target", f"127.0.0.1:{target.server_port}", "--interval", "100ms") as server:
        until("samples are stored", lambda: (server.value("count_over_time(seen_total[1m])") or 0) > 5)
        with db.open("r+b") as file:
            file.seek(100)
            file.write(b"\xff" * (db.stat().st_size - 100))
        until("it says so", lambda: ".corrupt-" in server.problems)
        assert server.target["health"] == "up"
        before = target.n
        until("samples are stored again", lambda: (server.value("seen_total") or 0) > before + 3)
        assert server.target["lastError"] == ""
        assert server.value("agentgauge_build_info") is None or server.process.poll() is None
        server.end()
    assert list(tmp_path.glob("m.db.corrupt-*"))
    store = Store.open(db, read_only=True)
    assert check_store(store) == []
    store.close()


@pytest.mark.skipif(not CAN_MOUNT, reason="mounting a small file system needs root")
def test_a_full_disk_is_said_and_outlived(tmp_path: Path, target: CountingTarget) -> None:
    """On a disk that others filled: up stays 1, the loss is counted, stored samples stay; room ends it."""
    with small_disk(tmp_path, 12) as disk:
        db = disk / "m.db"
        with served(tmp_path, db, "--target", f"127.0.0.1:{target.server_port}", "--interval", "100ms") as server:
            until("samples are stored", lambda: (server.value("count_over_time(seen_total[1m])") or 0) > 10)
            filler = disk / "filler"

            def is_said() -> bool:
                # Again and again: what the server frees for its rows is taken too.
                with filler.open("ab", buffering=0) as file, suppress(OSError):
                    file.write(b"x" * (12 << 20))
                return "not stored: the disk is full" in server.target["lastError"]

            until("the loss is said", is_said)
            assert server.target["health"] == "up"
            assert "full" in server.problems
            assert server.value("min(up)") == 1
            n = target.n
            until("live views go on", lambda: (server.value("seen_total") or 0) > n)
            filler.unlink()
            until("rows are stored again", lambda: not server.target["lastError"])
            lost = until("counted", lambda: server.value('agentgauge_samples_dropped_total{reason="disk_full"}'))
            assert lost >= N_EXPOSED
            server.end()
        store = Store.open(db, read_only=True)
        assert check_store(store) == []
        assert store_info(store).n_lost >= N_EXPOSED
        store.close()


@pytest.mark.skipif(not CAN_MOUNT, reason="mounting a small file system needs root")
def test_a_file_that_cannot_be_written_to_is_served(tmp_path: Path, target: CountingTarget) -> None:
    """On a file system mounted read-only what the file holds is answered; that nothing is stored is said."""
    with small_disk(tmp_path, 32) as disk:
        write_history(disk / "m.db")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        at = str((T0 + N_ROWS * STEP_MS) / 1000)
        with served(
            tmp_path, disk / "m.db", "--target", f"127.0.0.1:{target.server_port}", "--interval", "200ms"
        ) as server:
            found = server.api("query", query="count_over_time(a_total[2h])", time=at)["data"]["result"]
            assert [one["value"][1] for one in found] == [str(N_ROWS)] * 150
            error = until("the target says so", lambda: server.target["lastError"])
            assert "reading only" in error
            assert server.target["health"] == "up"
            assert "Read-only file system" in server.log.read_text()
            server.end()
