"""A tick: everything that moved on the page, evaluated at one time, as one JSON body.

The event stream sends a tick to all clients of a view; ``/api/overview`` answers with one. Tiles and table columns are
in every tick; chart values are evaluated at the charts' own steps and come with the first tick after one, so that a
page that grew tick by tick shows the same picture as one that was loaded just now.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

from agentgauge.backends.backend import Backend
from agentgauge.errors import AgentgaugeError
from agentgauge.model.labels import METRIC_NAME
from agentgauge.model.series import Result
from agentgauge.server.overview import (
    EXTRA_QUERIES,
    Facts,
    component_words,
    gather_ever_seen,
    largest_share,
    level,
    sentence,
)
from agentgauge.view.panels import PANELS, Display, Panel, fill, rate_window_s

Values: TypeAlias = list[tuple[dict[str, str], float | None]]
"""Labels and value of each series at one time; None where the value is no finite number."""

Asked: TypeAlias = tuple[str, int]
"""An expression and the time at which it is asked, ms."""

TILE_WINDOW_S = 60.0
_EXTRA_PANEL_ID = "tasks_rate"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one query: values, or the message of an error."""

    values: Values
    error: str = ""


async def compute_tick(backend: Backend, display: Display, t_ms: int, *, charts_ms: int | None = None) -> bytes:
    """Evaluate tiles and columns at ``t_ms``, charts at ``charts_ms`` or not at all; return the tick's JSON.

    Never raises for a query that fails: its message stands in the tick.
    """
    previous_ms = t_ms - round(1000 * rate_window_s(display.step_s, display.interval_s, TILE_WINDOW_S))
    shown = [panel for panel in PANELS.values() if panel.page == "overview"]
    times = {panel.id: charts_ms if panel.kind == "chart" else t_ms for panel in shown}
    panels = [(panel, at_ms) for panel in shown if (at_ms := times[panel.id]) is not None]
    tiles = [panel for panel, _ in panels if panel.kind == "tile"]
    wanted = {(expr, at_ms) for panel, at_ms in panels for expr in _filled(panel, display)}
    wanted |= {(expr, previous_ms) for panel in tiles for expr in _filled(panel, display)}
    wanted |= {(expr, t_ms) for expr in _extra(display).values()}
    answers, (seen, error) = await asyncio.gather(_ask_all(backend, wanted), gather_ever_seen(backend))
    facts = _facts(answers, display, t_ms, ever_seen=seen, error=error)
    return orjson.dumps(
        {
            "t_ms": t_ms,
            "previous_ms": previous_ms,
            "charts_ms": charts_ms,
            "sentence": sentence(facts),
            "level": level(facts),
            "facts": _facts_json(facts),
            "values": {panel.id: _values_json(panel, answers, display, at_ms) for panel, at_ms in panels},
            "previous": {panel.id: _values_json(panel, answers, display, previous_ms) for panel in tiles},
            "errors": _errors_json(panels, answers, display),
        }
    )


def values_of(result: Result) -> Values:
    """Return labels and value of each series of an instant result, without the metric's name."""
    steps = result.steps
    if steps.values.shape[1] == 0:
        return []
    rows = zip(steps.labels, steps.values[:, -1].tolist(), steps.present[:, -1].tolist(), strict=True)
    return [
        ({name: text for name, text in labels if name != METRIC_NAME}, value if math.isfinite(value) else None)
        for labels, value, present in rows
        if present
    ]


async def _ask_all(backend: Backend, wanted: Iterable[Asked]) -> dict[Asked, Answer]:
    asked = sorted(wanted)
    answers = await asyncio.gather(*(_ask(backend, expr, t_ms) for expr, t_ms in asked))
    return dict(zip(asked, answers, strict=True))


async def _ask(backend: Backend, expr: str, t_ms: int) -> Answer:
    try:
        return Answer(values_of(await backend.query(expr, t_ms)))
    except AgentgaugeError as error:
        return Answer([], str(error))


def _filled(panel: Panel, display: Display) -> Sequence[str]:
    return [fill(panel, query.expr, display) for query in panel.queries]


def _extra(display: Display) -> Mapping[str, str]:
    panel = PANELS[_EXTRA_PANEL_ID]
    return {fact: fill(panel, expr, display) for fact, expr in EXTRA_QUERIES.items()}


def _facts(answers: Mapping[Asked, Answer], display: Display, t_ms: int, *, ever_seen: bool, error: str) -> Facts:
    def of_panel(panel_id: str) -> Values:
        return answers[_filled(PANELS[panel_id], display)[0], t_ms].values

    counts = {fact: _count(answers[expr, t_ms].values) for fact, expr in _extra(display).items()}
    return Facts(
        ever_seen=ever_seen,
        tasks_per_s=_one(of_panel("tasks_rate")),
        task_p95_s=_one(of_panel("task_p95")),
        failure_ratio=_one(of_panel("failure_ratio")),
        bottleneck=largest_share(of_panel("bottleneck")),
        error=error,
        **counts,
    )


def _one(values: Values) -> float | None:
    return values[0][1] if values else None


def _count(values: Values) -> int | None:
    value = _one(values)
    return None if value is None else round(value)


def _values_json(panel: Panel, answers: Mapping[Asked, Answer], display: Display, t_ms: int) -> list[list[Any]]:
    """Return per query the list of ``[labels, value]``, with a third item, the word, where a panel picks by legend."""
    picks = panel.hints.get("pick") == "largest"
    return [
        [
            [labels, value, component_words(labels.get("component", ""), labels.get("name", ""))]
            if picks
            else [labels, value]
            for labels, value in answers[expr, t_ms].values
        ]
        for expr in _filled(panel, display)
    ]


def _errors_json(
    panels: Iterable[tuple[Panel, int]], answers: Mapping[Asked, Answer], display: Display
) -> dict[str, str]:
    errors = {
        panel.id: next(filter(None, (answers[expr, at_ms].error for expr in _filled(panel, display))), "")
        for panel, at_ms in panels
    }
    return {panel_id: message for panel_id, message in errors.items() if message}


def _facts_json(facts: Facts) -> dict[str, object]:
    share = facts.bottleneck
    return {
        "ever_seen": facts.ever_seen,
        "n_agents": facts.n_agents,
        "n_running": facts.n_running,
        "n_targets": facts.n_targets,
        "n_targets_down": facts.n_targets_down,
        "bottleneck": share and {"words": component_words(share.component, share.name), "ratio": share.ratio},
    }
