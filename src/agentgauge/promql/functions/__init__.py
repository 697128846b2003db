"""FUNCTIONS: what PromQL can call: argument types, result, flags, kernel. A new function is a row.

Two shapes of kernel. ``over`` folds the windows of a range vector: (windows, *scalars) -> values. ``call`` takes
(scope, call, args) with evaluated arguments. A function with neither is handled by the engine by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from agentgauge.promql.functions import elementwise, histogram, labels, over_time, rate, time, trends
from agentgauge.promql.functions.elementwise import CallKernel, mapped
from agentgauge.promql.functions.time import date_part
from agentgauge.promql.selectors import Kernel
from agentgauge.promql.windows import Windows

ArgType = Literal["vector", "matrix", "scalar", "string"]


@dataclass(frozen=True, slots=True)
class Function:
    """One row of the table.

    ``args`` are the argument types; the last ``optional`` of them may be missing, and with ``variadic`` the last one
    repeats, down to not at all. ``min_samples``: what a window needs. ``keeps_name``: the metric's name stays.
    ``varies``: the value changes with the step even over a pinned argument.
    """

    args: tuple[ArgType, ...]
    over: Kernel | None = None
    call: CallKernel | None = None
    returns: Literal["vector", "scalar"] = "vector"
    optional: int = 0
    variadic: bool = False
    experimental: bool = False
    min_samples: int = 1
    keeps_name: bool = False
    varies: bool = False


def _over(
    kernel: Kernel, *, n: int = 1, extra: int = 0, first: bool = False, keeps: bool = False,
    varies: bool = False, new: bool = False,
) -> Function:  # fmt: skip
    scalars: list[ArgType] = ["scalar"] * extra
    args: tuple[ArgType, ...] = (*scalars, "matrix") if first else ("matrix", *scalars)
    return Function(args, over=kernel, min_samples=n, keeps_name=keeps, varies=varies, experimental=new)


def _math(fn: object) -> Function:
    return Function(("vector",), call=mapped(fn))  # type: ignore[arg-type]


def _date(part: object) -> Function:
    return Function(("vector",), call=date_part(part), optional=1, varies=True)  # type: ignore[arg-type]


def _call(kernel: CallKernel | None, *args: ArgType, **flags: object) -> Function:
    return Function(args, call=kernel, **flags)  # type: ignore[arg-type]


FUNCTIONS: dict[str, Function] = {
    "abs": _math(np.abs),
    "absent": _call(elementwise.absent, "vector"),
    "absent_over_time": _call(None, "matrix"),
    "acos": _math(np.arccos),
    "acosh": _math(np.arccosh),
    "asin": _math(np.arcsin),
    "asinh": _math(np.arcsinh),
    "atan": _math(np.arctan),
    "atanh": _math(np.arctanh),
    "avg_over_time": _over(over_time.avg_over_time),
    "ceil": _math(np.ceil),
    "changes": _over(rate.changes),
    "clamp": _call(elementwise.clamp, "vector", "scalar", "scalar"),
    "clamp_max": _call(elementwise.clamp_max, "vector", "scalar"),
    "clamp_min": _call(elementwise.clamp_min, "vector", "scalar"),
    "cos": _math(np.cos),
    "cosh": _math(elementwise.cosh),
    "count_over_time": _over(over_time.count_over_time),
    "day_of_month": _date(time.day_of_month),
    "day_of_week": _date(time.day_of_week),
    "day_of_year": _date(time.day_of_year),
    "days_in_month": _date(time.days_in_month),
    "deg": _math(elementwise.degrees),
    "delta": _over(rate.delta, n=2),
    "deriv": _over(trends.deriv, n=2),
    "double_exponential_smoothing": _over(trends.double_exponential_smoothing, n=2, extra=2, new=True),
    "exp": _math(np.exp),
    "first_over_time": _over(Windows.first, keeps=True),
    "floor": _math(np.floor),
    "histogram_avg": _call(histogram.native_only, "vector"),
    "histogram_count": _call(histogram.native_only, "vector"),
    "histogram_fraction": _call(histogram.histogram_fraction, "scalar", "scalar", "vector"),
    "histogram_quantile": _call(histogram.histogram_quantile, "scalar", "vector"),
    "histogram_quantiles": _call(
        histogram.histogram_quantiles, "vector", "string", "scalar", "scalar", variadic=True, experimental=True
    ),
    "histogram_stddev": _call(histogram.native_only, "vector"),
    "histogram_stdvar": _call(histogram.native_only, "vector"),
    "histogram_sum": _call(histogram.native_only, "vector"),
    "hour": _date(time.hour),
    "idelta": _over(rate.idelta, n=2),
    "increase": _over(rate.increase, n=2),
    "irate": _over(rate.irate, n=2),
    "label_join": _call(labels.label_join, "vector", "string", "string", "string", variadic=True, keeps_name=True),
    "label_replace": _call(labels.label_replace, "vector", "string", "string", "string", "string", keeps_name=True),
    "last_over_time": _over(Windows.last, keeps=True),
    "ln": _math(np.log),
    "log10": _math(np.log10),
    "log2": _math(np.log2),
    "mad_over_time": _over(over_time.mad_over_time, new=True),
    "max_of": _call(elementwise.max_of, "scalar", "scalar", returns="scalar", experimental=True),
    "max_over_time": _over(over_time.max_over_time),
    "min_of": _call(elementwise.min_of, "scalar", "scalar", returns="scalar", experimental=True),
    "min_over_time": _over(over_time.min_over_time),
    "minute": _date(time.minute),
    "month": _date(time.month),
    "pi": _call(elementwise.pi, returns="scalar"),
    "predict_linear": _over(trends.predict_linear, n=2, extra=1, varies=True),
    "present_over_time": _over(over_time.present_over_time),
    "quantile_over_time": _over(over_time.quantile_over_time, extra=1, first=True),
    "rad": _math(elementwise.radians),
    "rate": _over(rate.rate, n=2),
    "resets": _over(rate.resets),
    "round": _call(elementwise.rounded, "vector", "scalar", optional=1),
    "scalar": _call(elementwise.scalar, "vector", returns="scalar"),
    "sgn": _math(elementwise.sgn),
    "sin": _math(np.sin),
    "sinh": _math(elementwise.sinh),
    "sort": _call(elementwise.sort, "vector", keeps_name=True),
    "sort_by_label": _call(labels.sort_by_label, "vector", "string", variadic=True, keeps_name=True, experimental=True),
    "sort_by_label_desc": _call(
        labels.sort_by_label_desc, "vector", "string", variadic=True, keeps_name=True, experimental=True
    ),
    "sort_desc": _call(elementwise.sort_desc, "vector", keeps_name=True),
    "sqrt": _math(np.sqrt),
    "stddev_over_time": _over(over_time.stddev_over_time),
    "stdvar_over_time": _over(over_time.stdvar_over_time),
    "sum_over_time": _over(over_time.sum_over_time),
    "tan": _math(np.tan),
    "tanh": _math(np.tanh),
    "time": _call(time.time, returns="scalar", varies=True),
    "timestamp": _call(time.timestamp, "vector", varies=True),
    "ts_of_first_over_time": _over(over_time.ts_of_first_over_time, new=True),
    "ts_of_last_over_time": _over(over_time.ts_of_last_over_time, new=True),
    "ts_of_max_over_time": _over(over_time.ts_of_max_over_time, new=True),
    "ts_of_min_over_time": _over(over_time.ts_of_min_over_time, new=True),
    "vector": _call(elementwise.vector, "scalar"),
    "year": _date(time.year),
}
"""All functions by name. The planner folds ``start end range step`` to numbers and refuses ``info`` and kin."""
