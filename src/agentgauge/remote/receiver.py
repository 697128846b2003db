"""What a remote write request does here: checked, unpacked, stored; the answer tells the sender whether to try again.

What can be stored of a request is; the answer then names what was refused, with a code that a sender does not retry.
Only a store that cannot take samples right now answers with one that it does. No HTTP here.
Source: the remote write 1.0 specification; Prometheus storage/remote/write_handler.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agentgauge.errors import ParseError, StoreError
from agentgauge.model.labels import METRIC_NAME
from agentgauge.model.sample import Exemplar, MetricInfo, Sample
from agentgauge.remote.snappy import unpacked
from agentgauge.remote.wire import WriteRequest, WriteRequestReader

MAX_BODY_BYTES = 32 << 20


class Report(Protocol):
    """What happened to samples."""

    @property
    def appended(self) -> int:
        """How many are in the file."""

    @property
    def too_old(self) -> int:
        """How many were older than the out-of-order window."""

    @property
    def too_new(self) -> int:
        """How many were too far ahead of the clock."""


class Sink(Protocol):
    """What the receiver needs of a store."""

    def append(self, samples: Iterable[Sample]) -> Report:
        """Store samples with times of their own."""

    def set_metadata(self, infos: Mapping[str, MetricInfo]) -> None:
        """Remember what metric families are."""

    def add_exemplars(self, exemplars: Sequence[Exemplar]) -> None:
        """Keep exemplars of series that are known."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status, and what to say; a text is there when something was refused."""

    status: int
    text: str = ""


class Receiver:
    """Takes requests for a store.

    Thread-safety: any thread.
    """

    def __init__(self, sink: Sink, count: Callable[[str, int], None] = lambda _what, _n: None) -> None:
        """``count`` gets ``received``, or the reason of a refusal, and how many samples."""
        self._sink = sink
        self._count = count
        self._reader = WriteRequestReader()

    def take(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Store what a request holds; ``headers`` by lower-case name."""
        refusal = _refusal(headers)
        if refusal is not None:
            return refusal
        try:
            request = self._reader.read(unpacked(body))
        except ParseError as error:
            return Answer(400, f"{error}\n")
        try:
            return self._store(request)
        except StoreError as error:
            return Answer(503, f"{error}\n")

    def _store(self, request: WriteRequest) -> Answer:
        named = [series for series in request.series if any(name == METRIC_NAME for name, _ in series.labels)]
        samples = [Sample(series.labels, t_ms, value) for series in named for t_ms, value in series.samples]
        nameless = sum(len(series.samples) for series in request.series) - len(samples)
        report = self._sink.append(samples) if samples else None
        if request.infos:
            self._sink.set_metadata(request.infos)
        if request.exemplars:
            self._sink.add_exemplars(request.exemplars)
        refused = {
            "too_old": report.too_old if report else 0,
            "too_new": report.too_new if report else 0,
            "nameless": nameless,
            "native_histogram": request.n_histograms,
        }
        self._count("received", report.appended if report else 0)
        for reason, n in refused.items():
            if n:
                self._count(reason, n)
        texts = [_TEXTS[reason].format(n=n) for reason, n in refused.items() if n]
        return Answer(400, "; ".join(texts) + "\n") if texts else Answer(204)


_TEXTS = {
    "too_old": "too old sample: {n} samples are older than the out-of-order window allows",
    "too_new": "out of bounds: {n} samples lie more than 10 minutes ahead of this server's clock",
    "nameless": "{n} samples have no metric name",
    "native_histogram": "{n} native histograms are not stored here",
}


def _refusal(headers: Mapping[str, str]) -> Answer | None:
    """Tell what is not remote write 1.0, in the codes that make a sender fall back to it."""
    kind = headers.get("content-type", "")
    main, _, proto = (part.strip().lower() for part in kind.partition(";"))
    if kind and (
        main != "application/x-protobuf" or proto.removeprefix("proto=") not in ("", "prometheus.writerequest")
    ):
        return Answer(415, f"{kind} is not taken here: send application/x-protobuf, remote write 1.0\n")
    encoding = headers.get("content-encoding", "snappy").lower()
    if encoding != "snappy":
        return Answer(415, f"{encoding} encoding is not taken here: send snappy\n")
    return None
