"""Remote write to other servers: what the store queues is sent in order, and again until it is taken.

Theory of operation: the queue is in the store's file (``store/outbox.py``), so nothing is lost while a destination, or
this process, is away. A request is repeated, with growing pauses, for as long as the network fails or the receiver
answers 5xx, 429 or a redirect; ``Retry-After`` is kept to. Any other 4xx says that the samples will never be taken:
they are dropped and counted. Only then does the place in the queue move, so after a kill some samples are sent twice,
which receivers take. The queue has a limit; what falls out of it is counted too. No destination waits for another.
Source: the remote write 1.0 specification.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Protocol

import aiohttp

from agentgauge.errors import StoreError
from agentgauge.model.clock import Clock
from agentgauge.model.sample import MetricInfo
from agentgauge.remote.requests import Entry, Request, RequestWriter
from agentgauge.remote.snappy import packed
from agentgauge.remote.wire import encode_write_request

POLL_S = 1.0
TIMEOUT_S = 30.0
FIRST_PAUSE_S, MAX_PAUSE_S = 0.5, 30.0
MAX_RETRY_AFTER_S = 300.0
TRIM_S = 5.0

HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
    "User-Agent": "agentgauge",
}

Count = Callable[[str, str, int], None]
"""Gets ``sent`` or the reason of a drop, the destination and how many samples."""

log = logging.getLogger("agentgauge.remote")


class Queue(Protocol):
    """What a sender needs of the store's queue."""

    def read(self, destination: str) -> Sequence[Entry]:
        """Return the next entries that a destination has not taken."""

    def took(self, destination: str, seq: int) -> None:
        """Note that it has an entry and all before it."""

    def oldest_ms(self, destination: str) -> int | None:
        """Return the time of the oldest sample that it has not taken."""

    def trim(self) -> Mapping[str, int]:
        """Cut the queue to its limit; return the samples lost, by destination."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to send; ``name`` is the URL without what is secret in it."""

    name: str
    url: str


