"""The composition root of the server: opens, wires, runs, and ends everything within two seconds.

Order matters at both ends. The data file is opened before the port, so that a second server on the same file says so
before it takes anything. At the end the port closes first, then scraping (which leaves stale markers), then running
queries, then the file.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import uvicorn

from agentgauge.database import Database
from agentgauge.doctor.facts import Facts
from agentgauge.doctor.probe import Where, gather
from agentgauge.errors import ConfigError, StoreReadOnly
from agentgauge.expose.apps import asgi_app
from agentgauge.expose.document import Document
from agentgauge.model.clock import Clock, SystemClock
from agentgauge.promql.engine import Options
from agentgauge.promql.features import switched_on
from agentgauge.record.ledger import Ledger
from agentgauge.remote.receiver import Receiver
from agentgauge.scrape.discovery import Discovery
from agentgauge.scrape.ended import Ended
from agentgauge.scrape.handover import Handover
from agentgauge.scrape.loop import ScrapeLoop
from agentgauge.scrape.target import Limits, Target, target_from_address
from agentgauge.server.allocator import keep_freed_memory
from agentgauge.server.app import State, create_app
from agentgauge.server.config import DAY_MS, Config
from agentgauge.server.port import bind_socket
from agentgauge.server.remote_write import senders_to
from agentgauge.server.selfwatch import SelfWatch, TimedBackend
from agentgauge.server.status import Status
from agentgauge.server.stream import Live
from agentgauge.server.targets import targets_json

try:
    import uvloop
except ImportError:  # not made for this platform: the standard loop does the same, slower
    uvloop = None  # type: ignore[assignment]

SELF_JOB = "agentgauge-server"
COLLECT_INTERVAL_S = 1.0
LAST_SENDS_S = 0.5
GRACE_S = 1
"""Seconds that open connections have to finish at the end; with the rest it stays under two."""

_logger = logging.getLogger(__name__)


def serve(config: Config, say: Callable[[str], None] = print) -> int:
    """Run the server until SIGINT or SIGTERM; return the exit status.

    Raises:
        PortInUse: another process has the port; the message names it.
        StoreLocked: another process writes to the data file.
        ConfigError: a setting cannot be used.
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    keep_freed_memory()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(run_server(config, say))


async def run_server(
    config: Config,
    say: Callable[[str], None] = print,
    *,
    clock: Clock | None = None,
    stop: asyncio.Event | None = None,
) -> int:
    """Run the server in this event loop until a signal, or until ``stop`` is set when it is given."""
    clock = clock or SystemClock()
    targets = [target_from_address(address) for address in config.targets]
    database = open_database(config)
    try:
        listener = bind_socket(config.host, config.port)
        config = replace(config, port=listener.getsockname()[1])
        running = _Running(config, database, listener, targets, clock)
        await running.until(stop or _stop_at_signal(), say)
    finally:
        await asyncio.to_thread(database.close)
    return 0


def open_database(config: Config) -> Database:
    """Open the data file for writing, or a database in memory; one that cannot be written to is served as it is.

    Raises:
        StoreError: the file is locked, unreadable or of a newer version.
        ConfigError: its folder cannot be made, or a feature is none.
    """
    options = Options(**switched_on(config.features))
    if config.db is None:
        return Database.in_memory(options=options, background=True)
    try:
        config.db.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the folder of {config.db} cannot be made: {error.strerror}; choose another --db") from None
    try:
        return Database.open(
            config.db, options=options, retention_ms=config.retention_ms, retention_bytes=config.retention_bytes
        )
    except StoreReadOnly as error:
        if not config.db.exists():
            raise
        _logger.error("%s; what it holds is served, nothing is stored", error)
        return Database.open(config.db, options=options, read_only=True)


