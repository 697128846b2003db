"""One call from its start to its end: of an LLM, of a tool, or a wait.

Theory of operation. An operation starts when it is made: it reads the clock, takes the enclosing operation it is
given (read once from the context, never again), takes its place in the tree of its task and looks up the rows of the
ledger that its end will add to. It ends once: the first ``finish`` or ``fail`` counts, later ones are ignored,
whichever thread they come from. Its end makes a frozen span and hands it to the recorder. Nothing here waits, nothing
here raises.

The state machine is synchronous; ``record/measure.py`` wraps it for blocks, functions and generators. An operation
that is dropped without an end (a stream nobody closed, a handle lost) ends as cancelled when it is collected; its
finaliser takes no lock, it only appends (see ``record/ledger.py``). Tasks are in ``record/run.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from agentgauge.model.metrics import CALL_STATUSES
from agentgauge.model.span import UNKNOWN_AGENT, UNKNOWN_MODEL, LLMCall, Phases, TokenUsage, ToolCall
from agentgauge.record.once import abandon, close_once, end_of
from agentgauge.record.outcome import ending, error_type
from agentgauge.record.place import take_place
from agentgauge.record.waste import fingerprint

if TYPE_CHECKING:
    from agentgauge.model.span import CallStatus
    from agentgauge.record.concurrency import Meter
    from agentgauge.record.context import Enclosing, Running
    from agentgauge.record.live import LiveTask
    from agentgauge.record.node import Node
    from agentgauge.record.recorder import Recorder

PHASES_IN_ORDER = ("client_wait", "queue", "load", "prefill", "decode", "network")


class ToolOperation:
    """A running tool call."""

    __slots__ = (
        "_arguments",
        "_epoch",
        "_open",
        "_result",
        "_rows",
        "agent",
        "lane",
        "live",
        "name",
        "node",
        "recorder",
        "start_ns",
        "task",
    )

    def __init__(
        self, recorder: Recorder, parent: Enclosing | None, name: str, *, race: bool = False, detached: bool = False
    ) -> None:
        self._open = True
        self.recorder = recorder
        self._epoch = recorder.epoch
        self.task = task = None if parent is None else parent.task
        self.name = name
        self.agent = UNKNOWN_AGENT if task is None else task.agent
        self._arguments: int | None = None
        self._result: int | None = None
        self._rows = recorder.tool_rows(self.agent, name)
        self.start_ns = recorder.clock.monotonic_ns()
        self.live, self.node, self.lane = take_place(
            recorder,
            parent,
            ("tool", name),
            self.start_ns,
            detached=detached,
            counts=None if task is None else task.counts,
        )
        if race and self.live is not None:
            self.live.doubts.add("race")

    def arguments(self, *values: object, **named: object) -> None:
        """Tell what the tool was called with, to find calls that repeat; only a hash is kept."""
        self._arguments = fingerprint((values, named))

    def result(self, value: object) -> None:
        """Tell what the tool returned, to find calls that repeat; only a hash is kept."""
        self._result = fingerprint(value)

    def finish(self, status: CallStatus = "success", error_type: str = "", t_ns: int | None = None) -> None:
        """End the call; only the first end counts. ``t_ns`` is when, on the monotonic clock; now when None."""
        if not close_once(self) or self._epoch != self.recorder.epoch:
            return
        recorder = self.recorder
        task = self.task
        try:
            end_ns = end_of(recorder, self.start_ns, t_ns)
            if self.live is not None and self.node is not None:
                recorder.live.run(self._end, self.live, self.node, end_ns)
            span = ToolCall(
                self.agent,
                self.name,
                status if status in CALL_STATUSES else "error",
                self.start_ns,
                end_ns,
                error_type,
                "" if task is None else task.task_id,
                "" if task is None else task.trace_id,
            )
            recorder.record_tool(span, self._rows)
        except Exception as error:  # noqa: BLE001 -- the host never pays for our mistakes
            recorder.guard.failed("tool", error)

    def _end(self, live: LiveTask, node: Node, end_ns: int) -> None:
        """End the node and look whether the call repeats an earlier one; a step under the lock."""
        self.recorder.live.end_inside(live, node, end_ns)
        if self.task is not None and self._arguments is not None and self._result is not None:
            self.task.waste.repeats("tool", self.name, self._arguments, self._result)

    def fail(self, error: BaseException) -> None:
        """End the call the way an exception ends it."""
        how = ending(error)
        self.finish("error" if how == "failed" else how, error_type(error))

    def __del__(self) -> None:
        abandon(self)


class WaitOperation:
    """Time in which a task waits for its turn: a semaphore, a rate limit, a back-off, a person."""

    __slots__ = ("_epoch", "_open", "lane", "live", "node", "recorder", "start_ns", "task")

    def __init__(
        self,
        recorder: Recorder,
        parent: Enclosing | None,
        reason: str,
        component: Literal["wait", "backoff", "client_wait"] = "wait",
    ) -> None:
        self._open = True
        self.recorder = recorder
        self._epoch = recorder.epoch
        self.task = None if parent is None else parent.task
        self.start_ns = recorder.clock.monotonic_ns()
        self.live, self.node, self.lane = take_place(recorder, parent, (component, reason), self.start_ns)

    def arguments(self, *values: object, **named: object) -> None:
        """Take what a decorated function was called with; waits are not compared."""

    def result(self, value: object) -> None:
        """Take what a decorated function returned; waits are not compared."""

    def finish(self, status: CallStatus = "success", error_type: str = "", t_ns: int | None = None) -> None:
        """End the wait; only the first end counts, and how it ended does not."""
        if not close_once(self) or self._epoch != self.recorder.epoch or self.live is None or self.node is None:
            return
        try:
            self.recorder.live.end(self.live, self.node, end_of(self.recorder, self.start_ns, t_ns))
        except Exception as error:  # noqa: BLE001 -- the host never pays for our mistakes
            self.recorder.guard.failed("wait", error)

    def fail(self, error: BaseException) -> None:
        """End the wait; that it ended by an exception is for what encloses it to count."""
        self.finish()

    def __del__(self) -> None:
        abandon(self)


class LLMOperation:
    """A running LLM call, fed with what the provider says as it says it."""

    __slots__ = (
        "_arguments",
        "_attempt_ns",
        "_attempts",
        "_chunks",
        "_epoch",
        "_first_token_ns",
        "_meter",
        "_open",
        "_per_token_ns",
        "_phases",
        "_result",
        "_retries",
        "_rows",
        "_truncation",
        "_usage",
        "agent",
        "lane",
        "live",
        "model",
        "node",
        "recorder",
        "start_ns",
        "task",
    )

    def __init__(
        self, recorder: Recorder, parent: Enclosing | None, model: str, *, race: bool = False, detached: bool = False
    ) -> None:
        self._open = True
        self.recorder = recorder
        self._epoch = recorder.epoch
        self.task = task = None if parent is None else parent.task
        self.model = model or UNKNOWN_MODEL
        self.agent = UNKNOWN_AGENT if task is None else task.agent
        self._arguments: int | None = None
        self._result: int | None = None
        self._first_token_ns: int | None = None
        self._usage: TokenUsage | None = None
        self._phases: Phases | None = None
        self._per_token_ns: float | None = None
        self._truncation: Literal["", "context", "output_limit"] = ""
        self._attempts: dict[str, int] | None = None
        self._retries: list[tuple[int, int]] | None = None
        self._chunks: dict[int, int] | None = None
        self._meter: Meter | None = None
        self._rows = recorder.llm_rows(self.agent, self.model)
        self._attempt_ns = self.start_ns = recorder.clock.monotonic_ns()
        self.live, self.node, self.lane = take_place(
            recorder,
            parent,
            ("llm", self.model),
            self.start_ns,
            detached=detached,
            counts=None if task is None else task.counts,
        )
        if race and self.live is not None:
            self.live.doubts.add("race")
        recorder.live.run(self._send, self.start_ns)

    def _send(self, t_ns: int) -> None:
        """Count the request as in flight to its model; a step under the lock."""
        self._meter = self.recorder.live.concurrency.meter(self.model, t_ns)
        self._meter.change(1, t_ns)

    def first_token(self, t_ns: int | None = None) -> None:
        """Note the first content, reasoning or tool-call token; only the first call counts."""
        if self._first_token_ns is None:
            self._first_token_ns = end_of(self.recorder, self.start_ns, t_ns) - self.start_ns

    def chunk(self) -> None:
        """Note one streamed chunk of output: where tokens go among the levels of concurrency. Reads no clock."""
        if self._meter is not None:
            chunks = self._chunks
            if chunks is None:
                chunks = self._chunks = {}
            n = self._meter.n
            chunks[n] = chunks.get(n, 0) + 1

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
        if name and name != self.model and hasattr(self, "_open"):
            self.model = name
            self._rows = self.recorder.llm_rows(self.agent, name)
            self.recorder.live.run(self._send_elsewhere, self.recorder.clock.monotonic_ns())

    def _send_elsewhere(self, t_ns: int) -> None:
        if self._meter is not None:
            self._meter.change(-1, t_ns)
        self._send(t_ns)

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
        """Count one HTTP attempt below this call; ``retried`` marks the time since the last one as thrown away."""
        if self._attempts is None:
            self._attempts = {"ok": 0, "retried": 0, "failed": 0}
        if outcome not in self._attempts:
            return
        self._attempts[outcome] += 1
        if outcome == "retried":
            now_ns = self.recorder.clock.monotonic_ns()
            self._retries = [*(self._retries or ()), (self._attempt_ns, now_ns)]
            self._attempt_ns = now_ns

    def backoff(self) -> WaitOperation:
        """Start the sleep before the next attempt; ``finish()`` what this returns when it is over."""
        return WaitOperation(self.recorder, self, self.model, "backoff")

    def arguments(self, *values: object, **named: object) -> None:
        """Tell what was asked, to find calls that repeat; only a hash is kept."""
        self._arguments = fingerprint((values, named))

    def result(self, value: object) -> None:
        """Tell what was answered, to find calls that repeat; only a hash is kept."""
        self._result = fingerprint(value)

    def finish(self, status: CallStatus = "success", error_type: str = "", t_ns: int | None = None) -> None:
        """End the call; only the first end counts. ``t_ns`` is when, on the monotonic clock; now when None."""
        if not close_once(self) or self._epoch != self.recorder.epoch:
            return
        try:
            status = status if status in CALL_STATUSES else "error"
            end_ns = end_of(self.recorder, self.start_ns, t_ns)
            self.recorder.live.run(self._end, status, end_ns)
            self.recorder.record_llm(self._span(status, error_type, end_ns), self._rows)
            if self._phases is not None and self.live is not None:
                for phase in PHASES_IN_ORDER:
                    self.recorder.path_started(self.live.agent, phase, self.model)
        except Exception as error:  # noqa: BLE001 -- the host never pays for our mistakes
            self.recorder.guard.failed("llm", error)

    def _end(self, status: CallStatus, end_ns: int) -> None:
        """End the node with its phases, the request in flight and the tokens' accounts; a step under the lock."""
        if self._meter is not None:
            self._credit(self._meter, end_ns)
            self._meter.change(-1, end_ns)
        if self.live is not None and self.node is not None:
            self.node.key = ("llm", self.model)
            was_counting = self.node.end_ns is None
            self.recorder.live.end_inside(self.live, self.node, end_ns)
            if was_counting and self.node.end_ns is not None:
                tile_call(self.node, self.model, self._retries or [], self._phases)
        if self.task is not None:
            self._account(self.task, status)

    def _credit(self, meter: Meter, end_ns: int) -> None:
        """Credit output tokens to levels of concurrency: by chunk, else over the decode time."""
        n_tokens = _count(self._usage.completion if self._usage is not None else None)
        if n_tokens == 0:
            return
        if self._chunks is not None and sum(self._chunks.values()) > 1:
            meter.credit_chunks(n_tokens, self._chunks)
            return
        decode_ns = self._phases.decode_ns if self._phases is not None else 0
        first_ns = self.start_ns + (self._first_token_ns or 0)
        if decode_ns > 0:
            end_ns = max(self.start_ns, end_ns - max(0, self._phases.network_ns if self._phases is not None else 0))
            first_ns = max(self.start_ns, end_ns - decode_ns)
        meter.credit(n_tokens, meter.shares_ns(first_ns, end_ns))

    def _account(self, task: Running, status: CallStatus) -> None:
        """Hold the call's tokens until its task ends: useful, repeated, or thrown away."""
        repeated = (
            self._arguments is not None
            and self._result is not None
            and task.waste.repeats("llm", self.model, self._arguments, self._result)
        )
        if self._usage is not None:
            thrown_away = status in {"error", "timeout"}
            fate = "retried" if thrown_away else "repeated" if repeated else "useful"
            task.waste.add(self.model, "prompt", fate, _count(self._usage.prompt))
            task.waste.add(self.model, "completion", fate, _count(self._usage.completion))

    def _span(self, status: CallStatus, error_type: str, end_ns: int) -> LLMCall:
        task = self.task
        attempts = self._attempts
        return LLMCall(
            self.agent,
            self.model,
            status,
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

    def discard(self) -> None:
        """Forget the call: it turned out to be none, such as a request that only loads a model."""
        if close_once(self) and self._epoch == self.recorder.epoch:
            self.recorder.live.run(self._forget, self.recorder.clock.monotonic_ns())

    def _forget(self, t_ns: int) -> None:
        if self._meter is not None:
            self._meter.change(-1, t_ns)
        if self.task is not None:
            self.task.counts["llm"] -= 1
        if self.live is not None and self.node is not None:
            self.node.key = ("own", "")
            self.recorder.live.end_inside(self.live, self.node, t_ns)

    @property
    def task_id(self) -> str:
        """The id of the task it belongs to, empty outside any."""
        return "" if self.task is None else self.task.task_id

    def __del__(self) -> None:
        abandon(self)


def tile_call(node: Node, model: str, retries: list[tuple[int, int]], phases: Phases | None) -> None:
    """Give a finished call its attempts that were repeated and its phases as children that tile it.

    Phases follow each other after the last attempt that was repeated and its back-off, each cut at the call's end.
    """
    end_ns = node.end_ns or node.start_ns
    for start_ns, until_ns in retries:
        node.tile(("retry", model), max(start_ns, node.start_ns), min(until_ns, end_ns))
    if phases is None:
        return
    t_ns = max((child.end_ns or 0 for child in node.children or ()), default=node.start_ns)
    lengths = (phases.client_wait_ns, phases.queue_ns, phases.load_ns, phases.prefill_ns, phases.decode_ns)
    for phase, length_ns in zip(PHASES_IN_ORDER, lengths, strict=False):
        until_ns = min(t_ns + max(0, length_ns), end_ns)
        if until_ns > t_ns:
            node.tile((phase, model), t_ns, until_ns)
            t_ns = until_ns
    if t_ns < end_ns:
        node.tile(("network", model), t_ns, end_ns)


def _count(amount: object) -> int:
    """Return a token count as it counts: whole and above zero, else none."""
    return amount if isinstance(amount, int) and amount > 0 else 0
