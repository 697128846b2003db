"""Seeded faults: each breaks one thing on a healthy system and is found by its own row, with a way to mend it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from tests.unit.doctor import healthy

from agentgauge.doctor.check import CHECKS, examine, findings_json, is_healthy
from agentgauge.doctor.facts import Announced, Answer, Disk, Facts, FoldedAt, Listener, LoadedModel, Rows, Wide
from agentgauge.doctor.finding import counted, times
from agentgauge.doctor.llm_servers import reloads

HERE = {"instance": healthy.INSTANCE}
NOW_MS = healthy.NOW_MS

Break = Callable[[Facts], Facts]


def of_host(**changes: Any) -> Break:
    """Return a fault of the machine."""
    return lambda facts: replace(facts, host=replace(facts.host, **changes))


def of_values(**changes: Rows) -> Break:
    """Return a fault that shows in what queries answer."""
    return lambda facts: replace(facts, values={**facts.values, **changes})


def of_target(**changes: Any) -> Break:
    """Return a fault of the one target."""
    return lambda facts: replace(facts, targets=[replace(healthy.target(), **changes)])


def of_ollama(**changes: Any) -> Break:
    """Return a fault of the model server."""
    return lambda facts: replace(facts, ollama=replace(facts.ollama, **changes))


def of_tracks(**changes: Any) -> Break:
    """Return a fault that shows in stored samples."""
    return lambda facts: replace(facts, tracks={**facts.tracks, **changes})


def scraped_twice(facts: Facts) -> Facts:
    other = healthy.target("http://localhost:8001/metrics", "localhost:8001")
    return replace(facts, targets=[healthy.target(), other])


LONG = healthy.histogram("agent_llm_latency_seconds", {"1.0": 10, "10.0": 40, "30.0": 60, "+Inf": 100})
COARSE = healthy.histogram("agent_llm_latency_seconds", {"0.1": 1, "1.0": 2, "10.0": 99, "30.0": 100, "+Inf": 100})
GAP = [NOW_MS - 5000 * i for i in range(100, -1, -1) if not 20 <= i < 40]
OFTEN = ({"model": "qwen3:8b"}, [NOW_MS - 5000 * i for i in range(9, -1, -1)], [float(i // 2) for i in range(10)])

FAULTS: dict[str, tuple[Break, str, str, str]] = {
    # name: (what is broken, the row that must say so, its verdict, a word of it)
    "old python": (of_host(python=(3, 9, 2)), "python", "bad", "too old"),
    "mixed copies": (of_host(distribution_version="0.0.9"), "binary", "bad", "0.0.9"),
    "another binary first": (of_host(commands=["/usr/bin/agentgauge"]), "binary", "warn", "/usr/bin/agentgauge"),
    "another environment": (of_host(virtual_env="/home/me/.venv"), "environment", "warn", "/home/me/.venv"),
    "old client here": (of_host(libraries={"prometheus_client": "0.5.0"}), "packages", "bad", "older"),
    "new client here": (
        of_host(libraries={"prometheus_client": "0.26.0", "ollama": "1.2"}), "packages", "warn", "newer"
    ),
    "full disk": (of_host(disk=Disk("/data", 1 << 20, 250 << 30)), "disk", "bad", "full"),
    "nearly full disk": (of_host(disk=Disk("/data", 500 << 20, 250 << 30)), "disk", "warn", "nearly full"),
    "stale discovery files": (
        of_host(announced=Announced("/t", ["/t/77-8001.json"], ["/t/9-8002.json"], {}, frozenset({77}))),
        "discovery", "warn", "stale",
    ),
    "broken discovery file": (
        of_host(announced=Announced("/t", (), (), {"/t/x.json": "not JSON"})), "discovery", "warn", "x.json"
    ),
    "port conflict": (
        lambda facts: replace(
            of_host(listener=Listener(4242, "nginx"), port_answer=Answer("html", 200, 10))(facts), targets=[]
        ),
        "port", "warn", "nginx (pid 4242)",
    ),
    "server down": (
        lambda facts: replace(facts, server=replace(facts.server, error="cannot reach it"), values={}, targets=None),
        "server", "bad", "cannot reach",
    ),
    "dead target": (of_target(health="down", error="Connection refused"), "targets", "bad", "refused"),
    "wrong port": (of_target(answer=Answer("other", 404, 10)), "answers", "bad", "404"),
    "html target": (of_target(answer=Answer("html", 200, 10)), "answers", "bad", "HTML"),
    "scraped twice": (scraped_twice, "twice", "warn", "localhost:8001"),
    "skewed clock of a target": (
        of_target(answer=Answer("agentgauge", 200, 10, 7.0)), "clock", "warn", "7 s ahead"
    ),
    "skewed clock of the server": (
        lambda facts: replace(facts, server=replace(facts.server, ahead_s=-90.0)), "clock", "bad", "90 s behind"
    ),
    "samples from the future": (
        of_tracks(ups=[healthy.up([NOW_MS + 60_000 - 5000 * i for i in range(100, -1, -1)])]),
        "clock", "bad", "newest stored sample",
    ),
    "scraping stopped": (of_target(last_scrape_ms=NOW_MS - 120_000), "scraping", "bad", "120 s ago"),
    "late scrapes": (of_values(lag=[(HERE, 4.0)]), "scraping", "warn", "4.0 s late"),
    "scrape gaps": (of_tracks(ups=[healthy.up(GAP)]), "gaps", "warn", "gaps"),
    "flapping target": (
        of_tracks(ups=[healthy.up(values=[1.0, 0.0, 1.0] * 33 + [1.0, 1.0])]), "gaps", "warn", "down in 33%"
    ),
    "dropped samples": (of_values(dropped=[({"reason": "too_old"}, 12.0)]), "dropped", "warn", "12 samples too_old"),
    "slow queries": (of_values(queries=[({}, 7.5)]), "queries", "warn", "7.5 s"),
    "old client in an agent": (
        of_values(libraries=[({**HERE, "library": "ollama", "version": "0.3.3"}, 1.0)]), "versions", "bad", "0.3.3"
    ),
    "another agentgauge in an agent": (
        of_values(build=[({**HERE, "version": "0.0.7"}, 1.0)]), "versions", "warn", "0.0.7"
    ),
    "series near the limit": (of_values(series=[(HERE, 19_000.0)]), "series", "warn", "19,000"),
    "series at the limit": (of_values(series=[(HERE, 20_000.0)]), "series", "bad", "__other__"),
    "cardinality explosion": (
        lambda facts: replace(facts, wide=[Wide("agent_tool_calls_total", healthy.INSTANCE, "session_id", 4000)]),
        "cardinality", "warn", "session_id",
    ),
    "folded labels": (
        of_values(folded=[({"metric": "agent_tool_calls_total", "label": "tool_name"}, 300.0)]),
        "folded", "warn", "tool_name",
    ),
    "folded labels, by the line that makes them": (
        lambda facts: replace(
            of_values(folded=[({"metric": "agent_tool_calls_total", "label": "tool_name"}, 1.0)])(facts),
            folded_at=[FoldedAt("a:1", "agent_tool_calls_total", "tool_name", ["/app/my agent.py:42 in answer"])],
        ),
        "folded", "warn", "tool_name of agent_tool_calls_total, once, made at /app/my agent.py:42 in answer;",
    ),
    "buckets too short": (of_values(buckets=LONG), "buckets", "warn", "40% above its last bound 30"),
    "buckets too coarse": (of_values(buckets=COARSE), "buckets", "warn", "from 1 to 10"),
    "buckets too short, by the agent's word": (
        of_values(overflow=[({"metric": "agent_tool_latency_seconds"}, 0.2)]), "buckets", "warn", "20%"
    ),
    "counter resets": (of_values(resets=[(HERE, 9.0)]), "resets", "warn", "9 times"),
    "hook inside a block": (
        of_values(nested=[({**HERE, "integration": "ollama"}, 20.0)]), "duplicates", "warn", "counted twice"
    ),
    "double instrumentation": (
        of_values(foreign=[({**HERE, "library": "opentelemetry.instrumentation.ollama"}, 1.0)]),
        "duplicates", "warn", "opentelemetry.instrumentation.ollama",
    ),
    "another exporter": (of_values(other_counters=[({"job": "otel", **HERE}, 1.0)]), "duplicates", "warn", "otel"),
    "missing tokens": (
        of_values(tokenless=[({"agent": "coder", "model": "gpt-5"}, 5.0)]), "tokens", "warn", "coder on gpt-5"
    ),
    "failures of ours": (of_values(errors=[({"where": "llm"}, 3.0)]), "errors", "warn", "llm 3 times"),
    "accounting error": (of_values(accounting=[({}, 1.5)]), "accounting", "warn", "1.500 s"),
    "overhead": (of_values(overhead=[(HERE, 0.08)]), "overhead", "warn", "8.000%"),
    "server load": (of_values(server_cpu=[(HERE, 0.9)]), "server_load", "warn", "90.0%"),
    "ollama down": (of_ollama(error="cannot connect: Connection refused"), "ollama", "bad", "refused"),
    "old ollama": (of_ollama(version="0.1.48"), "ollama_version", "bad", "older"),
    "model that is not there": (of_ollama(installed=["llama3.2:3b"], loaded=[]), "models", "warn", "qwen3:8b"),
    "model half on the GPU": (of_ollama(loaded=[LoadedModel("qwen3:8b", 0.4)]), "models", "warn", "40%"),
    "model thrash": (of_tracks(load=[OFTEN]), "reloads", "warn", "num_ctx"),
    "truncated context": (
        of_values(truncated=[({"agent": "coder", "model": "qwen3:8b"}, 2.0)]), "truncation", "warn", "coder on qwen3:8b"
    ),
}  # fmt: skip

ALLOWED_ECHOES = MappingProxyType({"server down": {"targets", "answers"}, "port conflict": {"targets", "answers"}})


def test_a_healthy_system_has_nothing_to_look_at() -> None:
    """Every row is ok and says what it looked at."""
    findings = examine(healthy.facts())
    assert [(row.check, row.detail) for row in findings if row.verdict != "ok"] == []
    assert all(row.looked_at and row.detail for row in findings)
    assert [row.check for row in findings] == list(CHECKS)
    assert is_healthy(findings)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_each_fault_is_found_by_its_row_alone(name: str) -> None:
    """The right row says so with a command; no other row raises a warning for it."""
    break_it, check, verdict, word = FAULTS[name]
    findings = {row.check: row for row in examine(break_it(healthy.facts()))}
    found = findings[check]
    assert (found.verdict, word in found.detail, bool(found.mend)) == (verdict, True, True), found
    others = {row.check for row in findings.values() if row.verdict in ("warn", "bad")} - {check}
    assert others <= ALLOWED_ECHOES.get(name, set())


def test_there_are_more_than_two_dozen_faults_and_each_check_has_one() -> None:
    """No check is without a fault that it finds."""
    assert len(FAULTS) >= 24
    assert {check for _, check, _, _ in FAULTS.values()} == set(CHECKS)


@pytest.mark.parametrize("check_id", sorted(CHECKS))
def test_nothing_known_is_no_warning(check_id: str) -> None:
    """Without any answer a check says that it does not know, never that something is wrong."""
    facts = replace(healthy.facts(), values={}, tracks={}, targets=None, ollama=None)
    assert CHECKS[check_id].judge(facts).verdict in ("ok", "unknown")


def test_a_check_that_trips_costs_no_other_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own row says that the check itself failed."""
    broken: Any = replace(healthy.facts(), host=None)
    findings = {row.check: row for row in examine(broken)}
    assert findings["python"].verdict == "unknown"
    assert "the check itself failed" in findings["python"].detail
    assert findings["gaps"].verdict == "ok"


