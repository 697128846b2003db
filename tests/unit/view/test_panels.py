import re

import pytest

from agentgauge.model.metrics import METRICS
from agentgauge.view.panels import PANELS, Display, fill, legend_of, metric_names, rate_window_s, step_for

PANEL_IDS = sorted(PANELS)
DISPLAY = Display(range_s=900, step_s=5, interval_s=5)


@pytest.mark.parametrize("panel_id", PANEL_IDS)
def test_panels_read_only_metrics_that_exist(panel_id: str) -> None:
    """Every metric of every query stands in METRICS."""
    names = PANELS[panel_id].metrics
    assert names
    assert set(names) <= set(METRICS)


@pytest.mark.parametrize("panel_id", PANEL_IDS)
def test_panels_group_only_by_labels_that_their_metrics_have(panel_id: str) -> None:
    """A ``by`` label that a metric lacks would fold everything into one series without a word."""
    panel = PANELS[panel_id]
    for query in panel.queries:
        if "label_replace" in query.expr:
            continue
        for clause in re.findall(r"by \(([^)]*)\)", query.expr):
            for label in {part.strip() for part in clause.split(",")} - {"le", "instance"}:
                assert all(label in METRICS[name].labels for name in metric_names(query.expr)), (panel.id, label)


@pytest.mark.parametrize("panel_id", PANEL_IDS)
def test_panels_say_what_they_are(panel_id: str) -> None:
    """Title, question, unit, help and where the data comes from are given, and a drill leads somewhere."""
    panel = PANELS[panel_id]
    assert panel.title
    assert panel.question.endswith("?")
    assert panel.unit
    assert panel.help.endswith(".")
    assert panel.source
    assert panel.hints.get("drill", "agents") in {*PANELS, "agents"}


def test_the_overview_has_five_tiles_and_six_charts() -> None:
    """What a person sees in the first ten seconds."""
    kinds = [panel.kind for panel in PANELS.values() if panel.page == "overview"]
    assert (kinds.count("tile"), kinds.count("chart"), kinds.count("column")) == (5, 6, 6)


@pytest.mark.parametrize("panel_id", PANEL_IDS)
def test_filling_leaves_no_placeholder(panel_id: str) -> None:
    """After ``fill`` an expression is PromQL; only label_replace's ``$1`` keeps a dollar."""
    panel = PANELS[panel_id]
    for query in panel.queries:
        assert "$" not in fill(panel, query.expr, DISPLAY).replace('"$1"', "")


def test_an_agent_name_cannot_break_out_of_its_quotes() -> None:
    """Quotes and backslashes of an agent's name are escaped."""
    panel = PANELS["tasks_rate"]
    display = Display(900, 5, 5, agent='a"} or vector(1) or x{y="\\')
    assert r'agent=~"a\"} or vector(1) or x{y=\"\\"' in fill(panel, panel.queries[0].expr, display)


@pytest.mark.parametrize(
    ("range_s", "interval_s", "step_s"),
    [(300, 1, 1), (900, 5, 5), (3600, 5, 15), (86_400, 5, 290), (900, 1, 3), (10, 15, 15)],
)
def test_steps_are_whole_intervals(range_s: float, interval_s: float, step_s: float) -> None:
    """About 300 steps, each a whole number of scrape intervals, at least one."""
    assert step_for(range_s, interval_s) == step_s


def test_the_rate_window_holds_four_scrapes_and_a_step() -> None:
    """Grafana's rule, with a floor against dust."""
    assert rate_window_s(5, 5) == 20
    assert rate_window_s(290, 5) == 295
    assert rate_window_s(1, 1) == 15
    assert rate_window_s(1, 1, 60) == 60


def test_a_panel_may_ask_for_a_longer_window() -> None:
    """Quantiles over a few seconds are noise: ``min_window_s`` is a floor."""
    panel = PANELS["task_p95"]
    assert "[60s]" in fill(panel, panel.queries[0].expr, DISPLAY)


def test_legends_come_from_labels() -> None:
    """``{{label}}`` is filled, a missing label is nothing."""
    assert legend_of("{{component}} {{ name }}", {"component": "tool", "name": "sql"}) == "tool sql"
    assert legend_of("{{component}} {{name}}", {"component": "own"}) == "own"
    assert legend_of("p95", {"a": "b"}) == "p95"
