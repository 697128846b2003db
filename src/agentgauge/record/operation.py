"""One piece of work from its start to its end: a task, an LLM call or a tool call.

Theory of operation. An operation starts when it is made: it reads the clock, takes the enclosing operation it is
given (read once from the context, never again) and looks up the rows of the ledger that its end will add to. It ends
once: the first ``finish`` or ``fail`` counts, later ones are ignored, whichever thread they come from. Its end makes
a frozen span and hands it to the recorder. Nothing here waits, nothing here raises.

The state machine is synchronous; ``record/measure.py`` wraps it for blocks, functions and generators. An operation
that is dropped without an end (a stream nobody closed, a handle lost) ends as cancelled when it is collected; its
finaliser takes no lock, it only appends (see ``record/ledger.py``).
"""

from __future__ import annotations

import os
from threading import get_ident
from typing import TYPE_CHECKING, Literal

from agentgauge.model.metrics import CALL_STATUSES, TASK_STATUSES
from agentgauge.model.span import UNKNOWN_AGENT, UNKNOWN_MODEL, LLMCall, Phases, Task, TokenUsage, ToolCall
from agentgauge.record.outcome import ending, error_type

if TYPE_CHECKING:
    from agentgauge.model.span import CallStatus, TaskStatus
    from agentgauge.record.context import Enclosing
    from agentgauge.record.recorder import Recorder


class TaskOperation:
    """A running task; ``agent`` is whose, ``task_id`` tells it from others in spans and exemplars.

    Thread-safety: any thread may end it, calls inside it may end in any thread.
    """

    __slots__ = (
        "_epoch",
        "_open",
        "_recorder",
        "_rows",
        "agent",
        "agent_type",
        "is_root",
        "n_llm_calls",
        "n_tool_calls",
        "parent",
        "start_ns",
        "task",
        "task_id",
        "trace_id",
    )

    def __init__(
        self, recorder: Recorder, parent: Enclosing | None, agent: str, agent_type: str = "", trace_id: str = ""
    ) -> None:
        self._open = True
        self._recorder = recorder
        self._epoch = recorder.epoch
        self.parent = parent
        self.task = self
        self.agent = agent
        self.agent_type = agent_type or agent
        self.is_root = parent is None or parent.task is None
        self.task_id = os.urandom(8).hex()
        self.trace_id: str = trace_id or (
            "" if self.is_root or parent is None or parent.task is None else parent.task.trace_id
        )
        self.n_llm_calls = 0
        self.n_tool_calls = 0
        self._rows = recorder.task_started(self.agent, self.agent_type)
        self.start_ns = recorder.clock.monotonic_ns()

    def finish(self, status: TaskStatus = "success", error_type: str = "", t_ns: int | None = None) -> None:
        """End the task; only the first end counts. ``t_ns`` is when, on the monotonic clock; now when None."""
        if not _close(self) or self._epoch != self._recorder.epoch:
            return
        recorder = self._recorder
        try:
            span = Task(
                self.agent,
                self.agent_type,
                status if status in TASK_STATUSES else "failure",
                self.start_ns,
                _end_ns(recorder, self.start_ns, t_ns),
                self.is_root,
                self.n_llm_calls,
                self.n_tool_calls,
                error_type,
                self.task_id,
                self.trace_id,
            )
            recorder.record_task(span, None, self._rows)
        except Exception as error:  # noqa: BLE001 -- the host never pays for our mistakes
            recorder.guard.failed("task", error)

    def fail(self, error: BaseException) -> None:
        """End the task the way an exception ends it."""
        how = ending(error)
        self.finish("failure" if how == "failed" else how, error_type(error))

    def __del__(self) -> None:
        _abandon(self)


class ToolOperation:
    """A running tool call."""

    __slots__ = ("_epoch", "_open", "_recorder", "_rows", "agent", "name", "parent", "start_ns", "task")

    def __init__(self, recorder: Recorder, parent: Enclosing | None, name: str) -> None:
        self._open = True
        self._recorder = recorder
        self._epoch = recorder.epoch
        self.parent = parent
        self.task = task = None if parent is None else parent.task
        self.name = name
        self.agent = UNKNOWN_AGENT if task is None else task.agent
        if task is not None:
            task.n_tool_calls += 1
        self._rows = recorder.tool_rows(self.agent, name)
        self.start_ns = recorder.clock.monotonic_ns()

    def finish(self, status: CallStatus = "success", error_type: str = "", t_ns: int | None = None) -> None:
        """End the call; only the first end counts. ``t_ns`` is when, on the monotonic clock; now when None."""
        if not _close(self) or self._epoch != self._recorder.epoch:
            return
        recorder = self._recorder
        task = self.task
        try:
            span = ToolCall(
                self.agent,
                self.name,
                status if status in CALL_STATUSES else "error",
                self.start_ns,
                _end_ns(recorder, self.start_ns, t_ns),
                error_type,
                "" if task is None else task.task_id,
                "" if task is None else task.trace_id,
            )
            recorder.record_tool(span, self._rows)
        except Exception as error:  # noqa: BLE001 -- the host never pays for our mistakes
            recorder.guard.failed("tool", error)

    def fail(self, error: BaseException) -> None:
        """End the call the way an exception ends it."""
        how = ending(error)
        self.finish("error" if how == "failed" else how, error_type(error))

    def __del__(self) -> None:
        _abandon(self)


