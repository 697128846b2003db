"""Exposition text (0.0.4 and OpenMetrics 1.0) to samples, at the speed at which a target repeats itself.

From scrape to scrape a target's text is the same line by line, only the values change. So each line is cut at its
last blank; what stands before is looked up in a table that leads to a column, what stands after is the value. A line
that is not in the table is read in full by ``line.py``. A line with a timestamp is never in the table; a line with
an exemplar is looked up without it. No I/O, no clock.

Like Prometheus 3, ``le`` of histograms and ``quantile`` of summaries are written as floats (``1`` becomes ``1.0``);
the first of two samples of one series wins.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from operator import itemgetter
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentgauge.errors import ParseError
from agentgauge.model.labels import METRIC_NAME, Labels, labels_from_pairs
from agentgauge.model.sample import Exemplar, MetricInfo, Sample
from agentgauge.scrape.columns import Columns
from agentgauge.scrape.descriptions import infos_from_comments, parse_comment
from agentgauge.scrape.line import (
    VALUE_BYTES,
    Pairs,
    SampleExemplar,
    SampleLine,
    parse_exemplar,
    parse_sample,
    parse_value,
)

Relabel: TypeAlias = Callable[[Labels], Labels]

_HASH = ord("#")
_MISS = -1
_MIN_LINES_FOR_CHURN = 100


@dataclass(frozen=True, slots=True)
class Exposition:
    """What one scrape's text says.

    Shapes: columns int64 (m,) and values float64 (m,): the samples without a timestamp of their own, last line first,
        so that assigning them in order lets the first of two win.
    ``stamped`` are the samples with one; ``infos`` the families whose description changed since the last text.
    """

    columns: NDArray[np.int64]
    values: NDArray[np.float64]
    n_samples: int
    stamped: list[Sample] = field(default_factory=list)
    exemplars: list[Exemplar] = field(default_factory=list)
    infos: dict[str, MetricInfo] = field(default_factory=dict)


def samples_from_text(body: bytes, t_ms: int, *, openmetrics: bool = False) -> list[Sample]:
    """Read exposition text once: the samples in the text's order, repeated series included.

    Raises:
        ParseError: the first malformed line, with its number.
    """
    lines = _lines(body, openmetrics)
    types = _types(_infos([line for line in lines if line[:1] == b"#"], lines))
    samples = []
    for line in lines:
        if _is_sample(line):
            parsed = _parsed(line, lines, openmetrics)
            own_ms = t_ms if parsed.t_ms is None else parsed.t_ms
            samples.append(Sample(series_from_pairs(parsed.pairs, types), own_ms, parsed.value))
    return samples


class ExpositionReader:
    """Reads the texts of one target, one after the other, and remembers their lines.

    Thread-safety: none; a target's scrapes follow one another.
    """

    __slots__ = ("_columns", "_comments", "_exemplar_of", "_infos", "_max_samples", "_prefixes", "_relabel", "_types")

    def __init__(
        self, columns: Columns, relabel: Relabel = lambda labels: labels, *, max_samples: int = sys.maxsize
    ) -> None:
        self._columns = columns
        self._max_samples = max_samples
        self._relabel = relabel
        self._comments: list[bytes] = []
        self._infos: dict[str, MetricInfo] = {}
        self._types: dict[str, str] = {}
        self._prefixes: dict[bytes, int] = {}
        self._exemplar_of: dict[int, bytes] = {}

    def read(self, body: bytes, t_ms: int, *, openmetrics: bool = False) -> Exposition:
        """Read one text; ``t_ms`` is the time of exemplars without one.

        Raises:
            ParseError: the first malformed line, with its number, or too many samples; nothing of the text counts
                then, but its new columns stay allotted.
        """
        lines = _lines(body, openmetrics)
        samples = [line for line in lines if line and line[0] != _HASH]
        if len(samples) > self._max_samples:
            raise ParseError(f"{len(samples):,} samples are more than the limit of {self._max_samples:,} a scrape")
        infos = self._describe(lines)
        parts = [line.rpartition(b" ") for line in samples]
        get = self._prefixes.get
        page = _Page(samples, [get(part[0], _MISS) for part in parts], list(map(itemgetter(2), parts)))
        try:
            if _MISS in page.columns:
                self._read_missed(page, t_ms, openmetrics)
            values = np.array(page.values(), np.float64)
        except ParseError:
            for line in filter(_is_sample, lines):
                _parsed(line, lines, openmetrics)
            raise
        columns = np.array(page.columns, np.int64)
        kept = np.flatnonzero(columns >= 0)[::-1]
        n_samples = len(kept) + len(page.stamped)
        return Exposition(columns[kept], values[kept], n_samples, page.stamped, page.exemplars, infos)

    def _describe(self, lines: list[bytes]) -> dict[str, MetricInfo]:
        """Take in the comments; when a type changes, lines read under the old one are forgotten."""
        comments = [line for line in lines if line[:1] == b"#"]
        if comments == self._comments:
            return {}
        infos = _infos(comments, lines)
        if _types(infos) != self._types:
            self._types = _types(infos)
            self._prefixes.clear()
        changed = {name: info for name, info in infos.items() if self._infos.get(name) != info}
        self._comments, self._infos = comments, infos
        return changed

    def _read_missed(self, page: _Page, t_ms: int, openmetrics: bool) -> None:
        n_unknown = 0
        for index, column in enumerate(page.columns):
            if column == _MISS and not (openmetrics and self._read_known_with_exemplar(page, index, t_ms)):
                n_unknown += 1
                self._read_unknown(page, index, t_ms, openmetrics)
        # Churn: a table of which most was useless this time would only grow.
        if n_unknown > len(page.lines) // 2 and len(self._prefixes) > 2 * len(page.lines):
            self._prefixes.clear()

    def _read_known_with_exemplar(self, page: _Page, index: int, t_ms: int) -> bool:
        """Read a line whose series is known but for the exemplar behind it; an exemplar seen before is no news."""
        head, mark, tail = page.lines[index].partition(b" # ")
        prefix, _, text = head.rpartition(b" ")
        column = self._prefixes.get(prefix, _MISS) if mark else _MISS
        if column == _MISS:
            return False
        page.columns[index], page.texts[index] = column, text
        if self._exemplar_of.get(column) != tail:
            page.exemplars.append(_exemplar(self._columns.labels(column), parse_exemplar(tail), t_ms))
            self._exemplar_of[column] = tail
        return True

    def _read_unknown(self, page: _Page, index: int, t_ms: int, openmetrics: bool) -> None:
        line = page.lines[index]
        page.texts[index] = b"0"
        if not _is_sample(line):
            return
        parsed = parse_sample(line, openmetrics)
        labels = self._relabel(series_from_pairs(parsed.pairs, self._types))
        if parsed.t_ms is not None:
            page.stamped.append(Sample(labels, parsed.t_ms, parsed.value))
        else:
            column = page.columns[index] = self._columns.column(labels)
            page.texts[index] = repr(parsed.value).encode()
            head, _, tail = line.partition(b" # ") if parsed.exemplar else (line, b"", b"")
            prefix = head.rpartition(b" ")[0]
            # Remembered only when nothing but blanks stands between the series and the cut: else the rest of a line
            # with a timestamp, or of one that ends in a blank, would be taken for a series.
            if len(prefix) >= parsed.series_end and not line[parsed.series_end : len(prefix)].strip(b" \t"):
                self._prefixes[prefix] = column
                if tail:
                    self._exemplar_of[column] = tail
        if parsed.exemplar is not None:
            page.exemplars.append(_exemplar(labels, parsed.exemplar, t_ms))


@dataclass(slots=True)
class _Page:
    """One text while it is read: per line its column, ``_MISS`` when it has none, and the text of its value."""

    lines: list[bytes]
    columns: list[int]
    texts: list[bytes]
    stamped: list[Sample] = field(default_factory=list)
    exemplars: list[Exemplar] = field(default_factory=list)

    def values(self) -> list[float]:
        """Return the values.

        Raises:
            ParseError: one is no number.
        """
        if not b"".join(self.texts).translate(None, VALUE_BYTES):
            try:
                return list(map(float, self.texts))
            except ValueError:
                pass
        return [parse_value(text.strip(b"\t")) for text in self.texts]


def _lines(body: bytes, openmetrics: bool) -> list[bytes]:
    lines = body.split(b"\n")
    if openmetrics:
        end = lines.index(b"# EOF") if b"# EOF" in lines else -1
        if end < 0:
            raise ParseError("OpenMetrics text without # EOF at its end: it was cut off")
        if any(lines[end + 1 :]):
            raise ParseError("text after # EOF", end + 2)
    return lines


def _is_sample(line: bytes) -> bool:
    stripped = line.lstrip(b" \t")
    return bool(stripped) and stripped[0] != _HASH


def _parsed(line: bytes, lines: list[bytes], openmetrics: bool) -> SampleLine:
    try:
        return parse_sample(line, openmetrics)
    except ParseError as error:
        raise ParseError(str(error), lines.index(line) + 1) from None


def _infos(comments: list[bytes], lines: list[bytes]) -> dict[str, MetricInfo]:
    try:
        return infos_from_comments(comments)
    except ParseError:
        for number, line in enumerate(lines, 1):
            try:
                parse_comment(line)
            except ParseError as error:
                raise ParseError(str(error), number) from None
        raise


def _types(infos: dict[str, MetricInfo]) -> dict[str, str]:
    return {name: info.type for name, info in infos.items() if info.type in ("histogram", "summary")}


def series_from_pairs(pairs: Pairs, types: dict[str, str]) -> Labels:
    """Sort a line's labels; write bucket bounds and quantiles as Prometheus 3 does."""
    name = next(value for label, value in pairs if label == METRIC_NAME)
    if types.get(name) == "summary":
        pairs = [(label, _float_label(value) if label == "quantile" else value) for label, value in pairs]
    elif types.get(name.removesuffix("_bucket")) == "histogram":
        pairs = [(label, _float_label(value) if label == "le" else value) for label, value in pairs]
    return labels_from_pairs(pairs)


def _float_label(text: str) -> str:
    """Write a number as Go's shortest %g with at least one decimal: ``1`` is ``1.0``, ``1000000`` is ``1e+06``."""
    try:
        number = float(text)
    except ValueError:
        return text
    if number != number or abs(number) == float("inf"):
        return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[repr(number)]
    sign, digits, _ = Decimal(repr(number)).normalize().as_tuple()
    exponent = Decimal(repr(number)).adjusted() if number else 0
    mantissa = "".join(map(str, digits))
    if exponent < -4 or exponent >= 6:
        fraction = "." + mantissa[1:] if len(mantissa) > 1 else ""
        return f"{'-' * sign}{mantissa[0]}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    plain = f"{Decimal(repr(number)):f}"
    return plain if "." in plain else plain + ".0"


def _exemplar(series: Labels, parsed: SampleExemplar, t_ms: int) -> Exemplar:
    own_ms = t_ms if parsed.t_ms is None else parsed.t_ms
    return Exemplar(series, labels_from_pairs(parsed.pairs), own_ms, parsed.value)
