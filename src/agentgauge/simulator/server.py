"""The simulated server's edge: a port, a clock and a scheduler that is woken when something is due.

``SimulatedOllama`` runs in an event loop (``async with``) or, for code without one, in a thread of its own
(``run_in_thread``). Its ``log`` is the truth about what it sent.
"""

from __future__ import annotations

import asyncio
import errno
import sys
import threading
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager, suppress
from typing import TextIO

from agentgauge.errors import ConfigError, PortInUse
from agentgauge.model.clock import Clock, SystemClock
from agentgauge.simulator.answering import Answering
from agentgauge.simulator.config import SimulatorConfig
from agentgauge.simulator.connection import Connection
from agentgauge.simulator.front import Front
from agentgauge.simulator.presets import preset
from agentgauge.simulator.runner import Runner, Work
from agentgauge.simulator.scheduler import Event, Finished, Refused, Scheduler, Settings
from agentgauge.simulator.truth import Sent, TruthLog
from agentgauge.simulator.versions import traits


class SimulatedOllama:
    """A simulated Ollama server.

    Example::

        async with SimulatedOllama(SimulatorConfig(preset="tiny")) as sim:
            client = ollama.AsyncClient(sim.url)

        with run_in_thread(SimulatorConfig(speed=20)) as sim:
            ollama.Client(sim.url).chat("llama3.1:8b", [{"role": "user", "content": "hello"}])

    Raises:
        ConfigError: at construction, for a preset or version that does not exist.
        PortInUse: at start, when the pinned port is taken.
    """

    def __init__(
        self, config: SimulatorConfig | None = None, *, clock: Clock | None = None, access: TextIO | None = None
    ) -> None:
        self.config = config or SimulatorConfig()
        self.port = self.config.port
        self._clock = clock or SystemClock()
        self._traits = traits(self.config.version)
        machine = preset(self.config.preset, self.config.models)
        self._scheduler = Scheduler(
            Settings(
                hardware=machine.hardware,
                parallel=self.config.parallel,
                max_queue=self.config.max_queue,
                max_loaded=self.config.max_loaded,
                keep_alive_ns=self.config.keep_alive_ns,
                fast_path=self._traits.fast_path,
                speed=self.config.speed,
                seed=self.config.seed,
            )
        )
        self._truth = TruthLog(self.config.log_path)
        self._to_wall_ns = self._clock.now_ms() * 1_000_000 - self._clock.monotonic_ns()
        answering = Answering(self.config, machine, self._traits, self, self._truth)
        lines = (access or sys.stderr) if self.config.access_log else None
        self._front = Front(machine.models, self._traits, answering, self, lines)
        self._queues: dict[int, asyncio.Queue[Event]] = {}
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def url(self) -> str:
        """The address that clients are given; the port is known once the server runs."""
        host = "127.0.0.1" if self.config.host in {"0.0.0.0", "::", ""} else self.config.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def log(self) -> list[Sent]:
        """What was sent, one entry per request that called a model, in the order in which they ended."""
        return self._truth.entries()

    async def __aenter__(self) -> SimulatedOllama:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._connected, self.config.host, self.config.port)
        except OSError as error:
            self._truth.close()
            raise _listen_error(self.config.host, self.config.port, error) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening, cut what is under way, and wait until nothing of it runs."""
        if self._server is not None:
            self._server.close()
        tasks = [task for connection in self._connections if (task := connection.task())]
        for connection in list(self._connections):
            connection.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None
        if self._timer is not None:
            self._timer.cancel()
        self._truth.close()

    def _connected(self) -> Connection:
        return Connection(self._front.answer, lambda: self.wall_ns(self.now_ns()), self._connections)

    # -- what answering needs of the server

    def now_ns(self) -> int:
        """Return the scheduler's time."""
        return self._clock.monotonic_ns()

    def wall_ns(self, t_ns: int) -> int:
        """Return the time of day of a time of the scheduler."""
        return t_ns + self._to_wall_ns

    def runners(self) -> list[Runner]:
        """Return what ``/api/ps`` lists, in its order."""
        self._deliver(self._scheduler.advance(self.now_ns()))
        return self._scheduler.runners(loading=not self._traits.llama_server)

    def blocked_until_ns(self) -> int:
        """Return until when ``/api/ps`` is held up."""
        return self._scheduler.blocked_until_ns()

    def queue_lengths(self) -> tuple[int, int, int]:
        """Return how many requests wait for a load, wait for a slot, and are in a slot."""
        return self._scheduler.queue_lengths()

    async def work(self, work: Work) -> AsyncIterator[Event]:
        """Submit work and yield its events; leaving early cancels it."""
        queue: asyncio.Queue[Event] = asyncio.Queue()
        self._queues[work.number] = queue
        try:
            self._deliver(self._scheduler.submit(work, self.now_ns()))
            while True:
                event = await queue.get()
                yield event
                if isinstance(event, Refused | Finished):
                    return
        finally:
            del self._queues[work.number]
            self._deliver(self._scheduler.cancel(work.number, self.now_ns()))

    def _deliver(self, events: list[Event]) -> None:
        for event in events:
            queue = self._queues.get(event.number)
            if queue is not None:
                queue.put_nowait(event)
        self._set_alarm()

    def _set_alarm(self) -> None:
        """Wake for the scheduler's next step."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due_ns = self._scheduler.next_ns()
        if due_ns is not None:
            delay_s = max(0.0, (due_ns - self.now_ns()) / 1e9)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._ring)

    def _ring(self) -> None:
        self._deliver(self._scheduler.advance(self.now_ns()))


def _listen_error(host: str, port: int, error: OSError) -> Exception:
    if error.errno == errno.EADDRINUSE:
        message = f"port {port} on {host} is in use (by whom: ss -ltnp 'sport = :{port}'); choose another port, or 0"
        return PortInUse(host, port, message)
    return ConfigError(f"cannot listen on {host}:{port}: {error.strerror or error}")


async def serve(config: SimulatorConfig, started: Callable[[SimulatedOllama], None], stop: asyncio.Event) -> None:
    """Run a simulated server until ``stop`` is set; ``started`` is called once it listens."""
    async with SimulatedOllama(config) as sim:
        started(sim)
        await stop.wait()


@contextmanager
def run_in_thread(config: SimulatorConfig | None = None) -> Generator[SimulatedOllama]:
    """Run a simulated server in a thread of its own while the block runs.

    Yields:
        The server, listening; ``url`` and ``log`` may be read from any thread.
    """
    sim = SimulatedOllama(config)
    ready = threading.Event()
    failure: list[BaseException] = []
    ends: list[Callable[[], object]] = []

    async def live() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        ends.append(lambda: loop.call_soon_threadsafe(stop.set))
        async with sim:
            ready.set()
            await stop.wait()

    def host() -> None:
        try:
            asyncio.run(live())
        except BaseException as error:  # noqa: BLE001  # carried to the thread that asked, which raises it
            failure.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=host, name="simulated-ollama", daemon=True)
    thread.start()
    ready.wait()
    try:
        if failure:
            raise failure[0]
        yield sim
    finally:
        with suppress(RuntimeError):  # the loop is closed already
            for end in ends:
                end()
        thread.join()
