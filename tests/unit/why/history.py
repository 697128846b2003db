"""Agents whose seconds are known, on a clock turned by hand: recorded, rendered, scraped, stored."""

from __future__ import annotations

from agentgauge.database import Database
from agentgauge.expose.document import Document
from agentgauge.model.clock import SystemClock
from agentgauge.model.span import Phases
from agentgauge.record.api import llm_call, task, tool_call
from agentgauge.scrape.text import samples_from_text
from agentgauge.testing import FakeClock, Recording, recording

SCRAPE_S = 5
N_TASKS = 40
N_SLOW = 4

AGO_MS = 3_600_000
"""How long ago it plays: young enough to be kept, and for the command's default window to hold most of it."""


class Stage:
    """A clock, a recorder and a store that is scraped whenever five seconds have passed."""

    def __init__(self, database: Database, clock: FakeClock, records: Recording) -> None:
        self._store = database.store
        self._clock = clock
        self._document = Document(records.recorder.ledger)
        self._due_ms = clock.now_ms()

    def spend(self, seconds: float) -> None:
        """Let time pass, and scrapes happen."""
        left_ms = round(seconds * 1000)
        while left_ms:
            until_ms = min(left_ms, self._due_ms - self._clock.now_ms())
            self._clock.advance(until_ms / 1000)
            left_ms -= until_ms
            if self._clock.now_ms() >= self._due_ms:
                self.scrape()

    def scrape(self) -> None:
        """Store what a scraper would see now."""
        _, body = self._document.render()
        self._store.append(samples_from_text(body, self._clock.now_ms()))
        self._due_ms = self._clock.now_ms() + SCRAPE_S * 1000


def play(database: Database) -> int:
    """Let ``shopper`` do forty tasks and ``looper`` ten, and return when (ms) all is stored.

    A normal shopper's task: model 2 s (queue 0.5, prefill 0.5, decode 1), ``web`` 6 s, own code 2 s. Every tenth one
    asks ``web`` three times. ``looper`` asks ``docs`` (1 s) five times the same, with a model's turn of 2 s each.
    """
    clock = FakeClock(SystemClock.now_ms() - AGO_MS)
    with recording(clock) as records:
        stage = Stage(database, clock, records)
        stage.scrape()
        with task(agent="shopper", slo_s=15.0), llm_call(model="m"), tool_call("web"):
            stage.scrape()
        for number in range(N_TASKS):
            shop(stage, 3 if number % (N_TASKS // N_SLOW) == 1 else 1)
        for _ in range(10):
            loop(stage)
        stage.spend(2 * SCRAPE_S)
    return clock.now_ms()


def turn(stage: Stage) -> None:
    with llm_call(model="m") as call:
        stage.spend(2.0)
        call.phases(Phases(queue_ns=500_000_000, prefill_ns=500_000_000, decode_ns=1_000_000_000))
        call.usage(prompt=100, completion=10)


def shop(stage: Stage, n_calls: int) -> None:
    with task(agent="shopper", slo_s=15.0):
        turn(stage)
        for _ in range(n_calls):
            with tool_call("web"):
                stage.spend(6.0)
        stage.spend(2.0)


def loop(stage: Stage) -> None:
    with task(agent="looper"):
        for _ in range(5):
            turn(stage)
            with tool_call("docs") as call:
                call.arguments("limits")
                stage.spend(1.0)
                call.result("nothing new")
