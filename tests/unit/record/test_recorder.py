"""A span becomes rows of METRICS, whatever it holds: nothing lost, nothing raised."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgauge.model.accounts import TaskAccounts
from agentgauge.model.metrics import CALL_STATUSES, OTHER, TASK_STATUSES
from agentgauge.model.span import LLMCall, Phases, Task, TokenUsage, ToolCall
from agentgauge.record.recorder import Recorder
from agentgauge.testing import FakeClock

S = 1_000_000_000


def counts_of(recorder: Recorder) -> dict[tuple[str, ...], float]:
    """Return every sample but the buckets: (name, label values...) -> value."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for metric in recorder.ledger.collect()
        for sample in metric.samples
        if not sample.name.endswith("_bucket")
    }


def test_an_llm_call_fills_its_rows():
    """Latency, first token, time per token, tokens, subsets, phases, attempts and status change together."""
    recorder = Recorder()
    recorder.record(
        LLMCall(
            "a",
            "m",
            "success",
            5 * S,
            8 * S,
            first_token_ns=1 * S,
            usage=TokenUsage(100, 21, cached=40),
            phases=Phases(queue_ns=S, prefill_ns=S, decode_ns=S // 2),
            truncation="output_limit",
            attempts_ok=1,
            attempts_retried=2,
        )
    )
    counts = counts_of(recorder)
    assert counts["agent_llm_latency_seconds_sum", "a", "m"] == 3.0
    assert counts["agent_llm_time_to_first_token_seconds_sum", "a", "m"] == 1.0
    assert counts["agent_llm_time_per_output_token_seconds_sum", "a", "m"] == 0.1
    assert counts["agent_token_usage_total", "a", "m", "prompt"] == 100
    assert counts["agent_token_usage_total", "a", "m", "completion"] == 21
    assert counts["agent_token_subset_total", "a", "m", "prompt_cached"] == 40
    assert counts["agent_token_subset_total", "a", "m", "completion_reasoning"] == 0
    assert counts["agent_llm_phase_seconds_total", "a", "m", "queue"] == 1.0
    assert counts["agent_llm_phase_seconds_total", "a", "m", "network"] == 0.5, "the rest: phases sum to the call"
    assert counts["agent_llm_truncations_total", "a", "m", "output_limit"] == 1
    assert counts["agent_llm_attempts_total", "a", "m", "retried"] == 2
    assert [counts["agent_llm_calls_total", "a", "m", status] for status in CALL_STATUSES] == [1, 0, 0, 0]


def test_every_closed_value_exists_at_zero_from_first_sight():
    """A first error, timeout or completion token shows in rate(): its series was there before."""
    recorder = Recorder()
    recorder.task_started("a", "kind")
    recorder.tool_rows("a", "t")
    counts = counts_of(recorder)
    for status in TASK_STATUSES:
        assert counts["agent_tasks_total", "a", status] == 0
    for status in CALL_STATUSES:
        assert counts["agent_tool_calls_total", "a", "t", status] == 0
    for side in ("met", "missed"):
        assert counts["agent_task_path_seconds_total", "a", "own", "", side] == 0
    assert counts["agent_task_duration_seconds_count", "a"] == 0
    recorder.ledger.apply(recorder.paths.rows, "a", ("tool", "t"))
    assert counts_of(recorder)["agent_task_path_calls_total", "a", "tool", "t", "missed"] == 0


def test_what_is_unknown_has_no_rows():
    """Phases, subsets and attempts of a provider that tells none are absent, not zero."""
    recorder = Recorder()
    recorder.record(LLMCall("a", "m", "success", 0, S))
    names = {key[0] for key in counts_of(recorder)}
    assert not names & {"agent_llm_phase_seconds_total", "agent_token_subset_total", "agent_llm_attempts_total"}


def test_the_gauge_rises_and_falls():
    """A task runs between task_started and its span, by kind; an imported span leaves the gauge alone."""
    recorder = Recorder()
    rows = recorder.task_started("a", "kind")
    recorder.task_started("b", "kind")
    assert counts_of(recorder)["agent_active_count", "kind"] == 2
    recorder.record_task(Task("a", "kind", "success", 0, S), rows=rows)
    assert counts_of(recorder)["agent_active_count", "kind"] == 1
    recorder.record_task(Task("c", "kind", "success", 0, S), was_started=False)
    assert counts_of(recorder)["agent_active_count", "kind"] == 1


@pytest.mark.parametrize(
    ("error_type", "is_kept"),
    [("http_5xx", True), ("TimeoutError", True), ("", True), ("model_not_found", False), ("NotFoundError", False)],
)
def test_only_a_model_that_does_not_exist_is_folded(error_type, is_kept):
    """A first request that times out, or meets a server in trouble, keeps its model's name."""
    recorder = Recorder()
    recorder.record(LLMCall("a", "m", "error", 0, S, error_type=error_type))
    assert counts_of(recorder)["agent_llm_calls_total", "a", "m" if is_kept else OTHER, "error"] == 1


def test_a_failed_request_names_no_new_model():
    """A model nobody has folds; one that has answered before keeps its errors; a stream that broke had a model."""
    recorder = Recorder()
    recorder.record(LLMCall("a", "halucinated", "error", 0, S, error_type="http_404"))
    recorder.record(LLMCall("a", "broke", "error", 0, S, first_token_ns=5))
    recorder.record(LLMCall("a", "m", "success", 0, S))
    recorder.record(LLMCall("a", "m", "error", 0, S, error_type="http_5xx"))
    counts = counts_of(recorder)
    assert counts["agent_llm_calls_total", "a", OTHER, "error"] == 1
    assert counts["agent_llm_calls_total", "a", "m", "error"] == 1
    assert counts["agent_llm_calls_total", "a", "broke", "error"] == 1
    assert ("agent_llm_calls_total", "a", "halucinated", "error") not in counts
    assert counts["agent_errors_total", "a", "llm", "http_404"] == 1
    assert counts["agentgauge_labels_folded_total", "agent_llm_calls_total", "model"] == 1
    assert recorder.llm_rows("a", "halucinated") is None


def test_accounts_are_added_with_the_duration():
    """Path seconds, calls, solo, fates, repeats and detached work land in the same commit as the duration."""
    recorder = Recorder()
    accounts = TaskAccounts(
        parts={("own", ""): (1, S, 0), ("tool", "t"): (3, 2 * S, S)},
        detached_ns=7 * S,
        fates={("m", "prompt", "useful"): 12},
        repeated={("tool", "t"): 2},
        slo="missed",
    )
    rows = recorder.task_started("a", "a")
    recorder.record_task(Task("a", "a", "success", 0, 3 * S), accounts, rows)
    counts = counts_of(recorder)
    assert counts["agent_root_task_seconds_total", "a"] == 3.0
    assert counts["agent_task_path_seconds_total", "a", "tool", "t", "missed"] == 2.0
    assert counts["agent_task_path_calls_total", "a", "tool", "t", "missed"] == 3
    assert counts["agent_task_solo_seconds_total", "a", "tool", "t"] == 1.0
    assert counts["agent_detached_seconds_total", "a"] == 7.0
    assert counts["agent_token_fate_total", "a", "m", "prompt", "useful"] == 12
    assert counts["agent_repeated_calls_total", "a", "tool", "t"] == 2
    assert counts["agentgauge_accounting_error_seconds",] == 0


def test_a_path_that_is_no_partition_shows():
    """The accounting error says by how much the worst agent's path misses its durations."""
    recorder = Recorder()
    rows = recorder.task_started("a", "a")
    recorder.record_task(Task("a", "a", "success", 0, 3 * S), TaskAccounts(parts={("own", ""): (1, S, S)}), rows)
    assert counts_of(recorder)["agentgauge_accounting_error_seconds",] == 2.0


def test_work_from_before_a_fork_is_the_parents():
    """Rows of an older epoch count nothing in the child."""
    recorder = Recorder()
    rows = recorder.task_started("a", "a")
    recorder.ledger.after_fork()
    recorder.record_task(Task("a", "a", "success", 0, S), rows=rows)
    assert not [key for key in counts_of(recorder) if key[0] == "agent_tasks_total"]
    assert recorder.ledger.epoch == 1


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf"), "12", None, 10**30])
def test_a_duration_that_is_none_costs_itself_alone(bad):
    """The call and its tokens still count; the refusal is counted as a record error."""
    recorder = Recorder()
    recorder.record(LLMCall("a", "m", "success", 0, bad, usage=TokenUsage(5, 6)))
    recorder.record(ToolCall("a", "t", "success", 0, bad))
    recorder.record_task(Task("a", "a", "success", 0, bad), was_started=False)
    counts = counts_of(recorder)
    assert counts["agent_llm_calls_total", "a", "m", "success"] == 1
    assert counts["agent_token_usage_total", "a", "m", "completion"] == 6
    assert counts["agent_tool_calls_total", "a", "t", "success"] == 1
    assert counts["agent_tasks_total", "a", "success"] == 1
    assert counts["agent_llm_latency_seconds_count", "a", "m"] == 0
    for where in ("llm_duration", "tool_duration", "task_duration"):
        assert counts["agentgauge_record_errors_total", where] == 1


def test_exemplars_that_cannot_stand_are_left_out():
    """OpenMetrics allows 128 characters, parsers no odd ones; the observation counts all the same."""
    recorder = Recorder()
    recorder.record(ToolCall("a", "t", "success", 0, S, task_id="x" * 129))
    for odd in ('"', "\\", "\n", "\ud800", "ü"):
        recorder.record(ToolCall("a", "t", "success", 0, S, task_id=odd))
    recorder.record(ToolCall("a", "t", "success", 0, 50 * S, task_id="id", trace_id="tr"))
    snapshot = recorder.ledger.snapshot()
    assert [snapshot.exemplar(slot).labels() for slot in snapshot.observed] == [{"task_id": "id", "trace_id": "tr"}]
    assert counts_of(recorder)["agent_tool_latency_seconds_count", "a", "t"] == 7


def test_an_exemplar_tells_when_its_call_ended():
    """Not when a batch was worked off or a scrape came: the wall clock at the call's end."""
    clock = FakeClock(start_ms=1_000_000)
    recorder = Recorder(clock=clock)
    clock.advance(2)
    recorder.record(ToolCall("a", "t", "success", 0, 2 * S, task_id="id"))
    clock.advance(30)
    snapshot = recorder.ledger.snapshot()
    assert [snapshot.exemplar(slot).t_ms for slot in snapshot.observed] == [1_002_000]


names = st.one_of(st.sampled_from(["a", "b", "c"]), st.none(), st.text(max_size=200), st.binary(max_size=3))
numbers = st.one_of(st.integers(), st.floats(), st.none(), st.text(max_size=2), st.booleans())
spans = st.one_of(
    st.builds(
        LLMCall,
        names,
        names,
        st.sampled_from(CALL_STATUSES),
        numbers,
        numbers,
        first_token_ns=numbers,
        per_token_ns=numbers,
        usage=st.one_of(st.none(), st.builds(TokenUsage, numbers, numbers, numbers, numbers, numbers)),
        phases=st.one_of(st.none(), st.builds(Phases, numbers, numbers, numbers, numbers, numbers, numbers)),
        error_type=names,
        attempts_ok=numbers,
        task_id=names,
    ),
    st.builds(ToolCall, names, names, st.sampled_from(CALL_STATUSES), numbers, numbers, error_type=names),
    st.builds(Task, names, names, st.sampled_from(TASK_STATUSES), numbers, numbers, n_llm_calls=numbers),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(spans, max_size=20))
def test_whatever_comes_is_counted_once_and_nothing_raises(given_spans):
    """Calls and tasks by status equal what was recorded; no sum is negative or not finite."""
    recorder = Recorder()
    recorder.guard.strict = True
    for span in given_spans:
        recorder.record(span)
    totals: Counter[tuple[str, str]] = Counter()
    for metric in recorder.ledger.collect():
        for sample in metric.samples:
            assert math.isfinite(sample.value)
            assert sample.value >= 0
            if "status" in sample.labels:
                totals[sample.name, sample.labels["status"]] += int(sample.value)
    kinds = {LLMCall: "agent_llm_calls_total", ToolCall: "agent_tool_calls_total", Task: "agent_tasks_total"}
    expected = Counter((kinds[type(span)], span.status) for span in given_spans)
    assert +totals == expected


def test_cancellations_are_no_errors():
    """Work that was cancelled counts by its status alone, even where an exception gave it a type."""
    recorder = Recorder()
    recorder.record(LLMCall("a", "m", "cancelled", 0, S, usage=TokenUsage(1, 1), error_type="CancelledError"))
    recorder.record(ToolCall("a", "t", "cancelled", 0, S, error_type="GeneratorExit"))
    recorder.record(Task("a", "a", "cancelled", 0, S, error_type="KeyboardInterrupt"))
    recorder.record(Task("a", "a", "timeout", 0, S, error_type="TimeoutError"))
    errors = {key: n for key, n in counts_of(recorder).items() if key[0] == "agent_errors_total"}
    assert errors == {("agent_errors_total", "a", "task", "TimeoutError"): 1}
