"""The reference of PromQL: functions from FUNCTIONS, aggregations, what is refused, limits."""

from __future__ import annotations

import re

from pages.page import page

from agentgauge.errors import NotSupported
from agentgauge.promql.features import FEATURES
from agentgauge.promql.functions import FUNCTIONS, Function
from agentgauge.promql.functions.histogram import native_only
from agentgauge.promql.nodes import Window
from agentgauge.promql.plan import plan
from agentgauge.promql.rewrite import EXPERIMENTAL_AGGREGATES

_PROMQL_HEAD = """
The embedded engine answers the float language of Prometheus 3.14: every selector and matcher, `offset`, `@`,
subqueries, all binary operators with vector matching, all aggregations, every function below, duration arithmetic
(`[5m * 2]`), warnings and infos. How equal that is, and how it is tested: [why](../why/promql.md).

Types: an *instant vector* is one value per series, a *range vector* is what `[5m]` selects, a *scalar* is a number.
""".strip().splitlines()

_AGGREGATIONS = (
    ("sum", ""), ("avg", ""), ("min", ""), ("max", ""), ("count", ""), ("group", ""), ("stddev", ""), ("stdvar", ""),
    ("topk", "k"), ("bottomk", "k"), ("quantile", "φ"), ("count_values", '"label"'), ("limitk", "k"),
    ("limit_ratio", "r"),
)  # fmt: skip

_LIMITS = """
| limit | value | error |
|---|---|---|
| query text | 64 KiB | 400 `bad_data` |
| points per series of a range query | 11,000 | 400 `bad_data` |
| sample cells that a query holds at once | 50 million | 422 `execution` |
| time, waiting and evaluating | `--query-timeout`, 2 min by default | 503 `timeout` |
| queries at once | `--query-concurrency`, 4 by default; the others wait in line | 503 `timeout` |

Regular expressions are RE2's, anchored at both ends, and matched in time linear in the text. Unicode scripts
(`\\p{Greek}`) are refused.
""".strip().splitlines()


def promql_page() -> str:
    """Return the reference of PromQL functions, aggregations and refusals as Markdown."""
    return page(
        "PromQL",
        *_PROMQL_HEAD,
        "",
        "## Functions",
        "",
        "| function | gives | remarks |",
        "|---|---|---|",
        *(
            f"| `{name}({_arguments(f)})` | {_meaning(name, f)} | {_remarks(f)} |"
            for name, f in sorted(FUNCTIONS.items())
        ),
        "",
        "## Aggregations",
        "",
        "`by (label, …)` keeps these labels, `without (label, …)` drops them.",
        "",
        "| aggregation | remarks |",
        "|---|---|",
        *(
            f"| `{name}({f'{param}, ' if param else ''}vector)` | {_EXPERIMENTAL if _is_gated(name) else ''} |"
            for name, param in _AGGREGATIONS
        ),
        "",
        "## What is experimental",
        "",
        "What Prometheus puts behind a feature flag is off, as it is there. The same flag switches it on: for the",
        "server (`agentgauge serve --enable-feature NAME`, repeatable) and for a file that is asked directly",
        "(`agentgauge query --db FILE --enable-feature NAME`). In Python it is an option of the engine.",
        "",
        "| feature | option | what it brings |",
        "|---|---|---|",
        *(f"| `{name}` | `{row.option}` | {row.help} |" for name, row in sorted(FEATURES.items())),
        "",
        "```python",
        "from agentgauge.database import Database",
        "from agentgauge.promql.engine import Options",
        "",
        "with Database.in_memory(options=Options(experimental_functions=True, fill_modifiers=True)) as database:",
        '    print(database.query("max_of(1, 2)", 0).steps.values[0, 0])',
        "```",
        "",
        "## What is refused",
        "",
        "These parse in Prometheus 3.14 and answer 422 here, never a wrong number: they need native histograms or",
        "start timestamps, which are not stored. Ask a Prometheus by its URL instead.",
        "",
        *(re.sub(r"(\S+\(\)|[<>/]{2}|anchored|smoothed)", r"`\1`", f"- {what}") for what in _refused()),
        "",
        "## Limits",
        "",
        *_LIMITS,
    )


_EXPERIMENTAL = "experimental"


def _is_gated(aggregation: str) -> bool:
    return aggregation in EXPERIMENTAL_AGGREGATES


def _refused() -> list[str]:
    found = []
    for word in ("info", "start_timestamp"):
        found.append(_refusal(f"{word}(up)"))
    for modifier in ("anchored", "smoothed"):
        found.append(_refusal(f"rate(up[5m] {modifier})"))
    return [*found, *(_refusal(f"up {operator} 1") for operator in ("</", ">/"))]


def _refusal(text: str) -> str:
    try:
        plan(text, Window(0, 0))
    except NotSupported as error:
        return str(error).partition(" is not supported")[0]
    raise AssertionError(f"{text} is not refused any more: take it out of {__file__}")


_TYPES = {"matrix": "range vector", "vector": "vector", "scalar": "scalar", "string": "string"}


def _arguments(function: Function) -> str:
    shown = [_TYPES[arg] for arg in function.args]
    first_optional = len(shown) - function.optional
    shown = [f"[{arg}]" if nth >= first_optional else arg for nth, arg in enumerate(shown)]
    return ", ".join(shown) + ("…" if function.variadic else "")


_MEANINGS = {
    "abs": "The value without its sign.",
    "absent_over_time": "1 at the steps where no series has a sample in the window.",
    "ceil": "The next whole number up.",
    "deg": "Radians to degrees.",
    "double_exponential_smoothing": "The last value smoothed by Holt's method; needs two samples.",
    "exp": "The power of e.",
    "first_over_time": "The oldest sample.",
    "floor": "The next whole number down.",
    "last_over_time": "The newest sample.",
    "ln": "Natural logarithm.",
    "log10": "Decimal logarithm.",
    "log2": "Binary logarithm.",
    "rad": "Degrees to radians.",
    "sgn": "-1, 0 or 1.",
    "sqrt": "Square root.",
    "timestamp": "The time of each sample, in seconds.",
}
"""What the table cannot take from a kernel's docstring."""

_DATES = {
    "day_of_month": "1 to 31",
    "day_of_week": "0 (Sunday) to 6",
    "day_of_year": "1 to 366",
    "days_in_month": "28 to 31",
    "hour": "0 to 23",
    "minute": "0 to 59",
    "month": "1 to 12",
    "year": "The year",
}


def _meaning(name: str, function: Function) -> str:
    if name in _DATES:
        return f"{_DATES[name]}, UTC, of values in seconds since 1970; of the step's time without an argument."
    if function.call is native_only:
        return "Nothing: it reads native histograms, which are not stored."
    kernel = function.over or function.call
    said = _MEANINGS.get(name) or (kernel.__doc__ if kernel else "") or "The mathematical function of that name."
    first = said.partition("\n")[0].removeprefix("Return ")
    return f"{first[0].upper()}{first[1:]}"


def _remarks(function: Function) -> str:
    remarks = []
    if function.experimental:
        remarks.append(_EXPERIMENTAL)
    if function.returns == "scalar":
        remarks.append("a scalar")
    if function.min_samples > 1 and "two samples" not in _meaning("", function):
        remarks.append(f"at least {function.min_samples} samples in the window")
    if function.keeps_name:
        remarks.append("keeps the metric's name")
    return "; ".join(remarks)
