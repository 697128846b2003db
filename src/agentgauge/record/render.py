"""A snapshot as exposition text: text 0.0.4 and OpenMetrics 1.0, with what never changes cached per series.

A line is a prefix (name, escaped labels) made once per series, and a value. Seconds are written from nanoseconds
without a float between, so they are exact. The text comes in pieces of bounded work: whoever renders beside an event
loop can let it run between two pieces.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate

from agentgauge.record.snapshot import Exemplar, Family, Snapshot

PIECE_LINES = 1_000
"""Lines per piece: a fifth of a millisecond once the prefixes are there, two when they are new."""

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class Renderer:
    """Text of the snapshots of one ledger; keeps the prefixes between scrapes.

    Thread-safety: one thread at a time (``expose.py`` holds a lock around it).
    """

    __slots__ = ("_epoch", "_pages")

    def __init__(self) -> None:
        self._epoch = 0
        self._pages: dict[str, Page] = {}

    def pieces(self, snapshot: Snapshot, *, open_metrics: bool = False) -> Iterator[str]:
        """Yield the text of a snapshot, in pieces of about a thousand lines; no ``# EOF``."""
        if snapshot.epoch != self._epoch:
            self._epoch = snapshot.epoch
            self._pages.clear()
        for family, size in zip(snapshot.families, snapshot.sizes, strict=True):
            if size:
                page = self._page(family)
                yield page.header(open_metrics)
                yield from page.pieces(snapshot, size, with_exemplars=open_metrics and bool(snapshot.observed))

    def _page(self, family: Family) -> Page:
        page = self._pages.get(family.metric.name)
        if page is None or page.family is not family:
            page = self._pages[family.metric.name] = Page(family)
        return page


class Page:
    """The lines of one metric: a prefix per series, and one template for all of them.

    The template of a histogram is its series' lines; of a number, the end of the line before and the metric's name.
    """

    __slots__ = ("_prefixes", "_template", "family")

    def __init__(self, family: Family) -> None:
        self.family = family
        self._prefixes: list[str] = []
        name = family.metric.name
        self._template = _template(family) if family.bounds else f"\n{name}{{" if family.metric.labels else f"\n{name}"

    def header(self, open_metrics: bool) -> str:
        """Return HELP and TYPE, and UNIT where the name ends with it."""
        row = self.family.metric
        if not open_metrics:
            help_text = row.help.replace("\\", r"\\").replace("\n", r"\n")
            return f"# HELP {row.name} {help_text}\n# TYPE {row.name} {row.type}\n"
        name = row.name[: -len("_total")] if row.type == "counter" else row.name
        unit = f"# UNIT {name} seconds\n" if name.endswith("_seconds") else ""
        return f"# HELP {name} {row.help.translate(_ESCAPES)}\n# TYPE {name} {row.type}\n{unit}"

    def pieces(self, snapshot: Snapshot, size: int, *, with_exemplars: bool) -> Iterator[str]:
        """Yield the lines of the first ``size`` series."""
        step = max(1, PIECE_LINES // self.family.n_lines)
        for first in range(0, size, step):
            last = min(first + step, size)
            if last > len(self._prefixes):
                self._extend(last)
            if not self.family.bounds:
                yield self._numbers(snapshot.values, first, last)
            elif with_exemplars:
                yield self._histograms_with_exemplars(snapshot, first, last)
            else:
                yield self._histograms(snapshot.values, first, last)

    def _extend(self, size: int) -> None:
        """Make the prefixes of new series: what their lines have beside the name, and for histograms the ``le``."""
        row = self.family.metric
        escape, end = (_escape, "") if self.family.bounds else (_plain_escape, "} " if row.labels else " ")
        for labels in self.family.keys[len(self._prefixes) : size]:
            pairs = [f'{name}="{escape(value)}"' for name, value in zip(row.labels, labels, strict=True)]
            self._prefixes.append(",".join(pairs) + end)

    def _numbers(self, values: list[int], first: int, last: int) -> str:
        starts = self.family.starts[first:last]
        parts = [self._template] * (3 * len(starts))
        parts[1::3] = self._prefixes[first:last]
        parts[2::3] = map(_TEXT_OF_SCALE[self.family.scale], [values[slot] for slot in starts])
        return "".join(parts)[1:] + "\n"

    def _histograms(self, values: list[int], first: int, last: int) -> str:
        template, width, text = self._template, self.family.width, _TEXT_OF_SCALE[self.family.scale]
        lines = []
        for labels, slot in zip(self._prefixes[first:last], self.family.starts[first:last], strict=True):
            counts = tuple(accumulate(values[slot + 1 : slot + width]))
            lines.append(template.replace("\0", labels) % (*counts, counts[-1], text(values[slot])))
        return "".join(lines)

    def _histograms_with_exemplars(self, snapshot: Snapshot, first: int, last: int) -> str:
        """Draw histograms line by line where a bucket has an exemplar."""
        width, scale = self.family.width, self.family.scale
        lines = []
        for i in range(first, last):
            text = self._histograms(snapshot.values, i, i + 1)
            slot = self.family.starts[i] + 1
            found = [j for j in range(width - 1) if slot + j in snapshot.observed]
            if found:
                # A label value cannot hold a bare newline, so lines are lines.
                rows = text.split("\n")
                for j in found:
                    rows[j] += _exemplar_text(snapshot.exemplar(slot + j), scale)
                text = "\n".join(rows)
            lines.append(text)
        return "".join(lines)


def _template(family: Family) -> str:
    """Return the lines of one histogram series: NUL where its labels go, ``%`` where its values go."""
    name = family.metric.name
    comma = "," if family.metric.labels else ""
    buckets = "".join(f'{name}_bucket{{\0{comma}le="{bound}"}} %d\n' for bound in family.bound_texts)
    labels = "{\0}" if family.metric.labels else ""
    return f"{buckets}{name}_count{labels} %d\n{name}_sum{labels} %s\n"


def _plain_escape(value: str) -> str:
    """Escape a label value; most have nothing to escape."""
    return value.translate(_ESCAPES)


def _escape(value: str) -> str:
    """Escape a label value for a template that ``%`` fills."""
    return value.translate(_ESCAPES).replace("%", "%%")


def _exemplar_text(exemplar: Exemplar, scale: int) -> str:
    pairs = ",".join(f'{name}="{value}"' for name, value in exemplar.labels().items())
    return f" # {{{pairs}}} {_TEXT_OF_SCALE[scale](exemplar.value)} {exemplar.t_ms // 1000}.{exemplar.t_ms % 1000:03d}"


def _billionths(value: int) -> str:
    """Write an integer of nanoseconds as seconds, exactly."""
    if not value:
        return "0.0"
    return "%d.%09d" % divmod(value, 1_000_000_000) if value > 0 else repr(value / 1_000_000_000)  # noqa: UP031 -- twice as fast


_TEXT_OF_SCALE: dict[int, Callable[[int], str]] = {1: str, 1_000_000_000: _billionths}
"""How a value of a scale (``record/buckets.py``) is written."""
