"""The answer of ``agentgauge why`` on a terminal: a sentence and three small tables per agent."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agentgauge.why.answer import AgentAnswer, Answer, Part
from agentgauge.why.decompose import Change, Decomposition
from agentgauge.why.queries import FACTS
from agentgauge.why.words import (
    column,
    column_range,
    counted,
    name_of,
    number,
    percent,
    percent_range,
    seconds,
    span_of_time,
    times,
)

WIDE = 110
"""Columns from which the tables also show calls and bars."""

MAX_ROWS = 12
LEAST_SHOWN = 0.005
BAR = 10

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_FATES = {"useful": "useful", "repeated": "repeated", "retried": "thrown away", "failed_task": "in failed tasks"}


def print_answer(console: Console, answer: Answer) -> None:
    """Print every agent's answer, or what is missing for one."""
    if answer.missing is not None:
        console.print(Text(answer.missing.says, "bold"))
        console.print(answer.missing.do, markup=False)
        return
    for nth, agent in enumerate(answer.agents):
        if nth:
            console.print()
        _print_agent(console, agent, answer)


def print_promql(console: Console, queries: Mapping[str, str]) -> None:
    """Print the queries, each under what it asks for, ready to paste."""
    for fact_id, expr in queries.items():
        console.print(Text(f"# {FACTS[fact_id].what}", "dim"))
        console.out(expr, highlight=False)


def _print_agent(console: Console, agent: AgentAnswer, answer: Answer) -> None:
    console.rule(
        Text.assemble(
            (agent.agent, "bold"), f"  {counted(agent.n_tasks, 'task')} in the last {span_of_time(answer.window_ms)}"
        ),
        align="left",
    )
    console.print(Text(agent.sentence))
    for caveat in agent.caveats:
        console.print(Text(f"Note: {caveat}", "yellow"))
    _print_under(console, f"Where {seconds(agent.mean_s)} a task go", _parts_table(console, agent, answer.k))
    if agent.slow is not None:
        _print_under(console, _slow_title(agent.slow), _slow_table(console, agent.slow))
    lines = _waste_lines(agent)
    if lines:
        _print_under(console, "Waste", Text("\n").join(lines))


def _print_under(console: Console, title: str, body: Table | Text) -> None:
    console.print()
    console.print(Text(title, "bold cyan"))
    console.print(Padding(body, (0, 0, 0, 2)))


def _parts_table(console: Console, agent: AgentAnswer, k: float) -> Table:
    wide = console.width >= WIDE
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1))
    table.add_column("on the critical path", overflow="fold", ratio=1 if not wide else None)
    if wide:
        table.add_column("", no_wrap=True)
    for head in ("share", "time"):
        table.add_column(head, justify="right", no_wrap=True)
    if wide:
        table.add_column("calls", justify="right", no_wrap=True)
        table.add_column("per call", justify="right", no_wrap=True)
    table.add_column("alone", justify="right", no_wrap=True)
    table.add_column(f"{times(k)} faster saves", no_wrap=True)
    if any(_queue_share(part, agent.mean_s) for part in agent.parts):
        table.add_column("+ queue", justify="right", no_wrap=True)
    first = agent.bottleneck.key if agent.bottleneck is not None else None
    shown = [part for part in agent.parts[:MAX_ROWS] if part.path_s >= LEAST_SHOWN * agent.mean_s]
    for part in shown:
        _add_part(table, part, agent.mean_s, wide, "bold" if part.key == first else "")
    for part in agent.models:
        _add_part(table, part, agent.mean_s, wide, "dim", "all of {}")
    left = agent.parts[len(shown) :]
    if left:
        rest_s = sum(part.path_s for part in left)
        bar = [Text("")] if wide else []
        table.add_row(f"{len(left)} more", *bar, percent(rest_s / agent.mean_s), column(rest_s, agent.mean_s))
    return table


def _add_part(table: Table, part: Part, mean_s: float, wide: bool, style: str, form: str = "{}") -> None:
    share = part.path_s / mean_s
    cells = [Text(form.format(name_of(part.key)))]
    if wide:
        cells.append(Text(_bar(share), "cyan"))
    cells += [Text(percent(share)), Text(column(part.path_s, mean_s))]
    if wide:
        is_called = part.calls and part.key[0] != "own"
        cells += [Text(number(part.calls)), Text(seconds(part.call_s))] if is_called else [Text("–"), Text("–")]
    alone = "–" if part.alone_s is None else percent(min(part.alone_s, part.path_s) / mean_s)
    cells += [Text(alone), _saves(part, mean_s)]
    if len(table.columns) > len(cells):
        cells.append(Text(_queue_share(part, mean_s), "dim"))
    table.add_row(*cells, style=style)


