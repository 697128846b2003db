"""The receiver stores what it can, says what it cannot, and picks codes that make senders do the right thing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from agentgauge.errors import StoreFull
from agentgauge.model.clock import SystemClock
from agentgauge.model.labels import labels_from_mapping
from agentgauge.model.sample import MetricInfo, Sample
from agentgauge.remote.receiver import Answer, Receiver
from agentgauge.remote.snappy import MAX_UNPACKED_BYTES, packed
from agentgauge.remote.wire import encode_labels, encode_write_request
from agentgauge.store.store import Store

NOW_MS = SystemClock.now_ms()
UP = labels_from_mapping({"__name__": "up", "job": "j"})


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store.in_memory()
    yield store
    store.close()


def body(*samples: tuple[int, float], labels: tuple[tuple[str, str], ...] = UP) -> bytes:
    infos = {"up": MetricInfo("gauge", "Is it up.", "")}
    return packed(encode_write_request([(encode_labels(labels), samples)], infos))


def take(store: Store, body: bytes, counts: dict[str, int] | None = None, **headers: str) -> Answer:
    def count(what: str, n: int) -> None:
        if counts is not None:
            counts[what] = counts.get(what, 0) + n

    return Receiver(store, count).take(body, {name.replace("_", "-"): value for name, value in headers.items()})


def test_samples_are_stored(store: Store) -> None:
    """A request is answered 204, its samples and descriptions are there."""
    headers = {"content_type": "application/x-protobuf", "content_encoding": "snappy"}
    assert take(store, body((NOW_MS, 1.0)), **headers) == Answer(204)
    (block,) = store.select([], NOW_MS, NOW_MS)
    assert (list(block.labels), block.values.ravel().tolist()) == ([UP], [1.0])
    assert store.metadata() == {"up": (MetricInfo("gauge", "Is it up.", ""),)}


def test_too_old_and_too_new_are_refused_and_counted(store: Store) -> None:
    """What fits is kept, the rest named with 400: the sender must not try again."""
    counts: dict[str, int] = {}
    answer = take(store, body((NOW_MS - 10 * 3_600_000, 1.0), (NOW_MS, 2.0), (NOW_MS + 3_600_000, 3.0)), counts)
    assert answer.status == 400
    assert "too old sample: 1" in answer.text
    assert "out of bounds: 1" in answer.text
    assert counts == {"received": 1, "too_old": 1, "too_new": 1}


def test_a_nameless_series_costs_itself_alone(store: Store) -> None:
    """Samples without a metric name are refused; they cannot be asked for."""
    answer = take(store, body((NOW_MS, 1.0), labels=(("job", "j"),)))
    assert (answer.status, "no metric name" in answer.text) == (400, True)
    assert store.n_series == 0


@pytest.mark.parametrize(
    ("body_", "text"),
    [
        (b"", "snappy"),
        (b"hello", "snappy"),
        (packed(b"\x0a\xff"), "ends too early"),
        (b"\xff\xff\xff\xff\x0fabc", "limit"),
    ],
)
def test_what_is_no_request_is_refused(store: Store, body_: bytes, text: str) -> None:
    """Junk and bombs are answered 400 before anything is unpacked at their word."""
    answer = take(store, body_)
    assert answer.status == 400
    assert text in answer.text
    assert MAX_UNPACKED_BYTES < 1 << 30


@pytest.mark.parametrize(
    "headers",
    [
        {"content_type": "application/json"},
        {"content_type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"},
        {"content_encoding": "zstd"},
    ],
)
def test_other_versions_fall_back(store: Store, headers: dict[str, str]) -> None:
    """415 makes a sender of remote write 2.0 speak 1.0."""
    assert take(store, body((NOW_MS, 1.0)), **headers).status == 415


def test_version_one_by_name_is_taken(store: Store) -> None:
    """The content type may name the message."""
    kind = "application/x-protobuf;proto=prometheus.WriteRequest"
    assert take(store, body((NOW_MS, 1.0)), content_type=kind) == Answer(204)


class FullStore:
    """A store without room."""

    def append(self, samples: object) -> None:
        raise StoreFull("the disk is full")

    def set_metadata(self, infos: Mapping[str, MetricInfo]) -> None:
        """Take nothing."""

    def add_exemplars(self, exemplars: object) -> None:
        """Take nothing."""


def test_a_full_disk_asks_to_try_again() -> None:
    """503 is what senders retry."""
    answer = Receiver(FullStore()).take(body((NOW_MS, 1.0)), {})  # type: ignore[arg-type]
    assert (answer.status, "full" in answer.text) == (503, True)


def test_samples_come_once(store: Store) -> None:
    """A request that is sent again, because its answer was lost, changes nothing."""
    for _ in range(2):
        assert take(store, body((NOW_MS, 1.0))) == Answer(204)
    assert store.append([Sample(UP, NOW_MS, 1.0)]).appended == 1
    (block,) = store.select([], NOW_MS - 1000, NOW_MS)
    assert block.values.ravel().tolist() == [1.0]
