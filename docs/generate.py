"""Write the reference pages that are made from tables: ``./dev docs``. A test compares them with what is committed."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, get_overloads

import click

import agentgauge
from agentgauge import errors, testing
from agentgauge.cli import COMMANDS
from agentgauge.database import Database
from agentgauge.errors import NotSupported
from agentgauge.model.metrics import LABEL_LIMITS, METRICS, OTHER, SERIES_LIMIT, Metric
from agentgauge.promql.functions import FUNCTIONS, Function
from agentgauge.promql.functions.histogram import native_only
from agentgauge.promql.rewrite import EXPERIMENTAL_AGGREGATES

REFERENCE = Path(__file__).resolve().parent / "reference"

GENERATED = "<!-- Made by docs/generate.py: edit the table it is made from, then run ./dev docs. -->"

# --- metrics ---------------------------------------------------------------------------------------------------------


def metrics_page() -> str:
    """Return the reference of all metrics as Markdown."""
    ours = [metric for metric in METRICS.values() if metric.name.startswith("agentgauge_")]
    users = [metric for metric in METRICS.values() if metric not in ours]
    limits = ", ".join(f"{label} {limit}" for label, limit in sorted(LABEL_LIMITS.items()))
    return _page(
        "Metrics",
        "Made from the table `METRICS` in `model/metrics.py`. Names and labels are an API: within a major version none",
        "is renamed and none loses a label. A histogram has three names: `…_bucket`, `…_sum` and `…_count`.",
        "",
        "## What users measure",
        "",
        *_metrics_table(users),
        "",
        "## What the monitor says about itself",
        "",
        *_metrics_table(ours),
        "",
        "## Limits",
        "",
        f"Distinct label values per process: {limits}; {SERIES_LIMIT:,} series in all. What is one too many, or",
        f"looks unbounded (UUIDs, long digits, over 128 characters), becomes `{OTHER}` and is counted in",
        "`agentgauge_labels_folded_total`. See [bound labels and buckets](../how-to/bound-labels-and-buckets.md).",
        "",
        "## Buckets",
        "",
        *(f"- `{m.name}`: {' '.join(f'{b:g}' for b in m.buckets)}" for m in METRICS.values() if m.buckets),
    )


def _metrics_table(metrics: list[Metric]) -> list[str]:
    head = ["| metric | type | labels | meaning | OpenTelemetry |", "|---|---|---|---|---|"]
    return head + [
        f"| `{m.name}` | {m.type} | {', '.join(m.labels)} | {m.help} | {f'`{m.otel}`' if m.otel else ''} |"
        for m in metrics
    ]


# --- commands --------------------------------------------------------------------------------------------------------


def commands_page() -> str:
    """Return the reference of all commands and flags as Markdown."""
    return _page(
        "Commands",
        "`agentgauge --help` lists the commands, `agentgauge COMMAND --help` the flags of one. A command ends with 0;",
        "with 1 and one sentence on stderr when it could not do its work; with 2 when it was typed wrong. Durations",
        "are written as Prometheus writes them (`250ms`, `5s`, `1h30m`, `15d`) or as a number of seconds.",
        "",
        "Commands that ask (`--url`, `--db`, `--server`) ask the local server unless told otherwise. Headers that a",
        "remote server wants, such as a tenant, stand in the environment, where no process list shows them:",
        "`AGENTGAUGE_BACKEND_HEADERS='X-Scope-OrgID: team'`.",
        "",
        *(line for name in sorted(COMMANDS) for line in _command(_loaded(name), f"agentgauge {name}", 2)),
    )


def _loaded(name: str) -> click.Command:
    command: click.Command = import_module(COMMANDS[name][0]).command
    return command


def _command(command: click.Command, path: str, level: int) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    yield from (f"{'#' * level} {path}", "", *_help(command))
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from _command(command.commands[name], f"{path} {name}", level + 1)
        return
    pieces = " ".join(command.collect_usage_pieces(context)).replace("[OPTIONS]", "[FLAGS]")
    yield from (f"`{path} {pieces}`".replace(" `", "`"), "")
    rows = [_flag(param, context, path) for param in command.params if isinstance(param, click.Option)]
    if rows:
        yield from ("| flag | meaning |", "|---|---|", *rows, "")


def _help(command: click.Command) -> Iterator[str]:
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        kept = paragraph.removeprefix("\b\n")
        yield from (
            ("```sh", *kept.splitlines(), "```", "") if kept != paragraph else (paragraph.replace("<", "\\<"), "")
        )


def _flag(option: click.Option, context: click.Context, path: str) -> str:
    record = option.get_help_record(context)
    assert record is not None, f"{path} {option.name} is hidden"
    names, meaning = (text.replace("|", "\\|") for text in record)
    meaning = re.sub(r"\s*\[default: ([^\]]*)\]", r" Default: \1.", meaning)
    meaning = (
        re.sub(r" *([;[]) ?(\d+(?:\.\d+)?)?(?:<=)?x[<>]=(\d+(?:\.\d+)?)\]?\.?", _bounds, meaning)
        .replace("<", "\\<")
        .strip()
    )
    return f"| `{names.replace(' / ', '`, `').replace(' RANGE', '')}` | {meaning} |"


def _bounds(found: re.Match[str]) -> str:
    low, high = (found[2], found[3]) if found[2] else (found[3], "")
    says = f"{low} to {high}" if high else f"{low} or more"
    return f"; {says}." if found[1] == ";" else f" {says[:1].upper()}{says[1:]}."


# --- PromQL ----------------------------------------------------------------------------------------------------------

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
    return _page(
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
        "What Prometheus puts behind a feature flag is off in the server, as it is there. In Python it is one option:",
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
        import_module("agentgauge.promql.plan").plan(text, import_module("agentgauge.promql.nodes").Window(0, 0))
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


# --- Python ----------------------------------------------------------------------------------------------------------

_PYTHON_HEAD = """
```python
import agentgauge as ag
```

