"""Remote write between real servers: nothing lost, nothing out of order, whoever is away."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.loopback import CountingTarget, until

from agentgauge.model.clock import SystemClock

SELECTOR = '{__name__=~"made_.*",job="made"}'


def made_text(n: int) -> str:
    """Return twenty counters that grow with every scrape."""
    lines = [f'made_{i}_total{{k="{i}"}} {n * (i + 1)}' for i in range(20)]
    return "# HELP made_0_total How often.\n# TYPE made_0_total counter\n" + "\n".join(lines) + "\n"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[CountingTarget]:
    target = CountingTarget(made_text)
    (tmp_path / "targets.json").write_text(json.dumps([{"targets": [target.address], "labels": {"job": "made"}}]))
    yield target
    target.close()


def samples(peer: Any) -> dict[str, list[tuple[float, str]]]:
    found = peer.samples(SELECTOR, SystemClock.now_ms() + 1000, "1h")
    # VictoriaMetrics shows stale markers as NaN, the others keep them to themselves.
    return {key: [(t, v) for t, v in rows if v != "NaN"] for key, rows in found.items()}


def numbers(found: dict[str, list[tuple[float, str]]]) -> list[float]:
    """The values of the first counter, in the order of their times."""
    (series,) = [values for key, values in found.items() if '"made_0_total"' in key]
    return [float(value) for _, value in series]


@pytest.mark.peer
def test_a_real_prometheus_delivers_to_us(peers: Any, made: CountingTarget, tmp_path: Path) -> None:
    """What Prometheus scrapes is here with the same times and values, stale markers and descriptions too."""
    ours = peers.ours(tmp_path / "m.db")
    config = f"""
global: {{scrape_interval: 1s}}
scrape_configs: [{{job_name: made, static_configs: [{{targets: ["{made.address}"]}}]}}]
remote_write: [{{url: "{ours.url}/api/v1/write", queue_config: {{batch_send_deadline: 1s}},
  metadata_config: {{send_interval: 1s}}}}]
"""
    theirs = peers.prometheus(tmp_path / "prometheus", config=config)
    until("samples arrive", lambda: len(samples(ours)) == 20 and len(numbers(samples(ours))) > 3)
    until("descriptions arrive", lambda: ours.api("metadata").get("made_0_total"))
    up_to_s = samples(ours)[next(iter(samples(ours)))][-1][0]

    def until_then(peer: Any) -> dict[str, list[tuple[float, str]]]:
        return {key: [row for row in rows if row[0] <= up_to_s] for key, rows in samples(peer).items()}

    assert until_then(ours) == until_then(theirs)
    # A target that is gone leaves stale markers there, and so here.
    made.close()
    until("it is stale there", lambda: theirs.api("query", query="made_0_total")["result"] == [])
    until("and here", lambda: ours.api("query", query="made_0_total")["result"] == [])


def receiver(peers: Any, kind: str, data: Path, port: int | None = None) -> Any:
    if kind == "prometheus":
        return peers.prometheus(data, "--web.enable-remote-write-receiver", port=port)
    if kind == "victoria":
        return peers.victoria(data, port=port)
    return peers.ours(data / "m.db", port=port)


@pytest.mark.peer
@pytest.mark.parametrize("kind", ["prometheus", "victoria", "ours"])
def test_a_receiver_that_was_away_gets_everything(peers: Any, made: CountingTarget, tmp_path: Path, kind: str) -> None:
    """Receiver down, we scrape, are killed and start again, receiver up: all is there, in order, and no more."""
    data = tmp_path / kind
    data.mkdir()
    there = receiver(peers, kind, data)
    port = int(there.url.rpartition(":")[2])
    url = f"{there.url}/api/v1/write"
    arguments = ["--target-file", str(tmp_path / "targets.json"), "--interval", "200ms", "--remote-write", url]

    def taken(n: int) -> Any:
        return lambda: made.n >= n

    ours = peers.ours(tmp_path / "m.db", *arguments)
    until("the first samples arrive", lambda: len(samples(there)) == 20)
    there.end()
    until("we scrape meanwhile", taken(made.n + 15))
    ours.end(signal.SIGKILL)
    ours = peers.ours(tmp_path / "m.db", *arguments)
    until("and after a kill", taken(made.n + 15))
    ours.end()
    ours = peers.ours(tmp_path / "m.db", *arguments)
    until("and after an end", taken(made.n + 5))
    there = receiver(peers, kind, data, port)
    mine = samples(ours)
    last = max(numbers(mine))
    until("all of it arrives", lambda: len(found := samples(there)) == 20 and max(numbers(found)) >= last)
    found = samples(there)
    assert numbers(found) == sorted(numbers(found))
    for key, rows in mine.items():
        kept = [(t, float(v)) for t, v in found[key]]
        assert [row for row in kept if row[0] <= rows[-1][0]] == [(t, float(v)) for t, v in rows]
    if kind == "ours":
        assert there.api("metadata")["made_0_total"][0]["help"] == "How often."


def test_a_wrong_address_is_refused_at_once(agentgauge: Any, tmp_path: Path) -> None:
    """A URL without a path, or of another kind, is an error before anything is opened."""
    for url, text in (("http://127.0.0.1:9", "no path"), ("ftp://a/b", "no http"), ("nonsense", "no http")):
        done = agentgauge("serve", "--db", tmp_path / "m.db", "--remote-write", url)
        assert (done.returncode, text in done.stderr) == (1, True)
    assert not (tmp_path / "m.db").exists()
