"""METRICS: every metric that agentgauge writes, with its type, unit, help and labels.

The one place where metric names stand. The reference page, the panels, the dashboards and the recorder are built
from this table or tested against it. Names, once released, are an API: a label is never lost, a name never changes.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

MetricType: TypeAlias = Literal["counter", "gauge", "histogram"]

DURATION_BUCKETS_S: tuple[float, ...] = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
"""One ladder for every duration: from a stream's first token to a slow local model."""

PER_TOKEN_BUCKETS_S: tuple[float, ...] = (
    0.002,
    0.005,
    0.01,
    0.02,
    0.03,
    0.05,
    0.075,
    0.1,
    0.15,
    0.25,
    0.5,
    1,
    2,
)

CALLS_BUCKETS: tuple[float, ...] = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 100)

QUERY_BUCKETS_S: tuple[float, ...] = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""From a tile of the page to a query that reads a month."""

CALL_STATUSES = ("success", "error", "timeout", "cancelled")
TASK_STATUSES = ("success", "failure", "timeout", "cancelled")
TOKEN_TYPES = ("prompt", "completion")
TOKEN_SUBSETS = ("prompt_cached", "prompt_cache_write", "completion_reasoning")
PHASES = ("client_wait", "queue", "load", "prefill", "decode", "network")
ATTEMPT_OUTCOMES = ("ok", "retried", "failed")
TRUNCATIONS = ("context", "output_limit")
ERROR_COMPONENTS = ("llm", "tool", "task")
TOKEN_FATES = ("useful", "retried", "repeated", "failed_task")
SLO_SIDES = ("met", "missed")
TASK_DOUBTS = ("capped", "race", "unwrapped")
"""Why a what-if does not hold for a task: too many spans, a race, threads whose steps have no branch."""

OTHER = "__other__"
"""Where a label value goes that is one too many or looks unbounded."""

LABEL_LIMITS: dict[str, int] = {
    "agent": 100,
    "agent_type": 100,
    "error_type": 50,
    "model": 50,
    "name": 50,
    "tool_name": 200,
}
"""Distinct values per process and label; labels that are not here have closed sets."""

SERIES_LIMIT = 20_000
"""Series per process, by default."""


class Metric(NamedTuple):
    """One row of METRICS; ``otel`` names the OpenTelemetry GenAI counterpart, where there is one."""

    name: str
    type: MetricType
    unit: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    otel: str = ""


def _counter(name: str, unit: str, help: str, *labels: str, otel: str = "") -> Metric:
    return Metric(name, "counter", unit, help, labels, (), otel)


def _gauge(name: str, unit: str, help: str, *labels: str) -> Metric:
    return Metric(name, "gauge", unit, help, labels)


def _histogram(name: str, unit: str, help: str, buckets: tuple[float, ...], *labels: str, otel: str = "") -> Metric:
    return Metric(name, "histogram", unit, help, labels, buckets, otel)


_ROWS = (
    # What users measure.
    _gauge("agent_active_count", "tasks", "Tasks running now, root tasks and sub-agents alike.", "agent_type"),
    _counter(
        "agent_detached_seconds_total",
        "seconds",
        "Work that outlived the task or span that started it.",
        "agent",
    ),
    _counter(
        "agent_errors_total",
        "errors",
        "Failures by component and bounded error type.",
        "agent",
        "component",
        "error_type",
    ),
    _counter("agent_llm_attempts_total", "attempts", "HTTP attempts below LLM calls.", "agent", "model", "outcome"),
    _counter("agent_llm_calls_total", "calls", "Finished LLM calls.", "agent", "model", "status"),
    _counter(
        "agent_llm_concurrency_seconds_total",
        "seconds",
        "Seconds with n requests in flight to a model.",
        "model",
        "n",
    ),
    _counter(
        "agent_llm_concurrency_tokens_total",
        "tokens",
        "Output tokens produced with n requests in flight.",
        "model",
        "n",
    ),
    _histogram(
        "agent_llm_latency_seconds",
        "seconds",
        "One LLM call, request sent to last byte read.",
        DURATION_BUCKETS_S,
        "agent",
        "model",
        otel="gen_ai.client.operation.duration",
    ),
    _counter(
        "agent_llm_phase_seconds_total",
        "seconds",
        "Seconds of LLM calls by phase; sums to the latency sum.",
        "agent",
        "model",
        "phase",
    ),
    _histogram(
        "agent_llm_time_per_output_token_seconds",
        "seconds",
        "Time per output token after the first.",
        PER_TOKEN_BUCKETS_S,
        "agent",
        "model",
        otel="gen_ai.client.operation.time_per_output_chunk",
    ),
    _histogram(
        "agent_llm_time_to_first_token_seconds",
        "seconds",
        "Request sent to first content, reasoning or tool-call token.",
        DURATION_BUCKETS_S,
        "agent",
        "model",
        otel="gen_ai.client.operation.time_to_first_chunk",
    ),
    _counter(
        "agent_llm_tool_calls_requested_total",
        "calls",
        "Tool calls that answers of the model asked for, whether or not they were made.",
        "agent",
        "model",
    ),
    _counter(
        "agent_llm_truncations_total",
        "calls",
        "LLM calls whose context or output was cut.",
        "agent",
        "model",
        "reason",
    ),
    _counter(
        "agent_repeated_calls_total",
        "calls",
        "Calls with the same arguments and the same result, again in one task.",
        "agent",
        "component",
        "name",
    ),
    _counter(
        "agent_root_task_seconds_total",
        "seconds",
        "Durations of finished root tasks; what the path seconds sum to.",
        "agent",
    ),
    _counter(
        "agent_task_doubts_total",
        "tasks",
        "Finished root tasks whose what-if does not hold, by reason.",
        "agent",
        "reason",
    ),
    _histogram(
        "agent_task_duration_seconds",
        "seconds",
        "A task end to end.",
        DURATION_BUCKETS_S,
        "agent",
        otel="gen_ai.invoke_agent.duration",
    ),
    _histogram(
        "agent_task_llm_calls",
        "calls",
        "LLM calls per finished task.",
        CALLS_BUCKETS,
        "agent",
        otel="gen_ai.invoke_agent.inference_calls",
    ),
    _counter(
        "agent_task_path_calls_total",
        "calls",
        "Calls of finished root tasks, by component and name.",
        "agent",
        "component",
        "name",
        "slo",
    ),
    _counter(
        "agent_task_path_seconds_total",
        "seconds",
        "Seconds on the critical path of finished root tasks.",
        "agent",
        "component",
        "name",
        "slo",
    ),
    _counter(
        "agent_task_solo_seconds_total",
        "seconds",
        "Seconds in which only this was active, from finished root tasks.",
        "agent",
        "component",
        "name",
    ),
    _counter(
        "agent_task_state_seconds_total",
        "seconds",
        "Seconds of running root tasks with exactly this set of components active.",
        "agent",
        "state",
    ),
    _histogram(
        "agent_task_tool_calls",
        "calls",
        "Tool calls per finished task.",
        CALLS_BUCKETS,
        "agent",
        otel="gen_ai.invoke_agent.tool_calls",
    ),
    _counter("agent_tasks_total", "tasks", "Finished tasks.", "agent", "status"),
    _gauge("agent_tasks_overdue", "tasks", "Running tasks already over their target.", "agent"),
    _counter(
        "agent_token_fate_total",
        "tokens",
        "Tokens of finished tasks by what became of them.",
        "agent",
        "model",
        "token_type",
        "fate",
    ),
    _counter(
        "agent_token_subset_total",
        "tokens",
        "Parts of the token usage: cached, cache writes, reasoning.",
        "agent",
        "model",
        "subset",
    ),
    _counter(
        "agent_token_usage_total",
        "tokens",
        "Tokens by type; prompt and completion are disjoint.",
        "agent",
        "model",
        "token_type",
        otel="gen_ai.client.token.usage",
    ),
    _counter(
        "agent_tool_calls_total",
        "calls",
        "Finished tool calls.",
        "agent",
        "tool_name",
        "status",
        otel="gen_ai.execute_tool.duration",
    ),
    _histogram(
        "agent_tool_latency_seconds",
        "seconds",
        "One tool call.",
        DURATION_BUCKETS_S,
        "agent",
        "tool_name",
        otel="gen_ai.execute_tool.duration",
    ),
    # What the monitor says about itself.
    _gauge(
        "agentgauge_accounting_error_seconds",
        "seconds",
        "Largest difference between path seconds and task durations of any agent.",
    ),
    _gauge(
        "agentgauge_bucket_overflow_ratio",
        "ratio",
        "Share of observations in or above the last finite bucket.",
        "metric",
    ),
    _gauge("agentgauge_build_info", "info", "Version of agentgauge and Python; always 1.", "version", "python"),
    _gauge(
        "agentgauge_foreign_instrumentation",
        "info",
        "Another library's hooks on an LLM client of this process; always 1.",
        "library",
    ),
    _counter("agentgauge_labels_folded_total", "values", "Label values folded into __other__.", "metric", "label"),
    _gauge(
        "agentgauge_library_info",
        "info",
        "Version of a library that this process has loaded; always 1.",
        "library",
        "version",
    ),
    _counter(
        "agentgauge_nested_llm_calls_total",
        "calls",
        "Calls counted twice: measured by a hook inside a block that measures an LLM call.",
        "integration",
    ),
    _counter(
        "agentgauge_overhead_seconds_total",
        "seconds",
        "CPU time that agentgauge took from this process: part is record (sampled) or expose.",
        "part",
    ),
    _counter("agentgauge_process_cpu_seconds_total", "seconds", "CPU time of the server, user and system."),
    _gauge("agentgauge_process_resident_memory_bytes", "bytes", "Memory of the server that is in RAM."),
    _histogram(
        "agentgauge_query_duration_seconds",
        "seconds",
        "One query to the server, waiting included.",
        QUERY_BUCKETS_S,
        "kind",
    ),
    _counter(
        "agentgauge_record_errors_total",
        "errors",
        "Failures inside agentgauge that were kept from the host.",
        "where",
    ),
    _counter(
        "agentgauge_remote_write_dropped_samples_total",
        "samples",
        "Samples that a remote write destination will not get: reason is refused, too_long_away or forgotten.",
        "destination",
        "reason",
    ),
    _gauge(
        "agentgauge_remote_write_lag_seconds",
        "seconds",
        "Age of the oldest sample that a remote write destination has not taken yet.",
        "destination",
    ),
    _counter("agentgauge_remote_write_received_samples_total", "samples", "Samples that were pushed here and stored."),
    _counter(
        "agentgauge_remote_write_sent_samples_total",
        "samples",
        "Samples that a remote write destination took.",
        "destination",
    ),
    _counter(
        "agentgauge_samples_dropped_total",
        "samples",
        "Samples that were scraped or pushed and not stored: reason is disk_full, too_old, too_new, not_stored, "
        "nameless or native_histogram.",
        "reason",
    ),
    _gauge(
        "agentgauge_scrape_lag_seconds",
        "seconds",
        "How late the latest scrapes of the server began, at worst.",
    ),
    _gauge("agentgauge_series", "series", "Series held by this process."),
    _gauge("agentgauge_series_limit", "series", "Series this process may hold."),
    _gauge(
        "agentgauge_store_problems",
        "problems",
        "How many things are wrong with the server's data file: damage, a full disk, one that soon will be.",
    ),
)

METRICS: dict[str, Metric] = {row.name: row for row in _ROWS}
"""Metric name -> its row."""