class _Running:
    """The parts of a running server, wired."""

    def __init__(
        self, config: Config, database: Database, listener: socket.socket, targets: list[Target], clock: Clock
    ) -> None:
        self._config = config
        self._clock = clock
        self._listener = listener
        if config.self_scrape:
            targets = [*targets, target_from_address(config.url, {"job": SELF_JOB}, source="self")]
        ledger = Ledger()
        watch = SelfWatch(ledger)
        self._scrape = ScrapeLoop(
            database.store,
            Discovery(
                targets,
                config.discovery_directory,
                config.target_files,
                rules=config.rules,
                honor_labels=config.honor_labels,
            ),
            clock,
            interval_s=config.interval_s,
            limits=Limits(timeout_s=config.scrape_timeout_s),
            drop=watch.drop,
        )
        watch.follow(lambda: self._scrape.states, lambda: database.store.problems)
        self._senders = senders_to(
            config.remote_write, config.remote_write_queue_bytes, database.store, clock, watch.sent
        )
        watch.follow_sending(self._senders.lags_s)
        self._backend = TimedBackend(
            database, config.max_concurrency, config.query_timeout_s, clock, queried=watch.queried
        )
        handover = Handover(database.store, clock)
        self._ended = Ended(config.discovery_directory, handover) if config.discovery_directory else None
        self._live = Live(self._backend, clock, config.interval_s)
        state = State(
            backend=self._backend,
            clock=clock,
            live=self._live,
            targets_view=self._targets,
            metrics_app=asgi_app(Document(ledger)),
            status=Status(
                start_ms=clock.now_ms(),
                flags={"enable-feature": ",".join(config.features)},
                retention=f"{config.retention_ms / DAY_MS:g}d",
                problems=lambda: database.store.problems,
            ),
            facts=self._facts,
            interval_s=config.interval_s,
            version=version("agentgauge"),
            allowed_hosts=(*config.allowed_hosts, config.host),
            allowed_origins=config.allowed_origins,
            receiver=Receiver(database.store, watch.pushed),
            handover=handover,
        )
        self._server = _Server(
            uvicorn.Config(
                create_app(state),
                http="httptools",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=GRACE_S,
            )
        )

    async def until(self, stop: asyncio.Event, say: Callable[[str], None]) -> None:
        """Serve and scrape until ``stop`` is set, then end in order."""
        serving = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        scraping = asyncio.create_task(self._scrape.run())
        collecting = asyncio.create_task(collect(self._ended))
        sending = asyncio.create_task(self._senders.run())
        say(self._banner())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([serving, scraping, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            self._live.close()
            self._server.should_exit = True
            scraping.cancel()
            collecting.cancel()
            sending.cancel()
            ended = await asyncio.gather(
                scraping, collecting, sending, self._backend.close(), serving, return_exceptions=True
            )
            await self._senders.finish(LAST_SENDS_S)
        for outcome in ended:
            if isinstance(outcome, Exception):
                raise outcome

    def _targets(self) -> dict[str, Any]:
        return targets_json(self._scrape.states, self._scrape.interval_s, self._scrape.timeout_s)

    async def _facts(self) -> Facts:
        async def targets() -> dict[str, Any]:
            return self._targets()

        config = self._config
        where = Where(config.url, os.environ, str(config.db or ""), config.discovery_directory, ollama=config.ollama)
        return await gather(self._backend, where, targets, self._clock)

    def _banner(self) -> str:
        where = f"data in {self._config.db}" if self._config.db else "data in memory"
        return f"agentgauge: {self._config.url}  ({where}, a scrape every {self._config.interval_s:g} s; Ctrl-C ends)"


async def collect(ended: Ended | None) -> None:
    """Take in last words of processes that ended, once a second until cancelled; what is begun is finished."""
    while ended is not None:
        looking = asyncio.ensure_future(asyncio.to_thread(ended.look))
        try:
            await asyncio.shield(looking)
        except asyncio.CancelledError:
            await asyncio.wait([looking])
            raise
        await asyncio.sleep(COLLECT_INTERVAL_S)


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: who composes the server also decides when it ends."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals alone."""
        yield


def _stop_at_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    return asyncio.new_event_loop if uvloop is None else uvloop.new_event_loop
