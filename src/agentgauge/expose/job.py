"""``with ag.job("nightly-eval"):`` - a run that is over before anybody scrapes it pushes its counts at its end.

Once: at the end of the block, by an exception, at the end of the interpreter or by SIGTERM, whichever comes first.
What is pushed is what was counted during the block, so repeated runs need no label that tells them apart.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Literal, TypeAlias
from uuid import uuid4

from agentgauge.expose.exposition import exposition_of
from agentgauge.expose.push import Outcome, Push, push_address, send
from agentgauge.expose.spool import Spool, spool_directory
from agentgauge.record.ledger import Ledger
from agentgauge.record.render import Renderer
from agentgauge.record.snapshot import Snapshot, since

ATTEMPT_S = 5.0

JobOutcome: TypeAlias = Literal["sent", "refused", "spooled", "scraped", ""]
"""What came of the push: spooled waits on disk; scraped needed none, this process has an endpoint; empty: not yet."""


class Job:
    """One run of a job; its block may be entered once.

    Attributes:
        outcome: what came of the push, empty until the end.

    Thread-safety: entered and left on one thread; ended early from the main thread (SIGTERM) or at exit.
    """

    def __init__(
        self, ledger: Ledger, name: str, grouping: Mapping[str, str], url: str, spool_dir: str = "", *, is_forced: bool
    ) -> None:
        self._address, self._authorization = push_address(url, name, grouping)
        self._ledger = ledger
        self._spool = Spool(Path(spool_dir) if spool_dir else spool_directory(os.environ))
        self._is_forced = is_forced
        self._before: Snapshot | None = None
        self._start_ms = 0
        self._pid = 0
        self._previous: Any = None
        self.outcome: JobOutcome = ""

    def __enter__(self) -> Job:
        self._pid = os.getpid()
        self._before = self._ledger.snapshot()
        self._start_ms = self._ledger.clock.now_ms()
        atexit.register(self.end)
        self._take_signal()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    async def __aenter__(self) -> Job:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import asyncio  # only a program with an event loop comes here, and it has imported it

        self._leave_signal()
        await asyncio.to_thread(self.end)

    def end(self) -> None:
        """Push, once; in a forked child nothing: the parent's run is the parent's to push."""
        before, self._before = self._before, None
        if before is None or os.getpid() != self._pid:
            return
        atexit.unregister(self.end)
        try:
            with self._ledger.guard("push"):
                self.outcome = self._push(before)
        finally:
            self._leave_signal()

    def _push(self, before: Snapshot) -> JobOutcome:
        guard = self._ledger.guard
        if not self._is_forced and exposition_of(self._ledger) is not None:
            guard.once("job", "ag.job pushes nothing: this process is scraped, a push would count everything twice")
            return "scraped"
        counted = since(before, self._ledger.snapshot())
        text = "".join(Renderer().pieces(counted))
        end_ms = max(self._ledger.clock.now_ms(), self._start_ms)
        push = Push(uuid4().hex, self._address, self._authorization, self._start_ms, end_ms, text)
        try:
            self._spool.keep(push)
            outcomes = self._spool.flush(self._send)
        except OSError as error:
            guard.once("spool", f"agentgauge cannot keep pushes on disk: {error}")
            outcomes = {push.id: self._send(push)}
        outcome = outcomes.get(push.id, "unanswered")
        return "spooled" if outcome == "unanswered" else outcome

    def _send(self, push: Push) -> Outcome:
        outcome, reason = send(push, ATTEMPT_S)
        if outcome == "unanswered":
            self._ledger.guard.once("push", f"nobody took what a job counted ({reason}); it waits for the next job")
        elif outcome == "refused":
            self._ledger.guard.refused("push", reason)
        return outcome

    def _take_signal(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGTERM, self._terminated)

    def _leave_signal(self) -> None:
        previous, self._previous = self._previous, None
        if previous is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, previous)

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        """Push, then let the signal do what it would have done."""
        previous = self._previous
        self.end()
        if callable(previous):
            previous(number, frame)
        elif previous is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