Recording needs `prometheus-client` and Python 3.10; `agentgauge.database` needs `pip install 'agentgauge[server]'` and
Python 3.11. `task`, `llm_call`, `tool_call` and `wait` return the same kind of thing: a block (`with`, `async with`), a
decorator (functions, coroutines, generators, async generators), or, with `.start()`, an operation that you end with
`.finish()` or `.fail(error)`. None of them ever raises into your code.
""".strip().splitlines()


_EXAMPLES = {
    "LLMOperation": """with ag.llm_call(model="my-model") as call:
    for part in stream:  # of a client that has no hook
        call.first_token()
    call.usage(prompt=412, completion=96)""",
    "TaskOperation": """with ag.task(agent="researcher") as task:
    print(task.task_id)""",
    "ToolOperation": """call = ag.tool_call("render").start()
try:
    render()
    call.finish()
except Exception as error:
    call.fail(error)
    raise""",
    "WaitOperation": """waiting = ag.wait("approval").start()
approved.wait()
waiting.finish()""",
}
"""Of classes that are not made by hand: where they come from, and what for."""


def python_page() -> str:
    """Return the reference of the public Python names as Markdown."""
    names = sorted(agentgauge.__all__, key=lambda name: (inspect.isclass(getattr(agentgauge, name)), name))
    lines = [
        line for name in names if name != "__version__" for line in _object(f"ag.{name}", getattr(agentgauge, name))
    ]
    return _page(
        "Python API",
        *_PYTHON_HEAD,
        "",
        *lines,
        "## ag.\\_\\_version\\_\\_",
        "",
        "The version of agentgauge, a `str`.",
        "",
        *_module(testing, testing.__all__),
        *_object("agentgauge.database.Database", Database),
        "## agentgauge.errors",
        "",
        *_fenced("text", inspect.getdoc(errors) or ""),
    )


def _module(module: ModuleType, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield from _object(f"{module.__name__}.{name}", getattr(module, name))


def _object(name: str, found: Any, level: int = 2) -> Iterator[str]:
    yield from (f"{'#' * level} {name}", "")
    if not inspect.isclass(found):
        forms = get_overloads(found)[-1:] or [found]
        yield from _fenced("text", "\n".join(f"{name.rpartition('.')[2]}{_signature(form)}" for form in forms))
    yield from _docstring(inspect.getdoc(found) or "")
    if inspect.isclass(found):
        if found.__name__ in _EXAMPLES:
            yield from _fenced("python", _EXAMPLES[found.__name__])
        for method, member in _methods(found):
            yield f"- `{method}{_signature(member)}`: {(inspect.getdoc(member) or '').partition(chr(10))[0]}"
        yield ""


def _methods(found: type) -> Iterator[tuple[str, Any]]:
    for name, member in vars(found).items():
        plain = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
        if not name.startswith("_") and inspect.isfunction(plain):
            yield name, plain


def _signature(found: Any) -> str:
    signature = inspect.signature(found)
    shown = [_parameter(p) for p in signature.parameters.values() if p.name not in {"self", "cls"}]
    kinds = [p.kind for p in signature.parameters.values() if p.name not in {"self", "cls"}]
    if inspect.Parameter.KEYWORD_ONLY in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        shown.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    return f"({', '.join(shown)}) -> {_annotation(signature.return_annotation)}"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    shown = f"{stars}{parameter.name}: {_annotation(parameter.annotation)}"
    if parameter.default is inspect.Parameter.empty:
        return shown
    default = parameter.default
    return f"{shown} = {'...' if inspect.isfunction(default) else repr(default)}"


def _annotation(annotation: object) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _docstring(text: str) -> Iterator[str]:
    """Turn a Google-style docstring into Markdown: examples become code, sections lists."""
    head, *sections = re.split(
        r"^(Example|Args|Attributes|Raises|Thread-safety|Absent|Units):+ *", text, flags=re.MULTILINE
    )
    yield from (*head.strip().splitlines(), "")
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        content = inspect.cleandoc("\n" + body) if body.startswith("\n") else body.strip()
        if title == "Example":
            yield from _fenced("pycon" if ">>>" in content else "python", content)
        elif title in {"Args", "Attributes", "Raises"}:
            yield from (f"{title}:", "", *_entries(content), "")
        else:
            yield from (f"{title}: {content}", "")


def _entries(content: str) -> Iterator[str]:
    for entry in re.split(r"\n(?=\S)", content):
        name, _, meaning = " ".join(entry.split()).partition(": ")
        yield f"- `{name}`: {meaning}"


def _fenced(language: str, text: str) -> tuple[str, ...]:
    return (f"```{language}", *text.splitlines(), "```", "")


# ---------------------------------------------------------------------------------------------------------------------


def _page(title: str, *lines: str) -> str:
    text = "\n".join([f"# {title}", "", GENERATED, "", *(_plain_code(line) for line in lines)])
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def _plain_code(line: str) -> str:
    return re.sub(r"(?<!`)``([^`]+)``(?!`)", r"`\1`", line)


PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands_page,
    "metrics.md": metrics_page,
    "promql.md": promql_page,
    "python-api.md": python_page,
}
"""File name below docs/reference -> the function that writes it."""


def main() -> None:
    """Write all pages."""
    for name, write in PAGES.items():
        (REFERENCE / name).write_text(write(), encoding="utf-8")


if __name__ == "__main__":
    main()
