"""Server-sent ticks for the page, each computed once and sent to all who look at the same view.

Theory of operation: a *view* is a range of time and a choice of agents. The first client of a view starts its
channel, a task that wakes on every multiple of the interval, computes one tick and puts the same bytes into the queue
of every client; the last client to leave ends it. A queue is bounded and drops its oldest tick, so a client that reads
slowly lags and never grows. The last ticks are kept: a client that comes back with ``Last-Event-ID`` gets what it
missed, as far as they reach; it fills what is older by ``query_range``.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

from agentgauge.backends.backend import Backend
from agentgauge.model.clock import Clock
from agentgauge.server.tick import compute_tick
from agentgauge.view.panels import Display

RETRY_MS = 2000
COMMENT_EVERY_S = 15.0
QUEUE_SIZE = 8
REPLAY_SIZE = 60
MAX_CHANNELS = 16
MAX_CLIENTS = 100
SETTLE_S = 0.5
"""How long after its time a tick is computed: a scrape that started just before must have been stored."""


class TooManyClients(Exception):
    """Report that this server already feeds as many event streams or views as it will."""


class Live:
    """The channels of one server; lives in one event loop."""

    def __init__(
        self, backend: Backend, clock: Clock, interval_s: float, *, comment_every_s: float = COMMENT_EVERY_S
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._interval_s = interval_s
        self._comment_every_s = comment_every_s
        self._channels: dict[Display, _Channel] = {}

    @property
    def n_clients(self) -> int:
        """Return how many event streams are open."""
        return sum(len(channel.queues) for channel in self._channels.values())

    def check_room(self, display: Display) -> None:
        """Raise TooManyClients when one more client of this view is one too many."""
        full = display not in self._channels and len(self._channels) >= MAX_CHANNELS
        if full or self.n_clients >= MAX_CLIENTS:
            raise TooManyClients("this server already feeds as many pages as it will; close one and reload")

    async def stream(self, display: Display, last_id: int | None = None) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of one client's event stream until the client leaves or the server closes."""
        channel = self._channels.get(display) or self._start_channel(display)
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE_SIZE)
        channel.queues.add(queue)
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            for event in channel.missed_since(last_id):
                yield event
            async for event in _events(queue, self._comment_every_s):
                yield event
        finally:
            channel.queues.discard(queue)
            if not channel.queues:
                channel.task.cancel()
                if self._channels.get(display) is channel:
                    del self._channels[display]

    def close(self) -> None:
        """End all streams, so that the server can stop without waiting for browsers to leave."""
        for channel in self._channels.values():
            channel.task.cancel()
            for queue in channel.queues:
                _put(queue, None)

    def _start_channel(self, display: Display) -> _Channel:
        channel = _Channel()
        channel.task = asyncio.create_task(self._run(channel, display), name=f"ticks of {display}")
        self._channels[display] = channel
        return channel

    async def _run(self, channel: _Channel, display: Display) -> None:
        interval_ms = round(self._interval_s * 1000)
        settle_ms = min(SETTLE_S * 1000, interval_ms / 4)
        step_ms = round(display.step_s * 1000)
        done_ms = charts_done_ms = 0
        while True:
            t_ms = int(self._clock.now_ms() - settle_ms) // interval_ms * interval_ms
            if t_ms > done_ms:
                # Ticks may be late and skip a beat; the step that lay in between is made up for, not lost.
                charts_ms = t_ms // step_ms * step_ms
                due_ms = charts_ms if charts_ms > charts_done_ms else None
                channel.send(t_ms, await compute_tick(self._backend, display, t_ms, charts_ms=due_ms))
                done_ms, charts_done_ms = t_ms, charts_ms
            wait_ms = done_ms + interval_ms + settle_ms - self._clock.now_ms()
            await asyncio.sleep(max(wait_ms, 1) / 1000)


class _Channel:
    """One view: its task, its clients' queues, its last ticks."""

    __slots__ = ("_kept", "queues", "task")

    task: asyncio.Task[None]

    def __init__(self) -> None:
        self.queues: set[asyncio.Queue[bytes | None]] = set()
        self._kept: deque[tuple[int, bytes]] = deque(maxlen=REPLAY_SIZE)

    def send(self, t_ms: int, body: bytes) -> None:
        event = b"id: %d\nevent: tick\ndata: %b\n\n" % (t_ms, body)
        self._kept.append((t_ms, event))
        for queue in self.queues:
            _put(queue, event)

    def missed_since(self, last_id: int | None) -> list[bytes]:
        """Return the ticks after an id; without an id the newest, so that a new client need not wait for one."""
        if last_id is None:
            return [event for _, event in list(self._kept)[-1:]]
        return [event for t_ms, event in self._kept if t_ms > last_id]


def _put(queue: asyncio.Queue[bytes | None], event: bytes | None) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(event)


async def _events(queue: asyncio.Queue[bytes | None], comment_every_s: float) -> AsyncGenerator[bytes, None]:
    """Yield what arrives, a comment when nothing does: proxies close silent connections."""
    while True:
        try:
            async with asyncio.timeout(comment_every_s):
                event = await queue.get()
        except TimeoutError:
            event = b": still here\n\n"
        if event is None:
            return
        yield event
