"""The server's own figures."""

from __future__ import annotations

from agentgauge.database import Database
from agentgauge.record.ledger import Ledger
from agentgauge.scrape.loop import TargetState
from agentgauge.scrape.target import target_from_address
from agentgauge.server.selfwatch import SelfWatch, TimedBackend


def samples(ledger: Ledger) -> dict[str, float]:
    """Return the samples of a ledger by name and the values of labels."""
    return {
        ":".join((sample.name, *sample.labels.values())): sample.value
        for family in ledger.collect()
        for sample in family.samples
    }


def test_lag_is_that_of_the_latest_target() -> None:
    """The lag shown is the worst of the last scrapes; CPU time and memory are there too."""
    ledger = Ledger()
    watch = SelfWatch(ledger)
    target = target_from_address("127.0.0.1:1")
    watch.follow(lambda: [TargetState(target, last_lag_s=lag_s) for lag_s in (0.25, 1.5, 0.0)])
    shown = samples(ledger)
    assert shown["agentgauge_scrape_lag_seconds"] == 1.5
    assert shown["agentgauge_process_cpu_seconds_total"] > 0
    assert shown["agentgauge_process_resident_memory_bytes"] > 1_000_000


def test_dropped_samples_are_counted_by_reason() -> None:
    """What was scraped and not stored shows under its reason."""
    ledger = Ledger()
    SelfWatch(ledger).drop("too_old", 3)
    assert samples(ledger)["agentgauge_samples_dropped_total:too_old"] == 3


async def test_queries_are_timed_by_kind() -> None:
    """Instant and range queries are observed, failed ones too."""
    ledger = Ledger()
    database = Database.in_memory()
    backend = TimedBackend(database, queried=SelfWatch(ledger).queried, owns_database=True)
    await backend.query("1")
    await backend.query_range("1", 0, 1000, 1000)
    await backend.close()
    shown = samples(ledger)
    assert shown["agentgauge_query_duration_seconds_count:instant"] == 1
    assert shown["agentgauge_query_duration_seconds_count:range"] == 1
