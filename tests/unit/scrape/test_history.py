"""Text with times: read whole or in pieces, plain or odd, it gives the same samples; a bad line is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgauge.errors import ParseError
from agentgauge.model.labels import Labels, labels_from_mapping
from agentgauge.scrape.history import HistoryReader

TEXT = b"""# HELP a_total Things.
# TYPE a_total counter
a_total{k="x y 1"} 1 1700000000
a_total{k="x y 1"} 2.5 1700000015.25
a_total{k="\\"b\\" \\n"} NaN 1700000000
# TYPE h histogram
h_bucket{le="1"} 3 1700000000 # {trace_id="t 1"} 0.5 1699999999.5
h_bucket{le="+Inf"} 3 1700000000 # {trace_id="t2"} 0.5
h_count  3   1700000000
h_sum\t7.25\t1700000000.001

a_total{k="x y 1"} -Inf 1700000030
# EOF
"""


def read(text: bytes, sizes: list[int] | None = None) -> tuple[list[tuple[Labels, int, str]], HistoryReader]:
    """Read a text in pieces of so many lines; return (labels, t_ms, value) in its order."""
    reader = HistoryReader()
    lines = text.splitlines(keepends=True)
    found = []
    for size in [*(sizes or []), len(lines)]:
        piece, lines = lines[:size], lines[size:]
        page = reader.read(b"".join(piece))
        for number, t_ms, value in zip(page.numbers.tolist(), page.t_ms.tolist(), page.values.tolist(), strict=True):
            found.append((reader.labels[number], t_ms, repr(value)))
    return found, reader


def test_every_kind_of_line_is_read() -> None:
    """Escapes, blanks inside labels, exemplars, doubled blanks and tabs, NaN and infinities; bounds as floats."""
    found, reader = read(TEXT)
    name = labels_from_mapping
    assert found == [
        (name({"__name__": "a_total", "k": "x y 1"}), 1_700_000_000_000, "1.0"),
        (name({"__name__": "a_total", "k": "x y 1"}), 1_700_000_015_250, "2.5"),
        (name({"__name__": "a_total", "k": '"b" \n'}), 1_700_000_000_000, "nan"),
        (name({"__name__": "h_bucket", "le": "1.0"}), 1_700_000_000_000, "3.0"),
        (name({"__name__": "h_bucket", "le": "+Inf"}), 1_700_000_000_000, "3.0"),
        (name({"__name__": "h_count"}), 1_700_000_000_000, "3.0"),
        (name({"__name__": "h_sum"}), 1_700_000_000_001, "7.25"),
        (name({"__name__": "a_total", "k": "x y 1"}), 1_700_000_030_000, "-inf"),
    ]
    assert reader.saw_end
    assert reader.line == len(TEXT.splitlines()) + 1


def test_exemplars_and_descriptions_come_along() -> None:
    """An exemplar without a time has its sample's; types are those of the text."""
    page = HistoryReader().read(TEXT)
    assert [(dict(e.labels), e.t_ms, e.value) for e in page.exemplars] == [
        ({"trace_id": "t 1"}, 1_699_999_999_500, 0.5),
        ({"trace_id": "t2"}, 1_700_000_000_000, 0.5),
    ]
    assert {name: info.type for name, info in page.infos.items()} == {"a_total": "counter", "h": "histogram"}


@given(st.lists(st.integers(1, 4), max_size=12))
def test_pieces_do_not_matter(sizes: list[int]) -> None:
    """Cut between any lines the text gives the same samples."""
    assert read(TEXT, sizes)[0] == read(TEXT)[0]


def test_milliseconds_are_told_from_seconds() -> None:
    """promtool's dump has its names in braces and its times in milliseconds."""
    found, reader = read(b'{__name__="up", job="a b"} 1 1700000000000\n{__name__="up", job="a b"}  0 1700000015000\n')
    assert found == [
        (labels_from_mapping({"__name__": "up", "job": "a b"}), 1_700_000_000_000, "1.0"),
        (labels_from_mapping({"__name__": "up", "job": "a b"}), 1_700_000_015_000, "0.0"),
    ]
    assert (reader.unit, reader.saw_end) == ("ms", False)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"a 1", "no timestamp"),
        (b"a 1_0 1700000000", "not a number"),
        (b"a{k=1} 1 1700000000", "labels that cannot be read"),
        (b"a one 1700000000", "not a number"),
        (b"a 1 NaN", "out of range"),
        (b"a 1 1e300", "out of range"),
        (b"# TYPE a nonsense", "invalid metric type"),
        (b"\xff 1 1", "does not start"),
        (b"# EOF\na 1 1700000000", "text after # EOF"),
    ],
)
def test_a_bad_line_is_named(bad: bytes, reason: str) -> None:
    """The message has the line's number in the whole text, whatever piece it was in."""
    reader = HistoryReader()
    reader.read(b"a 1 1700000000\n" * 5)
    where = 7 + bad.count(b"\n")
    with pytest.raises(ParseError, match=reason) as caught:
        reader.read(b"a 1 1700000000\n" + bad + b"\n" + (b"" if b"EOF" in bad else b"a 2 1700000001\n"))
    assert caught.value.line == where
