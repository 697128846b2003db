"""Requests survive the way through bytes; any cut, junk or foreign field is an error or is skipped, never a crash."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgauge.errors import ParseError
from agentgauge.model.labels import Labels, labels_from_mapping
from agentgauge.model.sample import STALE_BITS, MetricInfo, float_bits
from agentgauge.remote.wire import WriteRequestReader, encode_labels, encode_write_request

NAMES = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
LABELS = st.dictionaries(NAMES, NAMES, min_size=1, max_size=5).map(labels_from_mapping)
TIMES = st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(1 << 34, (1 << 43) - 1)
BITS = st.integers(0, (1 << 64) - 1)
SERIES = st.lists(st.tuples(LABELS, st.lists(st.tuples(TIMES, BITS), max_size=4)), max_size=5)
INFOS = st.dictionaries(
    NAMES,
    st.builds(MetricInfo, st.sampled_from(["unknown", "counter", "gauge", "histogram", "info"]), st.text(max_size=9)),
    max_size=3,
)


def value(bits: int) -> float:
    return float(struct.unpack("<d", struct.pack("<Q", bits))[0])


def encoded(series: list[tuple[Labels, list[tuple[int, int]]]], infos: dict[str, MetricInfo] | None = None) -> bytes:
    rows = [(encode_labels(labels), [(t, value(bits)) for t, bits in samples]) for labels, samples in series]
    return encode_write_request(rows, infos)


@given(SERIES, INFOS)
def test_there_and_back(series: list[tuple[Labels, list[tuple[int, int]]]], infos: dict[str, MetricInfo]) -> None:
    """Labels, times and the bits of values, NaN payloads and stale markers included, come back as they were."""
    reader = WriteRequestReader()
    for _ in range(2):  # the second time from memory
        request = reader.read(encoded(series, infos))
        found = [(one.labels, [(t, float_bits(v)) for t, v in one.samples]) for one in request.series]
        assert found == [(labels, samples) for labels, samples in series]
        assert request.infos == infos


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Junk raises ParseError and nothing else."""
    with suppress(ParseError):
        WriteRequestReader().read(body)


@given(st.data())
def test_a_cut_request_is_refused_or_shorter(data: st.DataObject) -> None:
    """Cut anywhere, a request is an error unless the cut falls between two series."""
    labels = labels_from_mapping({"__name__": "a", "b": "c"})
    body = encoded([(labels, [(1, 2)]), (labels, [(3, 4)])])
    cut = data.draw(st.integers(1, len(body) - 1))
    if cut == len(body) // 2:
        assert len(WriteRequestReader().read(body[:cut]).series) == 1
    else:
        with pytest.raises(ParseError):
            WriteRequestReader().read(body[:cut])


def test_foreign_fields_are_skipped() -> None:
    """Fields of newer versions, of every wire type, do not disturb."""
    odd = b"\x50\x96\x01" + b"\x59" + b"12345678" + b"\x5d" + b"1234" + b"\x62\x03abc"
    series = b"\x0a\x0d\x0a\x08__name__\x12\x01a" + odd + b"\x12\x0b\x09" + struct.pack("<d", 1.5) + b"\x10\x07" + odd
    body = odd + b"\x0a" + bytes((len(series),)) + series + odd
    (found,) = WriteRequestReader().read(body).series
    assert (found.labels, list(found.samples)) == ((("__name__", "a"),), [(7, 1.5)])


def test_zero_fields_may_be_missing() -> None:
    """Proto 3 leaves zeros out: a sample without value and time is 0 at 0."""
    series = b"\x0a\x0d\x0a\x08__name__\x12\x01a" + b"\x12\x00"
    (found,) = WriteRequestReader().read(b"\x0a" + bytes((len(series),)) + series).series
    assert list(found.samples) == [(0, 0.0)]


def test_exemplars_and_native_histograms() -> None:
    """Exemplars are read; native histograms are counted."""
    exemplar = b"\x0a\x05\x0a\x01k\x12\x00" + b"\x11" + struct.pack("<d", 0.5) + b"\x18\x09"
    series = b"\x0a\x0d\x0a\x08__name__\x12\x01a" + b"\x1a" + bytes((len(exemplar),)) + exemplar + b"\x22\x02\x08\x01"
    request = WriteRequestReader().read(b"\x0a" + bytes((len(series),)) + series)
    assert [(e.labels, e.t_ms, e.value) for e in request.exemplars] == [((), 9, 0.5)]
    assert request.n_histograms == 1


def test_a_label_twice_is_refused() -> None:
    """A label set that is none is an error that names it."""
    with pytest.raises(ParseError, match="twice"):
        WriteRequestReader().read(encoded([((("a", "1"), ("a", "2")), [])]))


def test_stale_markers_keep_their_bits() -> None:
    """The marker is a signalling NaN; it must not be quieted on the way."""
    request = WriteRequestReader().read(encoded([((("__name__", "a"),), [(1, STALE_BITS)])]))
    assert float_bits(request.series[0].samples[0][1]) == STALE_BITS
