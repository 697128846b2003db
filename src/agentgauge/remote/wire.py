"""The body of a remote write 1.0 request: protobuf ``prometheus.WriteRequest`` ⇄ plain values. Pure, without snappy.

Only the fields of that message are known; others are skipped, as protobuf asks. From request to request the bytes of a
series' labels repeat, so the reader looks them up as a whole and takes them apart once.
Source: Prometheus prompb/{remote,types}.proto; the remote write 1.0 specification.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agentgauge.errors import ParseError
from agentgauge.model.labels import Labels, labels_from_pairs
from agentgauge.model.sample import Exemplar, MetricInfo

MAX_KNOWN = 200_000
"""How many label sets a reader remembers."""

_DOUBLE = struct.Struct("<d")
_TYPES = ("unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset")
_USUAL = b"\x12\x10\x09"
"""How a sample of our decades begins: 16 bytes, its value first, then a time of six bytes."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class WrittenSeries:
    """Samples of one series, (t_ms, value) in the order of the request."""

    labels: Labels
    samples: Sequence[tuple[int, float]]


@dataclass(slots=True)
class WriteRequest:
    """What a request says; ``n_histograms`` counts the native histograms in it, which are not read."""

    series: list[WrittenSeries] = field(default_factory=list)
    exemplars: list[Exemplar] = field(default_factory=list)
    infos: dict[str, MetricInfo] = field(default_factory=dict)
    n_histograms: int = 0


