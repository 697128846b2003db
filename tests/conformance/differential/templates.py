"""Query templates: every function, aggregation, operator, modifier and matching case that 2.42 knows.

Families keep it short: a family is a list of shapes and what goes into them; ``TEMPLATES`` is all of them, written out.
"""

from __future__ import annotations

from itertools import product


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ELEMENTWISE = _words(
    "abs acos acosh asin asinh atan atanh ceil cos cosh deg exp floor ln log10 log2 rad sgn sin sinh sqrt tan tanh"
)
_DATES = _words("day_of_month day_of_week day_of_year days_in_month hour minute month year")
_COUNTERS = _words("rate increase irate delta idelta resets changes deriv")
_OVER_TIME = _words(
    "sum_over_time avg_over_time min_over_time max_over_time count_over_time last_over_time "
    "present_over_time stddev_over_time stdvar_over_time"
)
_FOLDS = _words("sum avg count min max group stddev stdvar")
_ARITHMETIC = _words("+ - * / % ^ atan2")
_COMPARISONS = _words("== != < <= > >=")


def _written(shapes: str, **fills: list[str] | tuple[str, ...]) -> list[str]:
    """Write out the shapes, one a line, with every combination of what goes into them."""
    names, result = list(fills), []
    for shape in (line.strip() for line in shapes.strip().splitlines()):
        used = [name for name in names if f"<{name}>" in shape]
        for values in product(*(fills[name] for name in used)):
            text = shape
            for name, value in zip(used, values, strict=True):
                text = text.replace(f"<{name}>", value)
            result.append(text)
    return result


