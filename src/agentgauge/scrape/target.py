"""One target: its labels, and what each of its scrapes becomes.

``Target`` says where to scrape and which labels its series get; ``TargetSeries`` turns a text, a failure or the end
into one row of the target's group, with ``up``, the scrape's own series and the stale markers of what vanished.
Pure: times and texts come in, rows go out.
Source: Prometheus ``scrape/scrape.go``, https://prometheus.io/docs/concepts/jobs_instances/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

import numpy as np
from numpy.typing import NDArray

from agentgauge.errors import ConfigError, ParseError
from agentgauge.model.labels import METRIC_NAME, Labels, labels_from_mapping, labels_from_pairs
from agentgauge.model.sample import NO_SAMPLE_BITS, STALE_BITS, Exemplar, MetricInfo, Sample
from agentgauge.model.series import Row
from agentgauge.scrape.columns import Columns
from agentgauge.scrape.text import ExpositionReader, Relabel

DEFAULT_JOB = "agentgauge"

REPORT_METRICS = (
    "scrape_duration_seconds",
    "scrape_samples_post_metric_relabeling",
    "scrape_samples_scraped",
    "scrape_series_added",
    "up",
)
"""The series that a scrape itself leaves behind; they outlive a failed scrape."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one scrape may cost; each is said with its number when it is passed."""

    body_bytes: int = 32 * 1024 * 1024
    samples: int = 200_000
    timeout_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where to scrape, and the labels that every series from there gets.

    ``discovered`` holds the labels before they were reduced, for the targets view.
    """

    url: str
    labels: Labels
    honor_labels: bool = False
    discovered: Labels = field(default=(), compare=False)
    source: str = field(default="static", compare=False)

    @property
    def group_key(self) -> str:
        """The name of its scrape group: equal labels continue the same series."""
        return ",".join(f"{name}={quote(value, safe='')}" for name, value in self.labels)

    @property
    def job(self) -> str:
        """The job label."""
        return dict(self.labels).get("job", "")


def target_from_address(
    address: str, labels: Mapping[str, str] | None = None, *, honor_labels: bool = False, source: str = "static"
) -> Target:
    """Make a target of ``host:port``, ``http://host:port/path``, and labels in the form of ``file_sd``.

    ``__scheme__``, ``__metrics_path__`` and ``__param_<name>`` are honoured; other ``__`` labels are dropped.

    Raises:
        ConfigError: the address cannot be one.
    """
    given = {"job": DEFAULT_JOB, **(labels or {})}
    scheme, path = given.get("__scheme__", "http"), given.get("__metrics_path__", "/metrics")
    query = "&".join(
        f"{quote(name.removeprefix('__param_'))}={quote(value)}"
        for name, value in given.items()
        if name.startswith("__param_")
    )
    host_port = address
    if "://" in address:
        parts = urlsplit(address)
        scheme, host_port, query = parts.scheme, parts.netloc, parts.query or query
        path = parts.path if parts.path not in ("", "/") else path
    if scheme not in ("http", "https") or not host_port or set(host_port) & set(" /?#\\"):
        raise ConfigError(f"target {address!r} is not HOST:PORT or a http(s) URL; for example 127.0.0.1:8001")
    try:
        port = urlsplit(f"//{host_port}").port
    except ValueError:
        raise ConfigError(f"target {address!r} has no usable port; for example 127.0.0.1:8001") from None
    instance = host_port.rpartition("@")[2]
    if port is None:
        instance += ":443" if scheme == "https" else ":80"
    kept = {name: value for name, value in given.items() if not name.startswith("__")}
    return Target(
        f"{scheme}://{host_port}{path}" + (f"?{query}" if query else ""),
        labels_from_mapping({"instance": instance, **kept}),
        honor_labels,
        labels_from_mapping({"__address__": instance, "__scheme__": scheme, "__metrics_path__": path, **given}),
        source,
    )


def relabel_for(target: Target) -> Relabel:
    """Return the function that gives an exposed series its target's labels.

    A label that both have keeps the target's value and the exposed one moves to ``exported_<name>``; with
    ``honor_labels`` the exposed one stays, and the target's is left out.
    """
    own = target.labels
    names = {name for name, _ in own}

    def relabel(exposed: Labels) -> Labels:
        clashing = [name for name, _ in exposed if name in names]
        if not clashing:
            return labels_from_pairs((*exposed, *own))
        if target.honor_labels:
            taken = dict(exposed)
            return labels_from_pairs((*exposed, *(pair for pair in own if pair[0] not in taken)))
        merged = {name: value for name, value in exposed if name not in names} | dict(own)
        for name, value in exposed:
            if name in names:
                moved = f"exported_{name}"
                while moved in merged:
                    moved = f"exported_{moved}"
                merged[moved] = value
        return labels_from_mapping(merged)

    return relabel


@dataclass(frozen=True, slots=True)
class Scraped:
    """What one scrape leaves for the store: a row of the group, and what stands outside rows."""

    row: Row
    n_samples: int = 0
    stamped: Sequence[Sample] = ()
    exemplars: Sequence[Exemplar] = ()
    infos: Mapping[str, MetricInfo] = field(default_factory=dict)


class TargetSeries:
    """The series of one target from scrape to scrape: which live, which vanished.

    Everything stored counts as alive at first: a process that was killed left no stale markers, so the first scrape
    after it ends what is gone.

    Thread-safety: none; a target's scrapes follow one another.
    """

    __slots__ = ("_columns", "_limits", "_live", "_reader", "_report_columns", "_target")

    def __init__(self, target: Target, stored: Sequence[Labels], limits: Limits) -> None:
        self._target = target
        self._limits = limits
        self._columns = Columns(stored)
        self._live = np.ones(len(stored), np.bool_)
        self._start_over()

    def stored(self) -> None:
        """Note that the store acknowledged the last row."""
        self._columns.stored()

    def success(self, body: bytes, t_ms: int, duration_s: float, *, openmetrics: bool = False) -> Scraped:
        """Turn a text into a row: ``up`` is 1, series that are gone get a stale marker.

        Raises:
            ParseError: the text is malformed or holds more samples than the limit; it leaves no trace then.
        """
        try:
            text = self._reader.read(body, t_ms, openmetrics=openmetrics)
        except ParseError:
            self._start_over()
            raise
        bits = self._empty_row()
        bits[text.columns] = text.values.view(np.uint64)
        present = bits != NO_SAMPLE_BITS
        was_live = self._widened_live()
        n_added = int(np.count_nonzero(present & ~was_live))
        bits[was_live & ~present] = STALE_BITS
        self._live = present & (bits != STALE_BITS)
        self._live[self._report_columns] = False
        self._report(bits, 1.0, duration_s, text.n_samples, n_added)
        return Scraped(self._row(bits, t_ms), text.n_samples, text.stamped, text.exemplars, text.infos)

    def failure(self, t_ms: int, duration_s: float) -> Scraped:
        """Turn a failed scrape into a row: ``up`` is 0, everything else that lived is stale."""
        bits = self._empty_row()
        bits[self._widened_live()] = STALE_BITS
        self._live = np.zeros(len(bits), np.bool_)
        self._report(bits, 0.0, duration_s, 0, 0)
        return Scraped(self._row(bits, t_ms))

    def end(self, t_ms: int) -> Scraped:
        """Turn the end of scraping into a row: everything is stale, ``up`` too."""
        bits = self._empty_row()
        bits[self._widened_live()] = STALE_BITS
        bits[self._report_columns] = STALE_BITS
        self._live = np.zeros(len(bits), np.bool_)
        return Scraped(self._row(bits, t_ms))

    def _start_over(self) -> None:
        """Forget series that no row holds yet, and the lines that led to them."""
        self._columns.forget_new()
        self._reader = ExpositionReader(self._columns, relabel_for(self._target), max_samples=self._limits.samples)
        self._report_columns = [
            self._columns.column(labels_from_pairs(((METRIC_NAME, name), *self._target.labels)))
            for name in REPORT_METRICS
        ]

    def _empty_row(self) -> NDArray[np.uint64]:
        return np.full(len(self._columns), NO_SAMPLE_BITS, np.uint64)

    def _widened_live(self) -> NDArray[np.bool_]:
        live = np.zeros(len(self._columns), np.bool_)
        live[: len(self._live)] = self._live
        return live

    def _report(self, bits: NDArray[np.uint64], is_up: float, duration_s: float, n_samples: int, n_added: int) -> None:
        values = np.array([duration_s, n_samples, n_samples, n_added, is_up], np.float64)
        bits[self._report_columns] = values.view(np.uint64)

    def _row(self, bits: NDArray[np.uint64], t_ms: int) -> Row:
        return Row(t_ms, bits.view(np.float64), tuple(self._columns.new_labels))
