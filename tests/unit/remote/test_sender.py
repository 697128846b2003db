"""The sender repeats what may yet be taken, drops what never will, keeps order, and forgets nothing over a restart."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from agentgauge.model.clock import SystemClock
from agentgauge.model.labels import Labels, labels_from_mapping
from agentgauge.model.sample import MetricInfo
from agentgauge.remote.requests import RequestWriter
from agentgauge.remote.sender import HEADERS, Destination, Sender
from agentgauge.remote.snappy import unpacked
from agentgauge.remote.wire import WriteRequestReader
from agentgauge.store.outbox import Entry

A, B = labels_from_mapping({"__name__": "a"}), labels_from_mapping({"__name__": "b"})


def entry(seq: int, *samples: tuple[Labels, int, float]) -> Entry:
    labels, times, values = zip(*samples, strict=True) if samples else ((), (), ())
    return Entry(seq, labels, np.array(times, np.int64), np.array(values, np.float64))


@dataclass
class FakeQueue:
    """A queue in memory."""

    entries: list[Entry]
    place: int = 0

    def read(self, destination: str) -> Sequence[Entry]:
        return [one for one in self.entries if one.seq > self.place][:3]

    def took(self, destination: str, seq: int) -> None:
        assert seq > self.place
        self.place = seq

    def oldest_ms(self, destination: str) -> int | None:
        return None

    def trim(self) -> dict[str, int]:
        return {}


@dataclass
class FakeReceiver:
    """A receiver that answers as ``script`` says, then 204; a request that it takes is in ``taken``."""

    script: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    taken: list[tuple[Labels, int, float]] = field(default_factory=list)
    infos: dict[str, MetricInfo] = field(default_factory=dict)
    n_requests: int = 0
    url: str = ""

    async def write(self, request: web.Request) -> web.Response:
        body = unpacked(await request.read())
        assert all(request.headers[name] == value for name, value in HEADERS.items())
        message = WriteRequestReader().read(body)
        self.infos.update(message.infos)
        if not message.series:
            return web.Response(status=204)
        self.n_requests += 1
        if self.script:
            status, headers = self.script.pop(0)
            return web.Response(status=status, headers=headers, text="why")
        self.taken += [(series.labels, t, v) for series in message.series for t, v in series.samples]
        return web.Response(status=204)


@pytest.fixture
async def receiver() -> AsyncIterator[FakeReceiver]:
    fake = FakeReceiver()
    app = web.Application()
    app.router.add_post("/write", fake.write)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}/write"
    yield fake
    await runner.cleanup()


def sender_of(queue: FakeQueue, url: str, counts: dict[str, int] | None = None) -> Sender:
    def count(what: str, _: str, n: int) -> None:
        if counts is not None:
            counts[what] = counts.get(what, 0) + n

    infos = {"a": (MetricInfo("gauge", "An a.", ""),)}
    return Sender(
        Destination("x", url), lambda: queue, lambda: infos, SystemClock(), count, poll_s=0.01, first_pause_s=0.01
    )


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.005)


async def send_all(sender: Sender) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(20):
        while await sender.send_some(session):
            pass


async def test_everything_arrives_in_order(receiver: FakeReceiver) -> None:
    """Entry by entry, with descriptions, and the queue is told."""
    queue = FakeQueue([entry(i, (A, i, float(i)), (B, i, -float(i))) for i in range(1, 9)])
    counts: dict[str, int] = {}
    await send_all(sender_of(queue, receiver.url, counts))
    assert [row for row in receiver.taken if row[0] == A] == [(A, i, float(i)) for i in range(1, 9)]
    assert [row for row in receiver.taken if row[0] == B] == [(B, i, -float(i)) for i in range(1, 9)]
    assert (queue.place, counts) == (8, {"sent": 16})
    assert receiver.infos == {"a": MetricInfo("gauge", "An a.", "")}


async def test_what_may_yet_be_taken_is_repeated(receiver: FakeReceiver) -> None:
    """5xx, 429 and redirects: the same samples again, until they are taken; Retry-After in seconds and as a date."""
    receiver.script = [
        (503, {}), (500, {"Retry-After": "0"}), (429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        (302, {"Location": "/elsewhere"}), (429, {"Retry-After": "nonsense"}),
    ]  # fmt: skip
    queue = FakeQueue([entry(1, (A, 1, 1.0)), entry(2, (A, 2, 2.0))])
    sender = sender_of(queue, receiver.url)
    await send_all(sender)
    assert receiver.taken == [(A, 1, 1.0), (A, 2, 2.0)]
    assert receiver.n_requests == 6
    assert sender.last_error == ""


async def test_what_is_refused_for_good_is_dropped_and_counted(receiver: FakeReceiver) -> None:
    """A 400 costs its request alone."""
    receiver.script = [(400, {})]
    queue = FakeQueue([entry(i, (A, i, float(i))) for i in range(1, 6)])
    counts: dict[str, int] = {}
    await send_all(sender_of(queue, receiver.url, counts))
    assert counts == {"refused": 3, "sent": 2}
    assert (receiver.taken, queue.place) == ([(A, 4, 4.0), (A, 5, 5.0)], 5)


async def test_a_receiver_that_is_not_there_is_waited_for(receiver: FakeReceiver, unused_port: int) -> None:
    """Nothing listens: the sender keeps asking, the queue keeps its place; then all is sent."""
    queue = FakeQueue([entry(1, (A, 1, 1.0))])
    sender = sender_of(queue, f"http://127.0.0.1:{unused_port}/write")
    async with aiohttp.ClientSession() as session:
        running = asyncio.create_task(sender.run(session))
        await until(lambda: "refused" in sender.last_error.lower() or "connect" in sender.last_error.lower())
        assert queue.place == 0
        sender.destination = Destination("x", receiver.url)
        await until(lambda: queue.place == 1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert receiver.taken == [(A, 1, 1.0)]


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_forgotten_series_are_counted(receiver: FakeReceiver) -> None:
    """Samples whose series nobody knows any more are left out and counted."""
    counts: dict[str, int] = {}
    queue = FakeQueue([entry(1, ((), 1, 1.0), (A, 1, 2.0)), entry(2, ((), 2, 1.0))])
    await send_all(sender_of(queue, receiver.url, counts))
    assert (receiver.taken, counts, queue.place) == ([(A, 1, 2.0)], {"sent": 1, "forgotten": 2}, 2)


@given(
    st.lists(st.lists(st.sampled_from([A, B, ()]), max_size=7), max_size=6),
    st.integers(1, 5),
)
def test_requests_hold_what_the_entries_say(shapes: list[list[Labels]], max_samples: int) -> None:
    """Cut anywhere, requests are bounded, hold all samples in order, and say which entry is done only when it is."""
    entries = [
        entry(i + 1, *((labels, 100 * i + j, float(j)) for j, labels in enumerate(shape)))
        for i, shape in enumerate(shapes)
    ]
    found: dict[Labels, list[int]] = {A: [], B: []}
    n_forgotten = 0
    for request in RequestWriter(max_samples).requests(entries):
        assert request.n_samples <= max_samples
        message = WriteRequestReader().read(request.body)
        assert sum(len(series.samples) for series in message.series) == request.n_samples
        for series in message.series:
            found[series.labels] += [t for t, _ in series.samples]
        n_forgotten += request.n_forgotten
        if request.done_seq is not None:
            due = [
                t
                for one in entries[: request.done_seq]
                for labels, t in zip(one.labels, one.t_ms, strict=True)
                if labels
            ]
            assert len(due) <= sum(map(len, found.values()))
    for labels, times in found.items():
        assert times == [
            t for one in entries for own, t in zip(one.labels, one.t_ms.tolist(), strict=True) if own == labels
        ]
    assert n_forgotten == sum(shape.count(()) for shape in shapes)