class LLMOperation:
    """A running LLM call, fed with what the provider says as it says it."""

    __slots__ = (
        "_attempts",
        "_epoch",
        "_first_token_ns",
        "_open",
        "_per_token_ns",
        "_phases",
        "_recorder",
        "_rows",
        "_truncation",
        "_usage",
        "agent",
        "model",
        "parent",
        "start_ns",
        "task",
    )

    def __init__(self, recorder: Recorder, parent: Enclosing | None, model: str) -> None:
        self._open = True
        self._recorder = recorder
        self._epoch = recorder.epoch
        self.parent = parent
        self.task = task = None if parent is None else parent.task
        self.model = model or UNKNOWN_MODEL
        self.agent = UNKNOWN_AGENT if task is None else task.agent
        if task is not None:
            task.n_llm_calls += 1
        self._first_token_ns: int | None = None
        self._usage: TokenUsage | None = None
        self._phases: Phases | None = None
        self._per_token_ns: float | None = None
        self._truncation: Literal["", "context", "output_limit"] = ""
        self._attempts: dict[str, int] | None = None
        self._rows = recorder.llm_rows(self.agent, self.model)
        self.start_ns = recorder.clock.monotonic_ns()

    def first_token(self, t_ns: int | None = None) -> None:
        """Note the first content, reasoning or tool-call token; only the first call counts."""
        if self._first_token_ns is None:
            self._first_token_ns = _end_ns(self._recorder, self.start_ns, t_ns) - self.start_ns

    def usage(
        self,
        prompt: int | None = None,
        completion: int | None = None,
        cached: int | None = None,
        cache_write: int | None = None,
        reasoning: int | None = None,
    ) -> None:
        """Set the tokens of the call, as its provider reports them; None where it does not. The last report counts."""
        self._usage = TokenUsage(prompt, completion, cached, cache_write, reasoning)

    def set_model(self, name: str) -> None:
        """Name the model, where the answer knows better than the request."""
        if name and name != self.model:
            self.model = name
            self._rows = self._recorder.llm_rows(self.agent, name)

    def phases(self, phases: Phases) -> None:
        """Say where the wall clock of the call went."""
        self._phases = phases

    def per_token(self, duration_ns: float) -> None:
        """Set the time per output token from the provider's own times."""
        self._per_token_ns = duration_ns

    def truncated(self, reason: Literal["context", "output_limit"]) -> None:
        """Note that the prompt or the answer was cut."""
        self._truncation = reason

    def attempt(self, outcome: Literal["ok", "retried", "failed"]) -> None:
        """Count one HTTP attempt below this call."""
        if self._attempts is None:
            self._attempts = {"ok": 0, "retried": 0, "failed": 0}
        if outcome in self._attempts:
            self._attempts[outcome] += 1

    def finish(self, status: CallStatus = "success", error_type: str = "", t_ns: int | None = None) -> None:
        """End the call; only the first end counts. ``t_ns`` is when, on the monotonic clock; now when None."""
        if not _close(self) or self._epoch != self._recorder.epoch:
            return
        try:
            end_ns = _end_ns(self._recorder, self.start_ns, t_ns)
            self._recorder.record_llm(self._span(status, error_type, end_ns), self._rows)
        except Exception as error:  # noqa: BLE001 -- the host never pays for our mistakes
            self._recorder.guard.failed("llm", error)

    def discard(self) -> None:
        """Forget the call: it turned out to be none, such as a request that only loads a model."""
        if _close(self) and self.task is not None:
            self.task.n_llm_calls -= 1

    def _span(self, status: CallStatus, error_type: str, end_ns: int) -> LLMCall:
        task = self.task
        attempts = self._attempts
        return LLMCall(
            self.agent,
            self.model,
            status if status in CALL_STATUSES else "error",
            self.start_ns,
            end_ns,
            self._first_token_ns,
            self._per_token_ns,
            self._usage,
            self._phases,
            error_type,
            self._truncation,
            attempts["ok"] if attempts else 0,
            attempts["retried"] if attempts else 0,
            attempts["failed"] if attempts else 0,
            self.task_id,
            "" if task is None else task.trace_id,
        )

    def fail(self, error: BaseException) -> None:
        """End the call the way an exception ends it."""
        how = ending(error)
        self.finish("error" if how == "failed" else how, error_type(error))

    @property
    def task_id(self) -> str:
        """The id of the task it belongs to, empty outside any."""
        return "" if self.task is None else self.task.task_id

    def __del__(self) -> None:
        _abandon(self)


def _close(operation: TaskOperation | ToolOperation | LLMOperation) -> bool:
    """Tell the first caller, and no other, that the operation is its to end.

    Deleting a slot is one atomic step of the interpreter, so two threads cannot both succeed; no lock is needed.
    """
    try:
        del operation._open  # noqa: SLF001 -- the three operations of this module
    except AttributeError:
        return False
    return True


def _end_ns(recorder: Recorder, start_ns: int, t_ns: int | None) -> int:
    """Return when an operation ended: as told, else now; never before its start."""
    return max(start_ns, recorder.clock.monotonic_ns() if t_ns is None else t_ns)


def _abandon(operation: TaskOperation | ToolOperation | LLMOperation) -> None:
    """End as cancelled what was dropped; run by finalisers, so it must take no lock.

    While this thread is entered in ``inside``, the ledger appends what it is given instead of locking.
    """
    if not hasattr(operation, "_open"):
        return
    inside = operation._recorder.ledger.inside  # noqa: SLF001 -- the three operations of this module
    me = get_ident()
    was_inside = me in inside
    inside.add(me)
    try:
        operation.finish("cancelled")
    finally:
        if not was_inside:
            inside.discard(me)
