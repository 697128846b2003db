"""One query of every kind that dashboards and rules use, over the bench's samples: what no bar may hide.

The kinds are those of Prometheus' compliance tester: selectors, aggregations, functions, operators, matching,
modifiers, subqueries. Queries without a selector are left out: they measure the HTTP server alone.
"""

from __future__ import annotations

C = "agent_tool_calls_total"
B = "agent_llm_latency_seconds_bucket"
E = f'{C}{{status="error"}}'

SELECTORS = (
    C,
    E,
    f'{C}{{agent=~"agent[0-4]"}}',
    f'{C}{{agent!~"agent1.*"}}',
    '{__name__=~"agent_.+_total"}',
    f"{C} offset 5m",
    f"{C} @ end()",
)
AGGREGATIONS = (
    *(f"{op}({C})" for op in ["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"]),
    *(f"{op} by (agent) ({C})" for op in ["sum", "avg", "max", "count", "stddev"]),
    *(f"{op} without (tool_name, status) ({C})" for op in ["sum", "min"]),
    f"quantile(0.9, {C})",
    f"quantile by (agent) (0.5, {C})",
    f"topk(3, {C})",
    f"bottomk by (agent) (1, {C})",
    f'count_values("value", {C} % 7)',
)
_OVER_TIME = """
rate increase irate delta idelta resets changes deriv sum_over_time avg_over_time min_over_time max_over_time
count_over_time last_over_time present_over_time stddev_over_time stdvar_over_time
"""
OVER_TIME = tuple(f"{function}({C}[5m])" for function in _OVER_TIME.split())
MORE_OVER_TIME = (
    f"quantile_over_time(0.9, {C}[5m])",
    f"predict_linear({C}[5m], 600)",
    f"absent_over_time({C}[5m])",
    f"rate({C}[1h])",
    f"max_over_time({C}[1h])",
    f"sum_over_time(rate({E}[5m])[10m:1m])",
    f"max_over_time(sum(rate({C}[5m]))[30m:1m])",
)
_ELEMENTWISE = "abs ceil exp ln log2 sqrt sgn sin timestamp hour day_of_week"
FUNCTIONS = (
    *(f"{function}({C})" for function in _ELEMENTWISE.split()),
    f"round({C}, 5)",
    f"clamp({C}, 10, 100)",
    f"absent({C})",
    f"scalar(sum({C}))",
    f"sort_desc(sum by (agent) ({C}))",
    f'label_replace({C}, "team", "$1", "agent", "agent(.).*")',
    f'label_join({C}, "both", "-", "agent", "tool_name")',
    f"histogram_quantile(0.9, rate({B}[5m]))",
    f"histogram_quantile(0.9, sum by (agent, le) (rate({B}[5m])))",
)
OPERATORS = (
    *(f"{C} {op} 3" for op in ["+", "-", "*", "/", "%", "^", "==", "!=", ">", ">=", "<", "<="]),
    f"{C} > bool 100",
    f"-{C}",
    f"{E} * 100 / {E}",
    f"{C} - {C} offset 10m",
    f"{C} / on (agent) group_left sum by (agent) ({C})",
    f"{E} + ignoring (status, tool_name) group_left sum by (agent) ({C})",
    f"{C} and {E}",
    f"{C} unless {E}",
    f"{E} or {C}",
    f"sum(rate({E}[5m])) / sum(rate({C}[5m])) > 0.01",
    f"sum by (agent) (rate({C}[5m])) / ignoring (agent) group_left sum(rate({C}[5m]))",
)
SET = (*SELECTORS, *AGGREGATIONS, *OVER_TIME, *MORE_OVER_TIME, *FUNCTIONS, *OPERATORS)