def test_folds_of_many_processes_are_one_finding() -> None:
    """Summed over instances, the most folded first, each place once; the command shows a line that is known."""
    tools = {"metric": "agent_tool_calls_total", "label": "tool_name"}
    agents = {"metric": "agent_tasks_total", "label": "agent"}
    rows = [({**agents, "instance": "a:1"}, 9.0), *(({**tools, "instance": f"a:{i}"}, 6.0) for i in (1, 2))]
    places = [FoldedAt(f"a:{i}", *tools.values(), ["/app/my agent.py:42 in answer"]) for i in (1, 2)]
    found = CHECKS["folded"].judge(replace(of_values(folded=rows)(healthy.facts()), folded_at=places))
    assert found.detail == (
        "folded into __other__: tool_name of agent_tool_calls_total, 12 times, made at /app/my agent.py:42 in answer; "
        "agent of agent_tasks_total, 9 times; sums stay right, names are lost"
    )
    assert found.mend.startswith("sed -n 42p '/app/my agent.py'   # give tool_name names")


def test_one_is_not_several() -> None:
    """Numbers and nouns agree."""
    assert [counted(n, "file") for n in (0, 1, 1200)] == ["0 files", "1 file", "1,200 files"]
    assert [times(n) for n in (0, 1, 2, 1200)] == ["0 times", "once", "twice", "1,200 times"]