class Sender:
    """Sends to one destination until it is cancelled."""

    def __init__(
        self,
        destination: Destination,
        queue: Callable[[], Queue],
        metadata: Callable[[], Mapping[str, Sequence[MetricInfo]]],
        clock: Clock,
        count: Count,
        *,
        poll_s: float = POLL_S,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self.destination = destination
        self.last_error = ""
        """Why the newest request was not taken; empty when it was."""
        self._queue = queue
        self._metadata = metadata
        self._clock = clock
        self._count = count
        self._poll_s = poll_s
        self._first_pause_s = first_pause_s
        self._writer = RequestWriter()
        self._described: dict[str, MetricInfo] = {}

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Send what comes, for ever."""
        while True:
            try:
                if not await self.send_some(session):
                    await asyncio.sleep(self._poll_s)
            except StoreError as error:
                self._failed(f"the store has no queue: {error}")
                await asyncio.sleep(self._poll_s)

    async def send_some(self, session: aiohttp.ClientSession) -> bool:
        """Send the next entries, each for as long as it takes; return False when there were none.

        Raises:
            StoreError: the queue cannot be read, or not be noted in.
        """
        name = self.destination.name
        entries = await asyncio.to_thread(self._queue().read, name)
        if not entries:
            return False
        await self._describe(session)
        for request in self._writer.requests(entries):
            if request.n_samples:
                await self._deliver(session, request)
            if request.n_forgotten:
                self._count("forgotten", name, request.n_forgotten)
            if request.done_seq is not None:
                await asyncio.to_thread(self._queue().took, name, request.done_seq)
        return True

    async def _describe(self, session: aiohttp.ClientSession) -> None:
        """Tell type, help and unit of metrics that were not told before; once, because receivers may not care."""
        known = {metric: infos[0] for metric, infos in self._metadata().items() if infos}
        news = {metric: info for metric, info in known.items() if self._described.get(metric) != info}
        if news:
            with suppress(aiohttp.ClientError, OSError, asyncio.TimeoutError):
                status, _, _ = await self._post(session, encode_write_request((), news))
                if status < 500:
                    self._described.update(news)

    async def _deliver(self, session: aiohttp.ClientSession, request: Request) -> None:
        """Send one request until it is taken or refused for good."""
        pause_s = self._first_pause_s
        while True:
            asked_s: float | None = None
            try:
                status, text, asked_s = await self._post(session, request.body)
            except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
                self._failed(str(error) or type(error).__name__)
            else:
                if status < 300:
                    self._worked()
                    self._count("sent", self.destination.name, request.n_samples)
                    return
                self._failed(f"it answered {status}: {text}")
                if 400 <= status < 500 and status != 429:
                    self._count("refused", self.destination.name, request.n_samples)
                    return
            await asyncio.sleep(pause_s if asked_s is None else asked_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    async def _post(self, session: aiohttp.ClientSession, body: bytes) -> tuple[int, str, float | None]:
        async with session.post(
            self.destination.url, data=packed(body), headers=HEADERS, allow_redirects=False
        ) as answer:
            text = (await answer.content.read(500)).decode(errors="replace").strip()
            return answer.status, text, self._retry_after_s(answer.headers.get("Retry-After", ""))

    def _retry_after_s(self, text: str) -> float | None:
        """Read seconds or an HTTP date; None when there is neither."""
        try:
            seconds = float(text)
        except ValueError:
            try:
                at = parsedate_to_datetime(text)
            except ValueError:
                return None
            seconds = (at - datetime.fromtimestamp(self._clock.now_ms() / 1000, timezone.utc)).total_seconds()
        return min(max(seconds, 0.0), MAX_RETRY_AFTER_S) if seconds == seconds else None

    def _failed(self, reason: str) -> None:
        if reason != self.last_error:
            log.warning("remote write to %s: %s", self.destination.name, reason)
        self.last_error = reason

    def _worked(self) -> None:
        if self.last_error:
            log.warning("remote write to %s works again", self.destination.name)
        self.last_error = ""


class Senders:
    """All destinations of a server: sends to each, keeps the queue within its limit, knows how far behind each is."""

    def __init__(self, senders: Sequence[Sender], queue: Callable[[], Queue], clock: Clock, count: Count) -> None:
        self._senders = senders
        self._queue = queue
        self._clock = clock
        self._count = count
        self.lags_s: dict[str, float] = {sender.destination.name: 0.0 for sender in senders}
        """Seconds between now and the oldest sample not taken, by destination; 0 when it has all."""

    async def run(self) -> None:
        """Send until cancelled; then try for a moment to send what the end of scraping left."""
        if not self._senders:
            await asyncio.Event().wait()
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            asyncio.TaskGroup() as group,
        ):
            for sender in self._senders:
                group.create_task(sender.run(session))
            group.create_task(self._watch())

    async def finish(self, limit_s: float) -> None:
        """Send what is left to those that answer, for a moment; the rest waits for the next start."""
        healthy = [sender for sender in self._senders if not sender.last_error]
        if not healthy:
            return
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            with suppress(asyncio.TimeoutError):
                async with asyncio.timeout(limit_s):
                    await asyncio.gather(*(self._empty(sender, session) for sender in healthy))

    @staticmethod
    async def _empty(sender: Sender, session: aiohttp.ClientSession) -> None:
        with suppress(StoreError):
            while await sender.send_some(session):
                pass

    async def _watch(self) -> None:
        while True:
            with suppress(StoreError):
                lost = await asyncio.to_thread(self._queue().trim)
                for name, n in lost.items():
                    log.warning("remote write to %s: it was away for too long, %d samples are lost to it", name, n)
                    self._count("too_long_away", name, n)
                for name in self.lags_s:
                    oldest_ms = await asyncio.to_thread(self._queue().oldest_ms, name)
                    lag_ms = 0 if oldest_ms is None else max(0, self._clock.now_ms() - oldest_ms)
                    self.lags_s[name] = lag_ms / 1000
            await asyncio.sleep(TRIM_S)
