"""The PromQL behind the checks: what any backend is asked, once per look."""

from __future__ import annotations

RECENT = "15m"
LONG = "1h"


def recent(metric: str, by: str, selector: str = "") -> str:
    """Return an expression for what a counter grew by within the hour, also when the series itself is younger."""
    total = f"sum by ({by}) ({metric}{selector})"
    grown = f"sum by ({by}) (increase({metric}{selector}[{LONG}]))"
    return f"{grown} > 0 or {total} > 0 unless sum by ({by}) ({metric}{selector} offset {LONG})"


def resets(metric: str) -> str:
    """Return an expression for how often a counter of an instance began anew within the hour."""
    return f"max by (job, instance) (resets({metric}[{LONG}])) > 0"


QUERIES: dict[str, str] = {
    "accounting": "max(agentgauge_accounting_error_seconds)",
    "buckets": 'sum by (__name__, le) ({__name__=~"agent_.+_bucket"})',
    "buckets_before": f'sum by (__name__, le) ({{__name__=~"agent_.+_bucket"}} offset {LONG})',
    "build": "agentgauge_build_info",
    "calls": f"sum(increase(agent_llm_calls_total[{RECENT}]))",
    "connection_errors": "sum by (error_type) (increase("
    f'agent_errors_total{{component="llm", error_type=~".*[Cc]onnect.*"}}[{RECENT}])) > 0',
    "dropped": recent("agentgauge_samples_dropped_total", "reason"),
    "errors": recent("agentgauge_record_errors_total", "where"),
    "folded": recent("agentgauge_labels_folded_total", "job, instance, metric, label"),
    "foreign": "agentgauge_foreign_instrumentation > 0",
    "lag": "max_over_time(agentgauge_scrape_lag_seconds[5m])",
    "libraries": "agentgauge_library_info",
    "models": "count by (model) (agent_llm_calls_total)",
    "nested": recent("agentgauge_nested_llm_calls_total", "job, instance, integration"),
    "other_counters": 'count by (job, instance) ({__name__=~"gen_ai_client_operation_duration.*_count"})',
    "overflow": "max by (metric) (agentgauge_bucket_overflow_ratio)",
    "overhead": "sum by (job, instance) (rate(agentgauge_overhead_seconds_total[5m]))",
    "queries": "histogram_quantile(0.95, sum by (le) (rate(agentgauge_query_duration_seconds_bucket[5m])))",
    "resets": " or ".join(map(resets, ("agent_tasks_total", "agent_llm_calls_total", "agent_tool_calls_total"))),
    "series": "agentgauge_series",
    "series_limit": "agentgauge_series_limit",
    "server_cpu": "rate(agentgauge_process_cpu_seconds_total[5m])",
    "server_memory": "agentgauge_process_resident_memory_bytes",
    "tokenless": f'(sum by (agent, model) (increase(agent_llm_calls_total{{status="success"}}[{RECENT}])) > 2)'
    f" unless (sum by (agent, model) (increase(agent_token_usage_total[{RECENT}])) > 0)",
    "truncated": recent("agent_llm_truncations_total", "agent, model", '{reason="context"}'),
    "up": "up",
    "widest": 'topk(5, count by (__name__, job, instance) ({__name__=~".+", __name__!~".+_bucket"}) > 250)',
}
"""Id -> expression; the answer is ``Facts.values[id]``."""

TRACKS: dict[str, str] = {
    "calls": f"agent_llm_latency_seconds_count[{RECENT}]",
    "load": f'agent_llm_phase_seconds_total{{phase="load"}}[{RECENT}]',
    "ups": f"up[{RECENT}]",
}
"""Id -> range selector; the samples are ``Facts.tracks[id]``."""
