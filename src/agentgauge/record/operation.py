"""A tool call or a wait, from its start to its end; an LLM call is in ``record/llm.py``.

Theory of operation. An operation starts when it is made: it reads the clock, takes the enclosing operation it is
given (read once from the context, never again), takes its place in the tree of its task and looks up the rows of the
ledger that its end will add to. It ends once: the first ``finish`` or ``fail`` counts, later ones are ignored,
whichever thread they come from. Its end makes a frozen span, which the recorder counts with the next batch. Nothing
here waits, nothing here raises.

The state machine is synchronous; ``record/measure.py`` wraps it for blocks, functions and generators. An operation
that is dropped without an end (a stream nobody closed, a handle lost) ends as cancelled when it is collected; its
finaliser takes no lock, it only appends (see ``record/ledger.py``). Tasks are in ``record/run.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from agentgauge.model.metrics import CALL_STATUSES
from agentgauge.model.span import UNKNOWN_AGENT, ToolCall
from agentgauge.record.once import EndsOnce, end_of
from agentgauge.record.outcome import ending, error_type
from agentgauge.record.place import place_below, start_node
from agentgauge.record.waste import fingerprint

if TYPE_CHECKING:
    from agentgauge.model.span import CallStatus
    from agentgauge.record.context import Enclosing
    from agentgauge.record.recorder import Recorder


class ToolOperation(EndsOnce):
    """A running tool call."""

    __slots__ = (
        "_arguments",
        "_epoch",
        "_result",
        "_rows",
        "agent",
        "lane",
        "live",
        "name",
        "node",
        "start_ns",
        "task",
    )

    def __init__(
        self, recorder: Recorder, parent: Enclosing | None, name: str, race: bool = False, detached: bool = False
    ) -> None:
        self._open = True
        self._is_over = False
        self.recorder = recorder
        self._epoch = recorder.ledger.epoch
        self.task = task = None if parent is None else parent.task
        self.name = name
        self.agent = UNKNOWN_AGENT if task is None else task.agent
        self._arguments: int | None = None
        self._result: int | None = None
        self._rows = recorder.tool_rows(self.agent, name)
        self.start_ns = recorder.clock.monotonic_ns()
        self.live, self.node, self.lane = place_below(recorder, parent, ("tool", name), detached=detached)
        if self.live is not None:
            if race:
                self.live.doubts.add("race")
            recorder.ledger.later(self._begin)

    def _begin(self) -> None:
        """Open the node and count the call for its task; a step of the ledger."""
        live, node = self.live, self.node
        if live is not None and node is not None:
            live.timeline.start(node, self.start_ns)
            if node.key not in live.paths:
                self.recorder.paths.rows(live.agent, node.key)
        if self.task is not None:
            self.task.counts["tool"] += 1

    def arguments(self, *values: object, **named: object) -> None:
        """Tell what the tool was called with, to find calls that repeat; only a hash is kept."""
        self._arguments = fingerprint((values, named))

    def result(self, value: object) -> None:
        """Tell what the tool returned, to find calls that repeat; only a hash is kept."""
        self._result = fingerprint(value)

    def finish(self, status: CallStatus = "success", error_type: str = "", t_ns: int | None = None) -> None:
        """End the call; only the first end counts. ``t_ns`` is when, on the monotonic clock; now when None."""
        if not self.close_once() or self._epoch != self.recorder.ledger.epoch:
            return
        recorder = self.recorder
        try:
            span_status: CallStatus = status if status in CALL_STATUSES else "error"
            recorder.ledger.later(self._end, end_of(recorder, self.start_ns, t_ns), span_status, error_type)
        except Exception as error:  # noqa: BLE001 -- the host never pays for our mistakes
            recorder.guard.failed("tool", error)

    def _end(self, end_ns: int, status: CallStatus, error_type: str) -> None:
        """End the node, look whether the call repeats an earlier one, count the span; a step of the ledger."""
        recorder, task, live, node = self.recorder, self.task, self.live, self.node
        if live is not None and node is not None:
            detached_ns = live.timeline.end(node, end_ns)
            if detached_ns:
                recorder.live.detached(live, detached_ns)
        if task is None:
            span = ToolCall(self.agent, self.name, status, self.start_ns, end_ns, error_type)
        else:
            if self._arguments is not None and self._result is not None:
                task.waste.repeats("tool", self.name, self._arguments, self._result)
            ids = (task.task_id, task.trace_id)
            span = ToolCall(self.agent, self.name, status, self.start_ns, end_ns, error_type, *ids)
        recorder.commit_tool(span, self._rows)

    def fail(self, error: BaseException) -> None:
        """End the call the way an exception ends it."""
        how = ending(error)
        self.finish("error" if how == "failed" else how, error_type(error))


class WaitOperation(EndsOnce):
    """Time in which a task waits for its turn: a semaphore, a rate limit, a back-off, a person."""

    __slots__ = ("_epoch", "lane", "live", "node", "start_ns", "task")

    def __init__(
        self,
        recorder: Recorder,
        parent: Enclosing | None,
        reason: str,
        component: Literal["wait", "backoff", "client_wait"] = "wait",
    ) -> None:
        self._open = True
        self._is_over = False
        self.recorder = recorder
        self._epoch = recorder.ledger.epoch
        self.task = None if parent is None else parent.task
        self.start_ns = recorder.clock.monotonic_ns()
        self.live, self.node, self.lane = place_below(recorder, parent, (component, reason))
        if self.live is not None and self.node is not None:
            recorder.ledger.later(start_node, recorder, self.live, self.node, self.start_ns)

    def arguments(self, *values: object, **named: object) -> None:
        """Take what a decorated function was called with; waits are not compared."""

    def result(self, value: object) -> None:
        """Take what a decorated function returned; waits are not compared."""

    def finish(self, status: CallStatus = "success", error_type: str = "", t_ns: int | None = None) -> None:
        """End the wait; only the first end counts, and how it ended does not."""
        if not self.close_once() or self._epoch != self.recorder.ledger.epoch or self.live is None or self.node is None:
            return
        try:
            self.recorder.live.end(self.live, self.node, end_of(self.recorder, self.start_ns, t_ns))
        except Exception as error:  # noqa: BLE001 -- the host never pays for our mistakes
            self.recorder.guard.failed("wait", error)

    def fail(self, error: BaseException) -> None:
        """End the wait; that it ended by an exception is for what encloses it to count."""
        self.finish()
