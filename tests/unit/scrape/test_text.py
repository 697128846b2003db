"""Exposition text: what is read, what is refused, and that remembering lines changes nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgauge.errors import ParseError
from agentgauge.model.labels import Labels, labels_from_mapping
from agentgauge.model.sample import MetricInfo, float_bits
from agentgauge.scrape.columns import Columns
from agentgauge.scrape.text import Exposition, ExpositionReader, samples_from_text


def series(name: str, **labels: str) -> Labels:
    return labels_from_mapping({"__name__": name, **labels})


def as_dict(columns: Columns, text: Exposition) -> dict[Labels, int]:
    """Series to the bits of its value, as a row would hold them."""
    row = np.zeros(len(columns))
    row[text.columns] = text.values
    return {columns.labels(int(column)): float_bits(float(row[column])) for column in text.columns}


def plain(body: bytes, openmetrics: bool = False) -> dict[Labels, int]:
    """The same from the parser that remembers nothing; the first of two samples of one series wins."""
    found: dict[Labels, int] = {}
    for sample in samples_from_text(body, -1, openmetrics=openmetrics):
        if sample.t_ms == -1:
            found.setdefault(sample.labels, float_bits(sample.value))
    return found


@pytest.mark.parametrize(
    ("line", "labels", "value"),
    [
        (b"up 1", series("up"), 1.0),
        (b"  up\t 1 ", series("up"), 1.0),
        (b"a:b_c 2.5e-3", series("a:b_c"), 0.0025),
        (b'm{a="b",c="d",} +Inf', series("m", a="b", c="d"), math.inf),
        (b'm{ a = "b" , c="d" } -Inf', series("m", a="b", c="d"), -math.inf),
        (b"m{} 3", series("m"), 3.0),
        (b'm{a="x y # {z} 7"} 3', series("m", a="x y # {z} 7"), 3.0),
        (rb'm{a="q\"b\\n\nz"} 3', series("m", a='q"b\\n\nz'), 3.0),
        (b'{"my.metric","a.b"="c"} 4', labels_from_mapping({"__name__": "my.metric", "a.b": "c"}), 4.0),
        (b'm{empty=""} 5', series("m"), 5.0),
        ('m{a="\u00e9\u6f22"} 6'.encode(), series("m", a="\u00e9\u6f22"), 6.0),
    ],
)
def test_a_line_is_read_as_the_format_says(line: bytes, labels: Labels, value: float) -> None:
    """Names, quoting, escapes, blanks and values come out as their spec means them."""
    (sample,) = samples_from_text(line, 7)
    assert (sample.labels, sample.t_ms, sample.value) == (labels, 7, value)


@pytest.mark.parametrize(
    "line",
    [
        b"m", b"m x", b"m 1_0", b"m 1 2 3", b"m 1 2.5", b'm{a="b} 1', b"m{a=b} 1", b"m{a} 1", b'{a="b"} 1', b"1m 2",
        b'm{a="1",a="2"} 1', b"m 1 # {} 1", b"m\xff 1", b'm{a="\xff"} 1', b"<html>", b"m 0x10", b"m$ 1", b"m 1\r",
    ],
)  # fmt: skip
def test_a_malformed_line_is_named_by_its_number(line: bytes) -> None:
    """Both parsers refuse the text and say which line it was."""
    body = b"# a comment\nfine 1\n\n" + line + b"\nfine 2\n"
    with pytest.raises(ParseError) as plain_error:
        samples_from_text(body, 0)
    reader = ExpositionReader(Columns())
    reader.read(b"fine 1\n", 0)
    with pytest.raises(ParseError) as fast_error:
        reader.read(body, 0)
    assert plain_error.value.line == 4
    assert str(fast_error.value) == str(plain_error.value)


def test_bounds_and_quantiles_are_floats_as_in_prometheus_3() -> None:
    """``le`` of histograms and ``quantile`` of summaries are normalized, other labels are not."""
    body = (
        b'# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 1\nh_bucket{le="1000000"} 1\n'
        b'# TYPE s summary\ns{quantile="1"} 1\n# TYPE g gauge\ng{le="1"} 1\n'
    )
    values = [dict(sample.labels) for sample in samples_from_text(body, 0)]
    assert [labels.get("le") or labels.get("quantile") for labels in values] == ["1.0", "+Inf", "1e+06", "1.0", "1"]


def test_openmetrics_is_cut_off_without_its_end() -> None:
    """A text without ``# EOF`` is refused whole, one with more after it too."""
    for body in (b"up 1\n", b"# EOF\nup 1\n"):
        with pytest.raises(ParseError):
            samples_from_text(body, 0, openmetrics=True)
    assert len(samples_from_text(b"up 1\n# EOF\n", 0, openmetrics=True)) == 1