class WriteRequestReader:
    """Reads requests and remembers label sets.

    Thread-safety: any thread; what two learn at once is learnt twice.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, Labels] = {}

    def read(self, body: bytes) -> WriteRequest:
        """Read a request.

        Raises:
            ParseError: the bytes are no such message, or a label set has a name twice or text that is not UTF-8.
        """
        try:
            return self._read(body)
        except (IndexError, struct.error):
            raise ParseError("a protobuf message that ends too early") from None
        except UnicodeDecodeError:
            raise ParseError("a protobuf message with text that is not UTF-8") from None

    def _read(self, body: bytes) -> WriteRequest:
        request = WriteRequest()
        at, end = 0, len(body)
        while at < end:
            number, kind, at = _tag(body, at)
            if kind == _BYTES and number in (1, 3):
                size, at = _varint(body, at)
                _check_end(at + size, end)
                if number == 1:
                    self._read_series(body, at, at + size, request)
                else:
                    name, info = _metadata(body, at, at + size)
                    request.infos[name] = info
                at += size
            else:
                at = _skip(body, at, end, kind)
        return request

    def _read_series(self, body: bytes, at: int, end: int, request: WriteRequest) -> None:
        # Labels come first, in every encoder's order; their bytes together are the key.
        start = at
        while at < end and body[at] == 0x0A:
            size = body[at + 1]
            if size < 0x80:
                at += 2 + size
            else:
                size, at = _varint(body, at + 1)
                at += size
        _check_end(at, end)
        key = body[start:at]
        labels = self._known.get(key)
        if labels is None:
            labels = self._learn(key)
        samples: list[tuple[int, float]] = []
        while at < end:
            if at + 18 <= end and body[at : at + 3] == _USUAL and body[at + 11] == 0x10:
                t_bytes = int.from_bytes(body[at + 12 : at + 18], "little")
                if t_bytes & 0x8080_8080_8080 == 0x0080_8080_8080:
                    samples.append((_six_bytes(t_bytes), _DOUBLE.unpack_from(body, at + 3)[0]))
                    at += 18
                    continue
            number, kind, at = _tag(body, at)
            if kind != _BYTES or number not in (1, 2, 3, 4):
                at = _skip(body, at, end, kind)
                continue
            size, at = _varint(body, at)
            _check_end(at + size, end)
            if number == 2:
                samples.append(_sample(body, at, at + size))
            elif number == 3:
                request.exemplars.append(_exemplar(labels, body, at, at + size))
            elif number == 4:
                request.n_histograms += 1
            else:
                raise ParseError("a series whose labels do not stand together")
            at += size
        request.series.append(WrittenSeries(labels, samples))

    def _learn(self, key: bytes) -> Labels:
        pairs: list[tuple[str, str]] = []
        at = 0
        while at < len(key):
            size, at = _varint(key, at + 1)
            pairs.append(_pair(key, at, at + size))
            at += size
        if len({name for name, _ in pairs}) < len(pairs):
            raise ParseError(f"a label stands twice in {dict(pairs)}")
        if any(not name for name, _ in pairs):
            raise ParseError(f"a label without a name in {dict(pairs)}")
        labels = labels_from_pairs(pairs)
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[key] = labels
        return labels


def encode_write_request(
    series: Iterable[tuple[bytes, Sequence[tuple[int, float]]]], infos: Mapping[str, MetricInfo] | None = None
) -> bytes:
    """Write a request; each series is its ``encode_labels`` and its samples (t_ms, value)."""
    parts: list[bytes] = []
    for labels, samples in series:
        body = labels + b"".join([_encode_sample(t_ms, value) for t_ms, value in samples])
        parts += [b"\x0a", _encode_varint(len(body)), body]
    for name, info in (infos or {}).items():
        kind = _TYPES.index(info.type) if info.type in _TYPES else 0
        body = (b"\x08" + _encode_varint(kind) if kind else b"") + _text(0x12, name)
        body += _text(0x22, info.help) + _text(0x2A, info.unit)
        parts += [b"\x1a", _encode_varint(len(body)), body]
    return b"".join(parts)


def encode_labels(labels: Labels) -> bytes:
    """Write a label set, sorted by name as receivers ask."""
    parts: list[bytes] = []
    for name, value in labels:
        pair = _text(0x0A, name) + _text(0x12, value)
        parts += [b"\x0a", _encode_varint(len(pair)), pair]
    return b"".join(parts)


def _encode_sample(t_ms: int, value: float) -> bytes:
    # Zeros are written too: a fixed shape is faster, and any reader takes it.
    body = b"\x09" + _DOUBLE.pack(value) + b"\x10" + _encode_varint(t_ms & 0xFFFF_FFFF_FFFF_FFFF)
    return b"\x12" + bytes((len(body),)) + body


def _text(tag: int, text: str) -> bytes:
    if not text:
        return b""
    data = text.encode("utf-8", "replace")
    return bytes((tag,)) + _encode_varint(len(data)) + data


def _encode_varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _six_bytes(t: int) -> int:
    """Undo a varint of six bytes, given as a little-endian number."""
    return (
        t & 0x7F
        | t >> 1 & 0x3F80
        | t >> 2 & 0x1F_C000
        | t >> 3 & 0xFE0_0000
        | t >> 4 & 0x7_F000_0000
        | t >> 5 & 0x3F8_0000_0000
    )


def _sample(body: bytes, at: int, end: int) -> tuple[int, float]:
    t_ms, value = 0, 0.0
    while at < end:
        number, kind, at = _tag(body, at)
        if number == 1 and kind == _FIXED64:
            (value,) = _DOUBLE.unpack_from(body, at)
            at += 8
        elif number == 2 and kind == _VARINT:
            t_ms, at = _signed(body, at)
        else:
            at = _skip(body, at, end, kind)
    _check_end(at, end)
    return t_ms, value


def _exemplar(series: Labels, body: bytes, at: int, end: int) -> Exemplar:
    pairs: list[tuple[str, str]] = []
    t_ms, value = 0, 0.0
    while at < end:
        number, kind, at = _tag(body, at)
        if number == 1 and kind == _BYTES:
            size, at = _varint(body, at)
            _check_end(at + size, end)
            pairs.append(_pair(body, at, at + size))
            at += size
        elif number == 2 and kind == _FIXED64:
            (value,) = _DOUBLE.unpack_from(body, at)
            at += 8
        elif number == 3 and kind == _VARINT:
            t_ms, at = _signed(body, at)
        else:
            at = _skip(body, at, end, kind)
    return Exemplar(series, labels_from_pairs(dict(pairs).items()), t_ms, value)


def _metadata(body: bytes, at: int, end: int) -> tuple[str, MetricInfo]:
    kind_number = 0
    texts = {2: "", 4: "", 5: ""}
    while at < end:
        number, kind, at = _tag(body, at)
        if number == 1 and kind == _VARINT:
            kind_number, at = _varint(body, at)
        elif number in texts and kind == _BYTES:
            texts[number], at = _string(body, at, end)
        else:
            at = _skip(body, at, end, kind)
    type_ = _TYPES[kind_number] if kind_number < len(_TYPES) else "unknown"
    return texts[2], MetricInfo(type_, texts[4], texts[5])


def _pair(body: bytes, at: int, end: int) -> tuple[str, str]:
    name = value = ""
    while at < end:
        number, kind, at = _tag(body, at)
        if number == 1 and kind == _BYTES:
            name, at = _string(body, at, end)
        elif number == 2 and kind == _BYTES:
            value, at = _string(body, at, end)
        else:
            at = _skip(body, at, end, kind)
    return name, value


def _string(body: bytes, at: int, end: int) -> tuple[str, int]:
    size, at = _varint(body, at)
    _check_end(at + size, end)
    return body[at : at + size].decode(), at + size


def _tag(body: bytes, at: int) -> tuple[int, int, int]:
    tag, at = _varint(body, at)
    return tag >> 3, tag & 7, at


def _varint(body: bytes, at: int) -> tuple[int, int]:
    byte = body[at]
    if byte < 0x80:
        return byte, at + 1
    number, shift = byte & 0x7F, 7
    while True:
        at += 1
        byte = body[at]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & 0xFFFF_FFFF_FFFF_FFFF, at + 1
        shift += 7
        if shift > 63:
            raise ParseError("a protobuf number of more than ten bytes")


def _signed(body: bytes, at: int) -> tuple[int, int]:
    number, at = _varint(body, at)
    return number - (1 << 64) if number >= 1 << 63 else number, at


def _skip(body: bytes, at: int, end: int, kind: int) -> int:
    if kind == _VARINT:
        _, at = _varint(body, at)
    elif kind == _BYTES:
        size, at = _varint(body, at)
        at += size
    elif kind in (_FIXED32, _FIXED64):
        at += 4 if kind == _FIXED32 else 8
    else:
        raise ParseError(f"protobuf wire type {kind} is not used here")
    _check_end(at, end)
    return at


def _check_end(at: int, end: int) -> None:
    if at > end:
        raise ParseError("a protobuf message that ends too early")
