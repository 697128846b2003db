"""The two doors of one ledger show the same, and what they show is what the formats allow."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from agentgauge.model.span import LLMCall, Phases, Task, TokenUsage, ToolCall
from agentgauge.record.ledger import Ledger
from agentgauge.record.recorder import Recorder
from agentgauge.record.render import Renderer

S = 1_000_000_000
ODD_NAMES = ["a", 'q"uote', "back\\slash", "new\nline", "per%cent%d", "ünï", "nul\0", "{x=1}", "\\n"]


def filled(names: list[str]) -> Ledger:
    recorder = Recorder()
    for i, name in enumerate(names):
        rows = recorder.task_started(name, name)
        usage = TokenUsage(10 * i, 20 * i, i)
        phases = Phases(queue_ns=i)
        call = LLMCall(name, name, "success", 0, i * S // 3, i, usage=usage, phases=phases, task_id=f"t{i}")
        recorder.record(call)
        recorder.record(ToolCall(name, name, "error", 0, i * S, error_type=name, trace_id=f"r{i}"))
        recorder.record_task(Task(name, name, "timeout", 0, 2 * i * S), rows=rows)
    return recorder.ledger


def text_of(ledger: Ledger, renderer: Renderer | None = None, *, open_metrics: bool = False) -> str:
    text = "".join((renderer or Renderer()).pieces(ledger.snapshot(), open_metrics=open_metrics))
    return text + "# EOF\n" if open_metrics else text


def samples(families) -> list[object]:
    return sorted((s.name, sorted(s.labels.items()), s.value) for family in families for s in family.samples)


def collected(ledger: Ledger) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(ledger)
    return registry


@pytest.mark.parametrize("open_metrics", [False, True])
def test_both_doors_show_the_same_sample_by_sample(open_metrics):
    """Our text and prometheus_client's text of the Collector parse to equal samples, odd names included."""
    ledger = filled(ODD_NAMES)
    parse, latest = (parse_openmetrics, openmetrics_latest) if open_metrics else (parse_text, generate_latest)
    ours = samples(parse(text_of(ledger, open_metrics=open_metrics)))
    theirs = samples(parse(latest(collected(ledger)).decode()))
    assert ours == theirs
    assert len(ours) > 500


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=12), max_size=8), st.integers(0, 8))
def test_any_names_and_a_warm_cache(names, n_first):
    """Whatever the names, and whatever was rendered before, both doors agree."""
    renderer = Renderer()
    recorder = Recorder()
    for i, name in enumerate(names):
        if i == n_first:
            text_of(recorder.ledger, renderer)
        recorder.record(ToolCall(name, name, "success", 0, i * S))
    ours = samples(parse_text(text_of(recorder.ledger, renderer)))
    assert ours == samples(parse_text(generate_latest(collected(recorder.ledger)).decode()))


def test_openmetrics_carries_exemplars_and_text_does_not():
    """The last observation with ids of a bucket, with its value and time."""
    ledger = filled(["a", "b", "c"])
    families = parse_openmetrics(text_of(ledger, open_metrics=True))
    exemplars = {
        sample.exemplar.labels["task_id"]: sample.exemplar.value
        for family in families
        for sample in family.samples
        if sample.exemplar is not None and "task_id" in sample.exemplar.labels
    }
    assert exemplars == {"t0": 0.0, "t1": 0.333333333, "t2": 0.666666666}
    assert " # {" not in text_of(ledger)


def test_seconds_are_exact_where_a_float_is_not():
    """200 days and a nanosecond: the text has every digit."""
    ledger = Ledger()
    ledger.add("agent_detached_seconds_total", ("a",), 200 * 86_400 * S + 1)
    assert 'agent_detached_seconds_total{agent="a"} 17280000.000000001\n' in text_of(ledger)


def test_a_fork_shows_nothing_of_the_parent():
    """A renderer kept over a fork draws the child's series only."""
    ledger = filled(["parent"])
    renderer = Renderer()
    text_of(ledger, renderer)
    ledger.after_fork()
    ledger.add("agent_detached_seconds_total", ("child",), 1)
    text = text_of(ledger, renderer)
    assert "parent" not in text
    assert 'agent="child"' in text


def test_pieces_are_bounded_and_whole_lines():
    """No piece holds more than about a thousand lines, each ends with its last line."""
    recorder = Recorder(Ledger(limits={"agent": 10_000, "tool_name": 10_000}, series_limit=10**6))
    for i in range(400):
        recorder.record(ToolCall("a", f"tool{i}", "success", 0, S))
    pieces = list(Renderer().pieces(recorder.ledger.snapshot()))
    assert max(piece.count("\n") for piece in pieces) <= 1_020
    assert all(piece.endswith("\n") and not piece.startswith("\n") for piece in pieces)


@pytest.mark.peer
def test_promtool_finds_nothing(program):
    """promtool's linter has nothing to say, but for one name that the metrics contract fixed for good."""
    text = text_of(filled(ODD_NAMES))
    done = subprocess.run(
        [program("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    findings = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    assert [line for line in findings if not line.startswith("agent_active_count ")] == []
