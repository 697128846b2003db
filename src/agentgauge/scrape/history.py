"""Text whose samples carry their times, any amount of it, piece by piece: what backfills and dumps hold.

OpenMetrics as ``promtool tsdb create-blocks-from openmetrics`` takes it, and ``promtool tsdb dump``'s lines
(``{__name__="up"} 1 1700000000000``). Like ``text.py`` it cuts a line at its last blanks and looks the series up by
the bytes before them; a line that is not known yet, or carries an exemplar, is read in full by ``line.py``. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentgauge.errors import ParseError
from agentgauge.model.labels import Labels, labels_from_pairs
from agentgauge.model.sample import Exemplar, MetricInfo
from agentgauge.scrape.descriptions import infos_from_comments, parse_comment
from agentgauge.scrape.line import VALUE_BYTES, SampleLine, parse_sample
from agentgauge.scrape.text import series_from_pairs

TimeUnit: TypeAlias = Literal["auto", "s", "ms"]

MS_FROM = 1e11
"""A number of seconds from here on lies beyond the year 5000, a number of milliseconds after 1973."""
MAX_S = 1e12


@dataclass(slots=True)
class HistoryPage:
    """What one piece of text says, in its order.

    Shapes: numbers int32, t_ms int64, values float64, all (N,); ``numbers`` index ``HistoryReader.labels``.
    """

    numbers: NDArray[np.int32]
    t_ms: NDArray[np.int64]
    values: NDArray[np.float64]
    exemplars: list[Exemplar] = field(default_factory=list)
    infos: dict[str, MetricInfo] = field(default_factory=dict)


@dataclass(slots=True)
class _Lines:
    """The sample lines of a piece: where each stands in it, its series, the texts of its value and time."""

    lines: list[bytes]
    prefixes: list[bytes]
    numbers: list[int | None]
    values: list[bytes]
    times: list[bytes]
    exemplars: list[Exemplar] = field(default_factory=list)


class HistoryReader:
    """Reads one text from its start, or from where an earlier reader stood.

    Thread-safety: none.
    """

    def __init__(self, *, line: int = 1, types: Mapping[str, str] | None = None, unit: TimeUnit = "auto") -> None:
        self.labels: list[Labels] = []
        """The series, by number."""
        self.line = line
        """The number of the line that comes next."""
        self.unit: TimeUnit = unit
        """What times are counted in; ``auto`` until the first one was seen."""
        self.saw_end = False
        """Whether ``# EOF`` came."""
        self._types = {name: kind for name, kind in (types or {}).items() if kind in ("histogram", "summary")}
        self._numbers: dict[Labels, int] = {}
        self._prefixes: dict[bytes, int] = {}

    def read(self, body: bytes) -> HistoryPage:
        """Read whole lines.

        Raises:
            ParseError: the first line that cannot be read, with its number; nothing of the piece counts then.
        """
        lines = body.split(b"\n")
        if not lines[-1]:
            lines.pop()
        comments = [line for line in lines if line[:1] == b"#"]
        self._check_end(lines, comments)
        infos = self._describe(lines, comments) if comments else {}
        found = self._cut([line for line in lines if line and line[0] != 35])
        try:
            page = self._page(found, infos)
        except ValueError:
            self._blame(lines)
            raise AssertionError("BUG: a piece cannot be read, but each of its lines can") from None
        self.line += len(lines)
        return page

    def _check_end(self, lines: list[bytes], comments: list[bytes]) -> None:
        first_after = 0
        if not self.saw_end and b"# EOF" in comments:
            self.saw_end, first_after = True, lines.index(b"# EOF") + 1
        if self.saw_end:
            for index in range(first_after, len(lines)):
                if lines[index].strip():
                    raise ParseError("text after # EOF", self.line + index)

    def _describe(self, lines: list[bytes], comments: list[bytes]) -> dict[str, MetricInfo]:
        try:
            infos = infos_from_comments(comments)
        except ParseError:
            for index, line in enumerate(lines):
                try:
                    parse_comment(line)
                except ParseError as error:
                    raise ParseError(str(error), self.line + index) from None
            raise
        self._types.update({n: info.type for n, info in infos.items() if info.type in ("histogram", "summary")})
        return infos

    def _cut(self, lines: list[bytes]) -> _Lines:
        """Cut lines at their last two blanks; what cannot be cut is a series that nobody knows."""
        if not lines:
            return _Lines([], [], [], [], [])
        parts = [line.rsplit(b" ", 2) for line in lines]
        try:
            prefixes, values, times = map(list, zip(*parts, strict=True))
        except ValueError:
            parts = [part if len(part) == 3 else [b"\n", b"", b""] for part in parts]
            prefixes, values, times = map(list, zip(*parts, strict=True))
        numbers = list(map(self._prefixes.get, prefixes))
        if None in numbers:
            # A family's samples follow each other: once the first is read, the others know their series.
            first = {
                prefix: at for at, (prefix, number) in enumerate(zip(prefixes, numbers, strict=True)) if number is None
            }
            for prefix, at in first.items():
                self._remember(lines[at], prefix)
            numbers = list(map(self._prefixes.get, prefixes))
        return _Lines(lines, prefixes, numbers, values, times)

    def _page(self, found: _Lines, infos: dict[str, MetricInfo]) -> HistoryPage:
        """Raises ValueError (a ParseError is none) when some line cannot be read."""
        if None in found.numbers:
            kept = [i for i, number in enumerate(found.numbers) if number is not None or self._read_alone(found, i)]
            if len(kept) < len(found.lines):
                found.numbers = [found.numbers[i] for i in kept]
                found.values, found.times = [found.values[i] for i in kept], [found.times[i] for i in kept]
        values = _floats(found.values)
        times = _floats(found.times)
        if self.unit == "auto" and len(times):
            self.unit = "ms" if abs(times[0]) >= MS_FROM else "s"
        scale = 1.0 if self.unit == "ms" else 1000.0
        if not (np.abs(times) * scale <= MAX_S * 1000).all():
            raise ValueError("a time is out of range")
        t_ms = np.rint(times * scale).astype(np.int64)
        return HistoryPage(np.array(found.numbers, np.int32), t_ms, values, found.exemplars, infos)

    def _remember(self, line: bytes, prefix: bytes) -> None:
        """Learn what a series' lines look like from one of them, if it is as plain as most."""
        try:
            parsed = parse_sample(line, openmetrics=True)
        except ParseError:
            return
        if parsed.exemplar is None and parsed.t_ms is not None and len(prefix) == parsed.series_end:
            self._prefixes[prefix] = self._number(parsed)

    def _read_alone(self, found: _Lines, index: int) -> bool:
        """Read a line that is not plain: an exemplar, doubled blanks. Return False for one of blanks only."""
        line = found.lines[index]
        if not line.strip(b" \t"):
            return False
        try:
            parsed = parse_sample(line, openmetrics=True)
        except ParseError as error:
            raise ValueError(str(error)) from None
        if parsed.t_ms is None:
            raise ValueError("no time")
        found.numbers[index] = self._number(parsed)
        # As a plain line has them: the rest of the way is one for all.
        found.values[index] = repr(parsed.value).encode()
        found.times[index] = repr(parsed.t_ms / 1000).encode()
        if parsed.exemplar is not None:
            own, labels = parsed.exemplar, series_from_pairs(parsed.pairs, self._types)
            t_ms = parsed.t_ms if own.t_ms is None else own.t_ms
            found.exemplars.append(Exemplar(labels, labels_from_pairs(own.pairs), t_ms, own.value))
        return True

    def _number(self, parsed: SampleLine) -> int:
        labels = series_from_pairs(parsed.pairs, self._types)
        number = self._numbers.get(labels)
        if number is None:
            number = self._numbers[labels] = len(self.labels)
            self.labels.append(labels)
        return number

    def _blame(self, lines: list[bytes]) -> None:
        """Raise for the first line that cannot be read."""
        for index, line in enumerate(lines):
            if not line.strip(b" \t") or line.lstrip(b" \t")[:1] == b"#":
                continue
            try:
                parsed = parse_sample(line, openmetrics=True)
                self._check_time(parsed, line)
            except ParseError as error:
                raise ParseError(str(error), self.line + index) from None

    def _check_time(self, parsed: SampleLine, line: bytes) -> None:
        shown = repr(line[:80].decode(errors="replace"))
        if parsed.t_ms is None:
            raise ParseError(f"no timestamp in {shown}: history needs one in each line")
        seconds = parsed.t_ms / (1_000_000 if self.unit == "ms" else 1000)
        if abs(seconds) > MAX_S:
            raise ParseError(f"the timestamp of {shown} is out of range; it is read as {_unit_name(self.unit)}")


def _unit_name(unit: TimeUnit) -> str:
    return "milliseconds" if unit == "ms" else "seconds"


def _floats(texts: list[bytes]) -> NDArray[np.float64]:
    """Read floats as Go does. Raises ValueError."""
    if b"".join(texts).translate(None, VALUE_BYTES):
        raise ValueError("not a number")
    return np.array(list(map(float, texts)), np.float64)
