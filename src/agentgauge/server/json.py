"""Results as the JSON of the Prometheus HTTP API.

Values are strings, times numbers, and a wide matrix is mostly values: orjson writes a row's digits, which are cut at
the commas and joined with times written once. Only rows with an exponent, NaN or Inf, which Prometheus writes
differently, go one by one.
Source: Prometheus util/jsonutil, web/api/v1/json_codec.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from agentgauge.model.labels import Labels
from agentgauge.model.series import RaggedBlock, Result, StepMatrix, Times, Values
from agentgauge.promql.numbers import format_float, format_timestamp

_EXACT = 1 << 53
"""Whole numbers below this are written alike as int64 and as float64."""

_ROWS = 256
"""Rows of a matrix that are looked over at once."""


def success(data: bytes, warnings: Sequence[str] = (), infos: Sequence[str] = ()) -> bytes:
    """Put encoded data into the envelope."""
    tail = b""
    for name, texts in (("warnings", warnings), ("infos", infos)):
        if texts:
            tail += b',"%s":' % name.encode() + encode([_readable(text) for text in texts])
    return b'{"status":"success","data":' + data + tail + b"}"


def failure(error_type: str, message: str) -> bytes:
    """Make the envelope of an error."""
    return encode({"status": "error", "errorType": error_type, "error": _readable(message)})


def encode(value: object) -> bytes:
    """Encode plain data, text that is not UTF-8 with replacement characters."""
    try:
        return orjson.dumps(value)
    except (TypeError, ValueError):
        return orjson.dumps(_all_readable(value))


def result_data(result: Result, t_ms: int, stats: Mapping[str, Any] | None = None) -> bytes:
    """Encode a result; the elements of an instant query carry its time, ``t_ms``."""
    tail = b"" if stats is None else b',"stats":' + encode(stats)
    return b'{"resultType":"%s","result":%s%s}' % (result.kind.encode(), _body(result, t_ms), tail)


def _body(result: Result, t_ms: int) -> bytes:
    time = format_timestamp(t_ms).encode()
    match result.kind:
        case "string":
            return b"[%s,%s]" % (time, encode(_readable(result.text)))
        case "scalar":
            return b'[%s,"%s"]' % (time, format_float(float(result.steps.values[0, 0])).encode())
        case "vector":
            return b"[" + b",".join(_elements(result.steps, time)) + b"]"
        case "matrix":
            rows = _step_rows(result.steps) if result.samples is None else _sample_rows(result.samples)
            return b"[" + b",".join(rows) + b"]"


def labels_json(labels: Labels) -> bytes:
    """Encode a label set as an object."""
    return encode(dict(labels))


def _elements(steps: StepMatrix, time: bytes) -> Iterator[bytes]:
    for row in np.flatnonzero(steps.present[:, :1]).tolist():
        value = format_float(float(steps.values[row, 0])).encode()
        yield b'{"metric":%s,"value":[%s,"%s"]}' % (labels_json(steps.labels[row]), time, value)


def _step_rows(steps: StepMatrix) -> Iterator[bytes]:
    prefixes = _prefixes(steps.t_ms)
    n_present = np.count_nonzero(steps.present, axis=1).tolist()
    for start in range(0, len(steps.labels), _ROWS):
        block = np.ascontiguousarray(steps.values[start : start + _ROWS])
        whole, same = _whole_rows(block)
        for i, labels in enumerate(steps.labels[start : start + _ROWS]):
            n = n_present[start + i]
            if n == len(prefixes):
                yield _series(labels, prefixes, block[i], whole=whole[i], same=same[i])
            elif n:
                at = np.flatnonzero(steps.present[start + i])
                yield _series(labels, [prefixes[k] for k in at.tolist()], block[i][at])


def _sample_rows(samples: RaggedBlock) -> Iterator[bytes]:
    for row, labels in enumerate(samples.labels):
        cut = slice(int(samples.offsets[row]), int(samples.offsets[row + 1]))
        if cut.stop > cut.start:
            yield _series(labels, _prefixes(samples.t_ms[cut]), samples.values[cut])


def _whole_rows(values: Values) -> tuple[list[bool], list[bool]]:
    """Tell of each row whether all are whole numbers that int64 writes alike, and whether all have the same bits."""
    with np.errstate(invalid="ignore"):
        back = values.astype(np.int64).astype(np.float64)
    bits = values.view(np.int64)
    whole = ((back.view(np.int64) == bits) & (np.abs(values) < _EXACT)).all(axis=1)
    return whole.tolist(), (bits == bits[:, :1]).all(axis=1).tolist()


def _prefixes(t_ms: Times) -> list[bytes]:
    """Return what stands before each value of a row: the end of the pair before it, and its time."""
    seconds, rest = np.divmod(t_ms, 1000)
    if rest.any():
        return [b'"],[%s,"' % format_timestamp(one_ms).encode() for one_ms in t_ms.tolist()]
    times = _dumped(np.ascontiguousarray(seconds))
    return (b'"],[' + times.replace(b",", b',"|"],[') + b',"').split(b"|") if len(t_ms) else []


def _series(labels: Labels, prefixes: list[bytes], values: Values, *, whole: bool = False, same: bool = False) -> bytes:
    """Encode one row; each prefix closes the pair before it, so the first loses its first three bytes."""
    if same:  # idle counters, and what does not vary with time
        text = format_float(float(values[0])).encode()
        body = text.join(prefixes) + text
    else:
        pieces: list[bytes] = [b""] * (2 * len(prefixes))
        pieces[0::2] = prefixes
        pieces[1::2] = _dumped(values.astype(np.int64)).split(b",") if whole else value_texts(values)
        body = b"".join(pieces)
    return b'{"metric":%s,"values":[%s"]]}' % (labels_json(labels), body[3:])


def value_texts(values: Values) -> list[bytes]:
    """Write a row of values."""
    row = _dumped(np.ascontiguousarray(values))
    if b"e" in row or b"n" in row:
        return [format_float(value).encode() for value in values.tolist()]
    return (row + b",").replace(b".0,", b",")[:-1].split(b",")


def _dumped(numbers: np.ndarray) -> bytes:
    return orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]


def _readable(text: str) -> str:
    """Replace what is not UTF-8."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") if _encodable(text) else "\ufffd"


def _encodable(text: str) -> bool:
    return not any("\ud800" <= char < "\udc80" or "\udcff" < char <= "\udfff" for char in text)


def _all_readable(value: object) -> object:
    if isinstance(value, str):
        return _readable(value)
    if isinstance(value, Mapping):
        return {_readable(str(key)): _all_readable(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_all_readable(item) for item in value]
    return value