def test_json_has_the_rows_and_their_counts() -> None:
    """The counts are of the rows, and a bad one makes the system unhealthy."""
    facts = FAULTS["dead target"][0](healthy.facts())
    said: Any = findings_json(examine(facts))
    assert said["healthy"] is False
    assert said["counts"]["bad"] == 1
    assert sum(said["counts"].values()) == len(said["findings"]) == len(CHECKS)


def test_counters_that_began_anew_do_not_make_negative_buckets() -> None:
    """After a reset the hour before is left out, not subtracted."""
    before = healthy.histogram("agent_llm_latency_seconds", {"1.0": 500, "30.0": 900, "+Inf": 1000})
    facts = of_values(buckets=LONG, buckets_before=before)(healthy.facts())
    assert "of 100 observations" in CHECKS["buckets"].judge(facts).detail


def test_only_the_last_hour_counts_for_buckets() -> None:
    """What overflowed before the hour is over."""
    now = healthy.histogram("agent_llm_latency_seconds", {"1.0": 100, "2.0": 190, "5.0": 200, "10.0": 200, "+Inf": 240})
    before = healthy.histogram("agent_llm_latency_seconds", {"1.0": 0, "2.0": 0, "5.0": 0, "10.0": 0, "+Inf": 40})
    assert CHECKS["buckets"].judge(of_values(buckets=now, buckets_before=before)(healthy.facts())).verdict != "warn"


def test_many_warm_calls_between_two_scrapes_are_no_load() -> None:
    """A warm model reports a little load time for each call; only what the calls do not explain is a load."""
    times_ms = [NOW_MS - 5000 * i for i in range(9, -1, -1)]
    labels = {"model": "qwen3:8b", "agent": "a"}
    warm = (labels, times_ms, [0.8 * i for i in range(10)])
    calls = (labels, times_ms, [8.0 * i for i in range(10)])
    facts = healthy.facts()
    assert reloads(replace(facts, tracks={"load": [warm], "calls": [calls]})).verdict == "ok"
    cold = (labels, times_ms, [3.8 * i for i in range(10)])
    assert reloads(replace(facts, tracks={"load": [cold], "calls": [calls]})).verdict == "warn"
