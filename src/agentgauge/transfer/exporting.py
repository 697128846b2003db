"""Export: what a store holds as OpenMetrics text, the way ``promtool tsdb create-blocks-from openmetrics`` takes it.

Metric families in the order of their names, described where the store knows them; the samples of a series ascend.
Series are read a batch at a time, and over a long time a stretch at a time, so memory stays bounded; the lines of
series of one metric then take turns, which promtool does not mind. Stale markers have no place in the format; nor do
exemplars here. Source: OpenMetrics 1.0; Prometheus cmd/promtool/backfill.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agentgauge.database import Database, matchers_from_text
from agentgauge.model.labels import METRIC_NAME, Labels, Matcher, label_value
from agentgauge.model.sample import STALE_BITS, MetricInfo
from agentgauge.model.series import DenseBlock, SeriesBlock, Times, Values

EVERYTHING = '{__name__!=""}'
DAY_MS = 86_400_000
SERIES_DAYS = 1_000
"""How much of one metric is read at once: at a scrape every 5 s this is 140 MB."""
CHUNK_LINES = 20_000

_SUFFIXES = {
    "counter": ("_total", "_created"),
    "gaugehistogram": ("_bucket", "_gcount", "_gsum"),
    "histogram": ("_bucket", "_count", "_sum", "_created"),
    "info": ("_info",),
    "summary": ("_count", "_sum", "_created"),
}
_LEGACY_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


@dataclass(frozen=True, slots=True)
class _Family:
    """Metrics that are described together."""

    name: str
    info: MetricInfo | None
    metrics: tuple[str, ...]


def export_text(
    database: Database,
    start_ms: int,
    end_ms: int,
    *,
    selectors: Sequence[str] = (),
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Iterator[str]:
    """Yield pieces of the text; ``progress`` gets how many metrics of how many are done.

    Raises:
        BadQuery: a selector cannot be read.
        StoreError: the store cannot.
    """
    span = database.store.time_range() or (0, -1)
    start_ms, end_ms = max(start_ms, span[0]), min(end_ms, span[1])
    wanted = [matchers_from_text(text) for text in selectors or (EVERYTHING,)]
    n_series: dict[str, int] = {}
    for labels in database.store.series(wanted, start_ms, end_ms):
        name = label_value(labels, METRIC_NAME)
        n_series[name] = n_series.get(name, 0) + 1
    known = {name: infos[0] for name, infos in database.metadata().items()}
    done = 0
    for family in _families(sorted(n_series), known):
        yield _description(family)
        for metric in family.metrics:
            for window in _windows(start_ms, end_ms, n_series[metric]):
                yield from _samples(database, metric, wanted, *window)
            done += 1
            progress(done, len(n_series))
    yield "# EOF\n"


def _families(metrics: Sequence[str], known: Mapping[str, MetricInfo]) -> list[_Family]:
    """Sort metrics into families: ``h_bucket`` goes to ``h`` when that is known as a histogram."""
    members: dict[str, list[str]] = {}
    for metric in metrics:
        members.setdefault(_family_name(metric, known), []).append(metric)
    return [
        _Family(name, known.get(name) or known.get(f"{name}_total"), tuple(found))
        for name, found in sorted(members.items())
    ]


def _family_name(metric: str, known: Mapping[str, MetricInfo]) -> str:
    info = known.get(metric)
    if info is not None and info.type == "counter":
        return metric.removesuffix("_total")
    for suffix in ("_total", "_bucket", "_count", "_sum", "_created", "_info", "_gcount", "_gsum"):
        base = metric.removesuffix(suffix)
        if base != metric and base in known and suffix in _SUFFIXES.get(known[base].type, ()):
            return base
    return metric


def _description(family: _Family) -> str:
    info = family.info
    if info is None or _LEGACY_NAME.fullmatch(family.name) is None:
        return ""
    kind = info.type or "unknown"
    if kind == "counter" and not all(m.endswith(_SUFFIXES["counter"]) for m in family.metrics):
        kind = "unknown"  # OpenMetrics has no counter without _total
    lines = [f"# HELP {family.name} {info.help.translate(_ESCAPES)}\n"] if info.help else []
    lines.append(f"# TYPE {family.name} {kind}\n")
    if info.unit and family.name.endswith(f"_{info.unit}"):
        lines.append(f"# UNIT {family.name} {info.unit}\n")
    return "".join(lines)


def _windows(start_ms: int, end_ms: int, n_series: int) -> Iterator[tuple[int, int]]:
    """Cut the time of a metric into stretches of bounded size."""
    length = max(1, SERIES_DAYS // n_series) * DAY_MS
    while start_ms <= end_ms:
        cut = start_ms // DAY_MS * DAY_MS + length - 1
        yield start_ms, min(cut, end_ms)
        start_ms = cut + 1


def _samples(
    database: Database, metric: str, wanted: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int
) -> Iterator[str]:
    written: set[Labels] = set()
    for matchers in wanted:
        before = frozenset(written)
        for block in database.store.select([Matcher(METRIC_NAME, "=", metric), *matchers], start_ms, end_ms):
            shared = _texts(block.t_ms) if isinstance(block, DenseBlock) else None
            for i, labels in enumerate(block.labels):
                if labels not in before:
                    written.add(labels)
                    yield from _lines(labels, *_series(block, i, shared))


def _series(block: SeriesBlock, i: int, shared: list[str] | None) -> tuple[list[str], Values]:
    """Return the times, as text, and the values of one series, without stale markers."""
    if isinstance(block, DenseBlock):
        assert shared is not None, "BUG: a dense block shares its times"
        values = block.values[:, i]
        if block.present is None or block.present[:, i].all():
            return shared, values
        present = np.flatnonzero(block.present[:, i])
        return [shared[j] for j in present.tolist()], values[present]
    a, b = int(block.offsets[i]), int(block.offsets[i + 1])
    values = block.values[a:b]
    kept = values.view(np.uint64) != STALE_BITS
    return _texts(block.t_ms[a:b][kept]), values[kept]


def _lines(labels: Labels, times: Sequence[str], values: Values) -> Iterator[str]:
    prefix = series_text(labels) + " "
    if not np.isfinite(values).all():
        texts = [_special(value) for value in values.tolist()]
    else:
        texts = list(map(repr, values.tolist()))
    for at in range(0, len(texts), CHUNK_LINES):
        piece = zip(texts[at : at + CHUNK_LINES], times[at : at + CHUNK_LINES], strict=True)
        yield "".join([f"{prefix}{value} {time}\n" for value, time in piece])


def series_text(labels: Labels) -> str:
    """Write a label set as a sample line begins: ``name{a="b"}``; a name beyond ASCII words goes inside, quoted."""
    name = label_value(labels, METRIC_NAME)
    parts = [f'{_label_name(key)}="{value.translate(_ESCAPES)}"' for key, value in labels if key != METRIC_NAME]
    if _LEGACY_NAME.fullmatch(name) is None:
        return "{" + ",".join([f'"{name.translate(_ESCAPES)}"', *parts]) + "}"
    return name + ("{" + ",".join(parts) + "}" if parts else "")


def _label_name(name: str) -> str:
    return name if _LEGACY_NAME.fullmatch(name) and ":" not in name else f'"{name.translate(_ESCAPES)}"'


def _texts(t_ms: Times) -> list[str]:
    return list(map(time_text, t_ms.tolist()))


def time_text(t_ms: int) -> str:
    """Write milliseconds as the seconds that promtool reads back as the same milliseconds.

    It multiplies by 1000 and cuts, so 1700000000.001 may be read as …000: then a tenth of a millisecond is added.
    """
    sign, size = ("-", -t_ms) if t_ms < 0 else ("", t_ms)
    text = f"{sign}{size // 1000}.{size % 1000:03d}"
    return text if int(float(text) * 1000) == t_ms else text + "1"


def _special(value: float) -> str:
    if value != value:
        return "NaN"
    return {"inf": "+Inf", "-inf": "-Inf"}.get(text := repr(value), text)