_SELECTORS = _written(
    """
    calls_total
    {__name__="calls_total"}
    {__name__=~"li.*"}
    {__name__=~"load|limit",agent!=""}
    calls_total{agent="a"}
    calls_total{agent!="a"}
    calls_total{agent=~"a|b"}
    calls_total{agent!~"a|b"}
    calls_total{tool=~"read.file"}
    calls_total{tool=~"s.+",status!="error"}
    limit{agent=""}
    limit{agent!=""}
    limit{nothing=""}
    nothing_here
    load offset 1m
    load offset -3m
    load offset 17s
    load @ 1700010000
    load @ 1700010000.123
    load @ start()
    load @ end()
    load @ 1700009000 offset 2m
    load offset 2m @ 1700009000
    calls_total{tool="shell"}
    turns
    temp
    load[1m]
    temp[90s] offset 1m
    pushed_total[2m] @ 1700010000
    rate(calls_total[5m])[10m:1m]
    load[5m:47s]
    load[5m:]
    """
)
_MATH = _written(
    "<fn>(load)\n<fn>(odd)\n<fn>(load / 10)",
    fn=_ELEMENTWISE,
)
_MATH += _written(
    """
    round(load)
    round(load, 0.1)
    round(load, 5)
    round(odd, 2)
    clamp(load, -5, 5)
    clamp(load, 5, -5)
    clamp_min(load, 0)
    clamp_max(load, 0)
    clamp_min(odd, 1)
    clamp_max(odd, NaN)
    clamp(load, scalar(constant) - 9, time())
    vector(1)
    vector(time())
    scalar(constant)
    scalar(load)
    scalar(nothing_here)
    time()
    pi()
    pi() * 2
    timestamp(load)
    timestamp((temp))
    timestamp(load offset 1m)
    timestamp(temp @ 1700010000)
    timestamp(load + 1)
    absent(load)
    absent(nothing_here)
    absent(nothing_here{a="1",b=~"2",c!="3"})
    absent(nothing_here{a="1",a="2",b="3"})
    absent(sum(nothing_here))
    absent(turns{who="first"})
    absent_over_time(nothing_here{a="1"}[5m])
    absent_over_time(turns{who="first",k=~".*"}[2m])
    absent_over_time(load[1m])
    absent_over_time(sum(turns)[3m:1m])
    -load
    -(load > 0)
    +load
    sort(load)
    sort_desc(load)
    """
)
_DATE_QUERIES = _written(
    "<fn>()\n<fn>(vector(1e9))\n<fn>(load * 1e7)\n<fn>(vector(951782400))\n<fn>(-1e9 * constant)",
    fn=_DATES,
)
_WINDOWS = _written(
    """
    <fn>(calls_total[5m])
    <fn>(calls_total[47s])
    <fn>(load[3m])
    <fn>(odd[4m])
    <fn>(temp[2m] offset 30s)
    <fn>(pushed_total[10m:30s])
    <fn>(load[5m] @ 1700010000)
    """,
    fn=(*_COUNTERS, *_OVER_TIME),
)
_WINDOWS += _written(
    """
    quantile_over_time(<q>, load[5m])
    quantile_over_time(<q>, odd[5m])
    predict_linear(load[5m], <t>)
    predict_linear(calls_total[10m], <t>)
    predict_linear(constant[10m], <t>)
    """,
    q=["0.5", "0", "1", "0.99", "-1", "2", "NaN", "scalar(constant) / 10"],
    t=["60", "0", "-3600", "scalar(constant)"],
)
_WINDOWS += _written(
    """
    holt_winters(load[5m], 0.3, 0.6)
    holt_winters(temp[10m], 0.9, 0.1)
    holt_winters(load[5m], 1, 0.6)
    holt_winters(load[5m], 0.5, 0)
    deriv(constant[5m])
    deriv(odd_nan[5m])
    max_over_time(rate(calls_total[2m])[10m:1m])
    avg_over_time(sum by (agent) (rate(calls_total[1m]))[5m:15s])
    sum_over_time(max_over_time(load[1m])[5m:1m])
    min_over_time((load > 0)[10m:30s])
    rate(calls_total[5m] offset 5m)
    rate(calls_total[5m] offset -5m)
    sum_over_time(load[10m:1m] @ 1700010000)
    sum_over_time((load @ 1700010000)[10m:1m])
    max_over_time(load[5m:1m] offset 3m)
    max_over_time(timestamp(load)[5m:1m])
    last_over_time({__name__=~"load|constant"}[1m])
    rate({__name__=~"latency_(sum|count)"}[5m])
    count_over_time(nothing_here[5m])
    """
)
_AGGREGATIONS = _written(
    """
    <op>(load)
    <op> by (agent) (calls_total)
    <op> by (agent, nothing) (calls_total)
    <op> without (status, tool) (calls_total)
    <op> by (grp) (odd)
    <op>(odd)
    <op> by () (limit)
    <op>(nothing_here)
    <op> by (tool) (rate(calls_total[5m]))
    <op> without (agent) (increase(calls_total[3m]))
    <op>(max_over_time(odd[2m]))
    <op> by (agent) ({__name__=~"load|limit"})
    <op>(load > 0)
    <op>(turns)
    """,
    op=_FOLDS,
)
_AGGREGATIONS += _written(
    """
    quantile(<q>, load)
    quantile by (grp) (<q>, odd)
    quantile without (status) (<q>, rate(calls_total[5m]))
    topk(<k>, load)
    bottomk(<k>, load)
    topk by (agent) (<k>, rate(pushed_total[5m]) + 1)
    bottomk by (grp) (<k>, odd{i=~"0|1"})
    topk without (host) (<k>, load)
    """,
    q=["0.5", "0.9", "0", "1", "-0.1", "1.5"],
    k=["1", "2", "3.7", "0", "-1", "100"],
)
_AGGREGATIONS += _written(
    """
    count_values("v", limit)
    count_values by (agent) ("v", limit)
    count_values without (agent) ("agent", load > 5)
    count_values("value", odd)
    count_values("v", round(load, 5))
    count_values("9bad", load)
    topk(NaN, load)
    topk(scalar(nothing_here), load)
    topk(1e30, load)
    quantile(scalar(constant) / 10, load)
    topk(scalar(turns{who="first"}), load)
    sum(sum by (agent) (calls_total))
    avg by (agent) (sum by (agent, tool) (rate(calls_total[5m])))
    sum by (le) (rate(latency_bucket[5m]))
    """
)
_BINARY = _written(
    """
    load <op> 2
    2 <op> load
    load <op> on (agent) limit
    load <op> ignoring (host) limit
    limit <op> on (agent) group_right load
    load <op> on (agent) group_left limit
    odd <op> 0
    odd <op> odd
    odd <op> on (i) odd_nan
    1 <op> bool 2
    time() <op> 7
    sum(load) <op> max(load)
    load <op> load offset 1m
    -1 <op> 2 ^ 3
    """.replace("1 <op> bool 2", "3 <op> 2"),
    op=_ARITHMETIC,
)
_BINARY += _written(
    """
    load <op> 2
    2 <op> load
    load <op> bool 2
    2 <op> bool load
    1 <op> bool 2
    load <op> on (agent) limit
    load <op> bool on (agent) limit
    limit <op> on (agent) group_right load
    load <op> bool ignoring (host) group_left limit
    odd <op> 1
    odd <op> bool odd
    NaN <op> bool NaN
    turns <op> bool on (k) group_left sum by (k) (turns)
    """,
    op=_COMPARISONS,
)
_BINARY += _written(
    """
    calls_total <op> calls_total{agent="a"}
    calls_total <op> on (agent) load
    load <op> on (agent) calls_total
    load <op> ignoring (host) limit
    turns <op> on (k) vector(1)
    turns{who="first"} <op> on (k) turns{who="second"}
    load <op> nothing_here
    nothing_here <op> load
    odd <op> on (grp) odd{i="1"}
    rate(calls_total[1m]) <op> increase(calls_total[2m])
    (load > 0) <op> (load < 5)
    """,
    op=["and", "or", "unless"],
)
_BINARY += _written(
    """
    calls_total * on (agent) group_left (version) info_metric
    calls_total * on (agent) group_left (version, zone) info_metric
    info_metric * on (agent) group_right (zone) load
    calls_total + on (agent) load
    load + on () limit
    load + on (agent) group_left calls_total
    calls_total / ignoring (status) group_left sum without (status) (calls_total)
    calls_total{status="error"} / ignoring (status) calls_total{status="success"}
    sum by (agent) (rate(calls_total{status="error"}[5m])) / sum by (agent) (rate(calls_total[5m]))
    load + on (host) group_left info_metric
    turns + on (k) vector(1)
    load * on (agent) group_left (host) limit
    sum by (agent) (load) + on (agent) group_left (nothing) limit
    1 + 2 * 3 - 4 / 5 % 6
    2 ^ 3 ^ 2
    -1 ^ 2
    1 / 0
    -1 / 0
    0 / 0
    5 % 0
    -5 % 3
    load % -3
    load > 2 < 5
    load > bool 2 == 1
    Inf - Inf
    0x1F + 1e2
    """
)
_LABELS = _written(
    """
    label_replace(load, "x", "$1", "agent", "(.*)")
    label_replace(load, "x", "${1}y", "agent", "(a|b)")
    label_replace(load, "x", "$1y", "agent", "(a|b)")
    label_replace(load, "agent", "", "agent", ".*")
    label_replace(load, "host", "$2-$1", "host", "(h)([0-9])")
    label_replace(load, "x", "$name", "agent", "(?P<name>.)")
    label_replace(load, "x", "$$1", "agent", "(.)")
    label_replace(load, "x", "fixed", "nothing", "")
    label_replace(load, "x", "fixed", "agent", "nomatch")
    label_replace(load, "agent", "same", "agent", ".*")
    label_replace(load, "9bad", "x", "agent", ".*")
    label_replace(load, "x", "x", "agent", "(")
    label_replace(load, "__name__", "renamed", "agent", "a")
    label_replace(rate(calls_total[5m]), "t", "$1", "tool", "(s).*")
    label_join(load, "x", "-", "agent", "host")
    label_join(load, "x", "", "agent")
    label_join(load, "x", ",", "nothing", "agent", "nothing")
    label_join(load, "agent", "", "nothing")
    label_join(load, "9bad", "", "agent")
    label_join(pushed_total, "x", "/", "source", "path")
    """
)
_HISTOGRAMS = _written(
    """
    histogram_quantile(<q>, latency_bucket)
    histogram_quantile(<q>, rate(latency_bucket[5m]))
    histogram_quantile(<q>, sum by (le) (rate(latency_bucket[5m])))
    histogram_quantile(<q>, sum by (le, agent) (latency_bucket))
    histogram_quantile(<q>, signed_bucket)
    histogram_quantile(<q>, broken_bucket)
    histogram_quantile(<q>, endless_bucket)
    histogram_quantile(<q>, latency_bucket{le=~"1|\\\\+Inf"})
    histogram_quantile(<q>, load)
    """,
    q=["0.5", "0.9", "0", "1", "-1", "2", "NaN", "scalar(constant) / 10"],
)
_LITERALS = ['"a string"', "'it''s'", "`raw \\n`", "42", "-7e-3", "NaN", "(1)", '"\\u00e9"']

TEMPLATES: tuple[str, ...] = tuple(
    dict.fromkeys(
        [
            *_SELECTORS,
            *_MATH,
            *_DATE_QUERIES,
            *_WINDOWS,
            *_AGGREGATIONS,
            *_BINARY,
            *_LABELS,
            *_HISTOGRAMS,
            *_LITERALS,
        ]
    )
)
