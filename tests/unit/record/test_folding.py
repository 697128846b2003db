"""Which label values become series."""

from __future__ import annotations

import enum

import pytest

from agentgauge.model.metrics import OTHER
from agentgauge.record.folding import Folding, looks_unbounded


@pytest.mark.parametrize(
    "value",
    [
        "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
        "run 3F2504E04F8941D39A0C0305E82C3301",
        "0123456789abcdef",
        "1700000000",
        "job-2024-05-01T10:30",
        "2024-05-01 10:30:00",
        "x" * 129,
        "x" * 10_000,
        "\ud800",
    ],
)
def test_values_without_an_end_fold(value):
    """Ids, hashes, times, long texts and what is no UTF-8 fold from the first one."""
    assert looks_unbounded(value)


@pytest.mark.parametrize(
    "value",
    [
        "llama3.1:8b-instruct-q4_K_M",
        "gpt-4o-2024-08-06",
        "claude-3-5-sonnet-20241022",
        "ft:gpt-4o-mini:org::9abc1234",
        "web_search",
        "搜索",
        "hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M",
        "x" * 128,
    ],
)
def test_names_of_models_and_tools_stay(value):
    """Dates and sizes in names are not ids."""
    assert not looks_unbounded(value)


def folding_with_log(**limits):
    folds = []
    return Folding(lambda metric, label: folds.append((metric, label)), limits), folds


def test_the_limit_holds_per_label_and_scope():
    """The values seen first stay; the next one folds, and only that one is counted."""
    folding, folds = folding_with_log(model=2)
    assert [folding.admit("m", "model", value) for value in "abcab"] == ["a", "b", OTHER, "a", "b"]
    assert folding.admit("m", "model", "c", scope="elsewhere") == "c"
    assert folds == [("m", "model")]
    assert folding.is_admitted("model", "a")
    assert not folding.is_admitted("model", "c")


def test_nothing_and_nonsense_have_a_value():
    """None and the empty text are unknown; what is no text folds; __other__ stays and is no fold."""
    folding, folds = folding_with_log()
    assert folding.admit("m", "model", None) == "unknown"
    assert folding.admit("m", "model", "") == "unknown"
    assert folding.admit("m", "name", None) == ""
    assert folding.admit("m", "model", OTHER) == OTHER
    assert folds == []
    assert folding.admit("m", "model", b"x") == OTHER
    assert folding.admit("m", "model", []) == OTHER
    assert len(folds) == 2


def test_an_enum_of_text_is_its_value():
    """A str subclass counts under its text, as a plain string."""

    class Model(str, enum.Enum):
        SMALL = "small"

    folding, _ = folding_with_log()
    admitted = folding.admit("m", "model", Model.SMALL)
    assert admitted == "small"
    assert type(admitted) is str
    assert type(folding.admit("m", "model", Model.SMALL)) is str