def test_exemplars_are_kept_once() -> None:
    """An exemplar comes with the scrape that first shows it, however its series is read."""
    columns = Columns()
    reader = ExpositionReader(columns)
    body = b'h_bucket{le="1.0"} %d # {trace_id="a # b"} 0.5 12.5\n# EOF\n'
    first = reader.read(body % 1, 99, openmetrics=True)
    again = reader.read(body % 2, 99, openmetrics=True)
    other = reader.read(b'h_bucket{le="1.0"} 3 # {trace_id="c"} 0.7\n# EOF\n', 99, openmetrics=True)
    assert [(item.labels, item.t_ms, item.value) for item in first.exemplars] == [
        ((("trace_id", "a # b"),), 12500, 0.5)
    ]
    assert again.exemplars == []
    assert list(again.values) == [2.0]
    assert [(item.t_ms, item.value) for item in other.exemplars] == [(99, 0.7)]


def test_samples_with_a_time_of_their_own_stand_apart() -> None:
    """A line with a timestamp never becomes a column, also when its series once had none."""
    reader = ExpositionReader(Columns())
    reader.read(b"m 1\n", 5)
    text = reader.read(b"m 1 1234567890123\nm2 2\n", 5)
    assert [(sample.t_ms, sample.value) for sample in text.stamped] == [(1234567890123, 1.0)]
    assert list(text.values) == [2.0]


def test_descriptions_are_told_when_they_change() -> None:
    """Type, help and unit come with the first text and then only when another stands there."""
    reader = ExpositionReader(Columns())
    body = b"# HELP m a\\nb\n# TYPE m counter\n# UNIT m seconds\nm 1\n"
    assert reader.read(body, 0).infos == {"m": MetricInfo("counter", "a\nb", "seconds")}
    assert reader.read(body, 0).infos == {}
    assert reader.read(body.replace(b"counter", b"gauge"), 0).infos["m"].type == "gauge"


def test_too_many_samples_are_refused_before_they_cost() -> None:
    """The limit counts lines, so that no label of a flood is ever made."""
    columns = Columns()
    with pytest.raises(ParseError, match="limit of 2"):
        ExpositionReader(columns, max_samples=2).read(b"a 1\nb 1\nc 1\n", 0)
    assert len(columns) == 0


NAMES = st.sampled_from(["a", "b_total", "h_bucket", "c:d"])
TEXTS = st.text(max_size=6).filter(lambda text: all(ord(c) < 0xD800 or ord(c) > 0xDFFF for c in text))
LABEL_SETS = st.dictionaries(st.sampled_from(["x", "le", "agent"]), TEXTS, max_size=3)


def escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@st.composite
def lines(draw: st.DrawFn) -> str:
    """One line: mostly well-formed samples, some with odd blanks, timestamps or exemplars, some comments."""
    labels = draw(LABEL_SETS)
    inner = ",".join(f'{name}="{escaped(value)}"' for name, value in labels.items())
    name = draw(NAMES) + (f"{{{inner}}}" if inner or draw(st.booleans()) else "")
    blank = draw(st.sampled_from([" ", " ", " ", "  ", "\t", " \t"]))
    value = draw(st.one_of(st.floats().map(repr), st.integers(-5, 5).map(str)))
    tail = draw(st.sampled_from(["", "", "", " ", "\t", " 123", "  45", ' # {t="1"} 2', ' # {t=" # {"} 2 3']))
    return draw(st.sampled_from(["", "", "", " "])) + name + blank + value + tail


@given(
    st.lists(
        st.lists(st.one_of(lines(), st.sampled_from(["", " ", "# x", " # y", "# TYPE h histogram"])), max_size=8),
        max_size=4,
    )
)
def test_remembering_lines_changes_nothing(texts: list[list[str]]) -> None:
    """Scrape after scrape, the reader with a table says what the plain parser says, or refuses what it refuses."""
    columns = Columns()
    reader = ExpositionReader(columns)
    for number, text in enumerate(texts):
        for openmetrics in (False, True):
            body = ("\n".join(text) + ("\n# EOF\n" if openmetrics else "\n")).encode()
            try:
                expected = plain(body, openmetrics)
            except ParseError as error:
                with pytest.raises(ParseError) as raised:
                    reader.read(body, number, openmetrics=openmetrics)
                assert str(raised.value) == str(error)  # noqa: PT017 - both raise, and say the same
            else:
                assert as_dict(columns, reader.read(body, -1, openmetrics=openmetrics)) == expected


@given(st.binary(max_size=200))
def test_no_bytes_break_the_parser(body: bytes) -> None:
    """Any bytes give samples or a ParseError, the same from both parsers."""
    try:
        expected = plain(body)
    except ParseError:
        with pytest.raises(ParseError):
            ExpositionReader(Columns()).read(body, 0)
    else:
        columns = Columns()
        assert as_dict(columns, ExpositionReader(columns).read(body, -1)) == expected