def _saves(part: Part, mean_s: float) -> Text:
    gain = part.what_if
    if gain.low_s is None:
        return Text(f"not valid: {gain.reason}", "yellow")
    if gain.high_s is None:
        return Text(f"at least {percent(gain.low_s / mean_s)}, {seconds(gain.low_s)}", "yellow")
    share = percent_range(gain.low_s / mean_s, gain.direct_s / mean_s)
    return Text(f"{share}: {column_range(gain.low_s, gain.direct_s, mean_s)}")


def _queue_share(part: Part, mean_s: float) -> str:
    """Return the upper end if the waits for it vanish, empty where there are none."""
    gain = part.what_if
    return percent(gain.high_s / mean_s) if gain.high_s is not None and gain.high_s > gain.direct_s else ""


def _bar(share: float) -> str:
    eighths = round(min(1.0, share) * BAR * 8)
    full, rest = divmod(eighths, 8)
    return (_EIGHTHS[8] * full + (_EIGHTHS[rest] if rest else "")).ljust(BAR)


def _slow_title(slow: Decomposition) -> str:
    n_slow, n_all = slow.after.n_tasks, slow.before.n_tasks + slow.after.n_tasks
    return (
        f"Why {n_slow:.0f} of {n_all:.0f} tasks are slow: {seconds(slow.after.mean_s)} against"
        f" {seconds(slow.before.mean_s)}, {_signed(slow.gap_s, slow.gap_s)}"
    )


def _slow_table(console: Console, slow: Decomposition) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1))
    table.add_column("", overflow="fold", ratio=1 if console.width < WIDE else None)
    for head in ("calls a task", "time a call", "more calls", "slower calls"):
        table.add_column(head, justify="right", no_wrap=True)
    for change in slow.changes[:MAX_ROWS]:
        table.add_row(*_change_cells(change, slow.gap_s))
    rest = slow.changes[MAX_ROWS:]
    if rest:
        table.add_row(f"{len(rest)} more", "", "", *_sums(rest, slow.gap_s))
    table.add_row("sum", "", "", *_sums(slow.changes, slow.gap_s), style="bold")
    return table


def _change_cells(change: Change, gap_s: float) -> list[Text]:
    return [
        Text(name_of(change.key)),
        Text(f"{number(round(change.calls_before, 2))} → {number(round(change.calls_after, 2))}"),
        Text(f"{seconds(change.call_s_before)} → {seconds(change.call_s_after)}"),
        Text(_signed(change.more_calls_s, gap_s)),
        Text(_signed(change.slower_calls_s, gap_s)),
    ]


def _sums(changes: tuple[Change, ...], gap_s: float) -> list[str]:
    more_s = sum(change.more_calls_s for change in changes)
    return [_signed(more_s, gap_s), _signed(sum(change.slower_calls_s for change in changes), gap_s)]


def _signed(value_s: float, scale_s: float) -> str:
    shown = column(abs(value_s), scale_s)
    return f"{'+' if value_s > 0 else '−'}{shown}" if any(digit in shown for digit in "123456789") else "0"


def _waste_lines(agent: AgentAnswer) -> list[Text]:
    waste, lines = agent.waste, []
    if waste.tokens:
        shares = [
            f"{words} {percent(waste.fates[fate] / waste.tokens)}"
            for fate, words in _FATES.items()
            if fate in waste.fates
        ]
        lines.append(Text(f"tokens: {', '.join(shares)} of {waste.tokens:,.0f}"))
    lines += [
        Text(
            f"repeated: {counted(one.per_task, 'call')} of {name_of(one.key)} a task ({percent(one.share)} of them),"
            f" about {seconds(one.cost_s)} with their turns"
        )
        for one in waste.repeats[:3]
    ]
    if waste.retry_s or waste.backoff_s:
        lines.append(
            Text(f"retries: {seconds(waste.retry_s)} in failed attempts, {seconds(waste.backoff_s)} in back-off")
        )
    return lines
