"""One LLM call from its start to its end, fed with what the provider says as it says it.

Theory of operation. Start and end read the clock and leave a step in the ledger's batch (``_begin``, ``_finish``);
all the rest, from the rows of the ledger to the walk through phases, is done by these steps: in order, under the
ledger's lock, at the latest before the task's end or a scrape. What an end brings (tokens, phases, first token, status)
is *told*; a hook may leave what it has to tell unread until the step runs (``end``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from agentgauge.model.metrics import CALL_STATUSES
from agentgauge.model.span import UNKNOWN_AGENT, UNKNOWN_MODEL, LLMCall, Phases, TokenUsage
from agentgauge.record.amounts import whole
from agentgauge.record.branch import node_below
from agentgauge.record.lane import current_lane
from agentgauge.record.node import Node
from agentgauge.record.once import EndsOnce, end_of
from agentgauge.record.operation import WaitOperation
from agentgauge.record.outcome import ending, error_type
from agentgauge.record.tiling import tile_call
from agentgauge.record.waste import fingerprint

if TYPE_CHECKING:
    from agentgauge.model.span import CallStatus
    from agentgauge.record.concurrency import Mark, Meter
    from agentgauge.record.context import Enclosing, Running
    from agentgauge.record.live import LiveTask
    from agentgauge.record.recorder import Recorder
    from agentgauge.record.rows import LLMRows

LLM = ("llm", UNKNOWN_MODEL)
MAX_MARKS = 64
"""Marks among the chunks of a call that are kept before they are looked up."""


class Ended(NamedTuple):
    """How a call ended."""

    status: CallStatus = "success"
    error_type: str = ""


SUCCESS = Ended()

SumUp = Callable[["LLMOperation"], "Ended | None"]
"""Tells a call that is over what is known of it, and returns how it ended; None when it was no call at all."""


class Told:
    """What was said of a call: most calls say little, so everything has its default on the class."""

    first_token_ns: int | None = None
    usage: TokenUsage | None = None
    phases: Phases | None = None
    per_token_ns: float | None = None
    truncation: Literal["", "context", "output_limit"] = ""
    n_tool_calls: int = 0
    attempts_ok = 0
    attempts_retried = 0
    attempts_failed = 0
    attempt_ns: int | None = None
    retries: tuple[tuple[int, int], ...] = ()
    arguments: int | None = None
    result: int | None = None


class LLMOperation(EndsOnce):
    """A running LLM call, fed with what the provider says as it says it."""

    __slots__ = (
        "_chunks",
        "_epoch",
        "_marks",
        "_meter",
        "_n_chunks",
        "_read_model",
        "_rows",
        "_serial",
        "agent",
        "end_ns",
        "lane",
        "live",
        "model",
        "node",
        "start_ns",
        "task",
        "told",
    )

    task: Running | None
    live: LiveTask | None
    node: Node | None
    lane: int

    def __init__(
        self,
        recorder: Recorder,
        parent: Enclosing | None,
        model: str,
        race: bool = False,
        detached: bool = False,
        read_model: Callable[[], str] | None = None,
    ) -> None:
        """Start now. ``read_model`` is asked for the model's name when there is time, instead of ``model``."""
        self._open = True
        self._is_over = False
        self.recorder = recorder
        ledger = recorder.ledger
        self._epoch = ledger.epoch
        self.model = model
        self._read_model = read_model
        self.told: Told | None = None
        self._meter: Meter | None = None
        self._rows: LLMRows | None = None
        self._chunks: dict[int, int] | None = None
        self._marks: list[Mark] | None = None
        self._n_chunks = 0
        self._serial = -1
        self.start_ns = start_ns = recorder.clock.monotonic_ns()
        if parent is None:
            self.task = self.live = self.node = None
            self.agent = UNKNOWN_AGENT
            self.lane = 0
        else:
            self._stand_below(parent, detached=detached, race=race)
        ledger.later(self._begin, start_ns)

    def _stand_below(self, parent: Enclosing, *, detached: bool, race: bool) -> None:
        """Take the place in the tree of the enclosing task."""
        self.task = task = parent.task
        self.agent = UNKNOWN_AGENT if task is None else task.agent
        self.lane = lane = current_lane()
        self.live = live = parent.live
        self.node = None
        if live is not None:
            below = None if detached else node_below(self.recorder, parent, live, lane)
            self.node = Node(LLM, below)
            if race:
                live.doubts.add("race")

    def _begin(self, t_ns: int) -> None:
        """Open the node and count the request as in flight to its model; a step of the ledger."""
        recorder, task, live, node = self.recorder, self.task, self.live, self.node
        if self._read_model is not None:
            self.model = self._read_model()
        model = self.model = self.model or UNKNOWN_MODEL
        if task is not None:
            task.counts["llm"] += 1
        if live is not None and node is not None:
            node.key = key = ("llm", model)
            live.timeline.start(node, t_ns)
            if key not in live.paths:
                recorder.paths.rows(live.agent, key)
        self._rows = recorder.llm_seen(self.agent, model)
        self._send(t_ns)

    def _send(self, t_ns: int) -> None:
        self._meter = meter = self.recorder.live.concurrency.meter(self.model, t_ns)
        meter.change(1, t_ns)

    def telling(self) -> Told:
        """Return what was told so far, to be added to."""
        told = self.told
        if told is None:
            told = self.told = Told()
        return told

    def first_token(self, t_ns: int | None = None) -> None:
        """Note the first content, reasoning or tool-call token; only the first call counts."""
        told = self.telling()
        if told.first_token_ns is None:
            told.first_token_ns = end_of(self.recorder, self.start_ns, t_ns) - self.start_ns

    def chunk(self) -> None:
        """Note one streamed chunk of output: where tokens go among the levels of concurrency."""
        if self._serial != self.recorder.ledger.serial:
            self._mark()
        self._n_chunks += 1

    def chunks(self, n_chunks: int) -> int:
        """Note chunks that came before the last event of this process, whatever it was.

        Returns the number of that event: while ``recorder.ledger.serial`` is the same, nothing else has happened.
        """
        self._n_chunks += n_chunks
        if self._serial != self.recorder.ledger.serial:
            self._mark()
        return self._serial

    def _mark(self) -> None:
        """Note when it is: the chunks from here to the next mark come while the same requests are in flight.

        For only events change what is in flight, and the first chunk after any event makes a mark. Which level it was
        is looked up later, when the events up to then have been worked off.
        """
        ledger, marks = self.recorder.ledger, self._marks
        self._serial = ledger.serial
        mark = (self.recorder.clock.monotonic_ns(), self._n_chunks)
        if marks is None:
            self._marks = [mark]
            return
        marks.append(mark)
        if len(marks) >= MAX_MARKS:
            self._marks = [mark]
            ledger.later(self._keep, marks)

    def _keep(self, marks: Sequence[Mark]) -> None:
        """Add the chunks between marks to the levels they came at; a step of the ledger."""
        if self._meter is not None:
            if self._chunks is None:
                self._chunks = {}
            self._meter.sort_chunks(marks, self._chunks)

    def usage(
        self,
        prompt: int | None = None,
        completion: int | None = None,
        cached: int | None = None,
        cache_write: int | None = None,
        reasoning: int | None = None,
    ) -> None:
        """Set the tokens of the call, as its provider reports them; None where it does not. The last report counts."""
        self.telling().usage = TokenUsage(prompt, completion, cached, cache_write, reasoning)

    def set_model(self, name: str) -> None:
        """Name the model, where the answer knows better than the request."""
        if name and hasattr(self, "_open") and self._epoch == self.recorder.ledger.epoch:
            t_ns = self.recorder.clock.monotonic_ns()
            marks, self._marks = self._marks or [], None
            self.recorder.ledger.later(self._send_elsewhere, name, t_ns, (*marks, (t_ns, self._n_chunks)))

    def _send_elsewhere(self, name: str, t_ns: int, marks: Sequence[Mark]) -> None:
        self._keep(marks)
        if name == self.model:
            return
        if self._meter is not None:
            self._meter.change(-1, t_ns)
        self.model = name
        self._send(t_ns)
        self._rows = self.recorder.llm_seen(self.agent, name)
        if self.live is not None and self.node is not None and self.live.timeline.root.end_ns is None:
            key = ("llm", name)
            self.node.rename(key)
            self.recorder.paths.rows(self.live.agent, key)

    def phases(self, phases: Phases) -> None:
        """Say where the wall clock of the call went; what is no length of time is refused."""
        with self.recorder.guard("llm_phases"):
            parts = [whole(part) for part in phases]
            if None in parts:
                self.recorder.guard.refused("llm_phases", f"cannot be counted: {phases!r}")
            else:
                self.telling().phases = Phases(*[part or 0 for part in parts])

    def per_token(self, duration_ns: float) -> None:
        """Set the time per output token from the provider's own times."""
        self.telling().per_token_ns = duration_ns

    def truncated(self, reason: Literal["context", "output_limit"]) -> None:
        """Note that the prompt or the answer was cut."""
        self.telling().truncation = reason

    def asks_for_tools(self, n_calls: int) -> None:
        """Set how many tool calls the answer asks for, whether or not they are made."""
        with self.recorder.guard("llm_tool_calls"):
            number = whole(n_calls)
            if number is None:
                self.recorder.guard.refused("llm_tool_calls", f"cannot be counted: {n_calls!r}")
            else:
                self.telling().n_tool_calls = number

    def attempt(self, outcome: Literal["ok", "retried", "failed"]) -> None:
        """Count one HTTP attempt below this call; ``retried`` marks the time since the last one as thrown away."""
        told = self.telling()
        if outcome == "ok":
            told.attempts_ok += 1
        elif outcome == "failed":
            told.attempts_failed += 1
        elif outcome == "retried":
            told.attempts_retried += 1
            now_ns = self.recorder.clock.monotonic_ns()
            told.retries = (*told.retries, (self.start_ns if told.attempt_ns is None else told.attempt_ns, now_ns))
            told.attempt_ns = now_ns

    def backoff(self) -> WaitOperation:
        """Start the sleep before the next attempt; ``finish()`` what this returns when it is over."""
        return WaitOperation(self.recorder, self, self.model, "backoff")

    def arguments(self, *values: object, **named: object) -> None:
        """Tell what was asked, to find calls that repeat; only a hash is kept."""
        self.telling().arguments = fingerprint((values, named))

    def result(self, value: object) -> None:
        """Tell what was answered, to find calls that repeat; only a hash is kept."""
        self.telling().result = fingerprint(value)

    def finish(self, status: CallStatus = "success", error_type: str = "", t_ns: int | None = None) -> None:
        """End the call; only the first end counts. ``t_ns`` is when, on the monotonic clock; now when None."""
        how = SUCCESS if status == "success" else Ended(status if status in CALL_STATUSES else "error", error_type)
        self.end(None, t_ns, how)

    def fail(self, error: BaseException) -> None:
        """End the call the way an exception ends it."""
        how = ending(error)
        self.end(None, None, Ended("error" if how == "failed" else how, error_type(error)))

    def discard(self) -> None:
        """Forget the call: it turned out to be none, such as a request that only loads a model."""
        self.end(_no_call)

    def end(self, sum_up: SumUp | None, t_ns: int | None = None, how: Ended = SUCCESS) -> None:
        """End the call; ``sum_up(self)`` tells how it was, before anyone can see. Only the first end counts.

        ``sum_up`` is called once, under the ledger's lock: it may look at this call only, and must be quick.
        """
        if not self.close_once():
            return
        recorder = self.recorder
        ledger = recorder.ledger
        try:
            self.end_ns = end_of(recorder, self.start_ns, t_ns)
            if self._epoch == ledger.epoch:
                ledger.later(self._finish, how, sum_up)
        except Exception as error:  # noqa: BLE001 -- the host never pays for our mistakes
            recorder.guard.failed("llm", error)

    def _finish(self, how: Ended, sum_up: SumUp | None) -> None:
        """End the node and the request in flight, and count the call by what was told; a step of the ledger."""
        recorder, live, end_ns = self.recorder, self.live, self.end_ns
        try:
            ended = how if sum_up is None else sum_up(self)
            told = self.told or NOTHING
            if live is not None and self.node is not None:
                was_counting = self.node.end_ns is None
                detached_ns = live.timeline.end(self.node, end_ns)
                if detached_ns:
                    recorder.live.detached(live, detached_ns)
                if was_counting and ended is not None and (told.phases is not None or told.retries):
                    if told.retries:
                        live.timeline.in_turn = False  # what was done within an attempt lies beside it
                    tile_call(self.node, self.model, told.retries, told.phases)
            if self._meter is not None and ended is not None and told.usage is not None:
                self._credit(self._meter, told, told.usage, end_ns)
            if self.task is not None:
                self._keep_fates(self.task, ended, told)
            if ended is not None:
                recorder.commit_llm(self._span(ended, told, end_ns), self._rows)
        except Exception as error:  # noqa: BLE001 -- the host never pays for our mistakes
            recorder.guard.failed("llm", error)
        finally:
            if self._meter is not None:
                self._meter.change(-1, end_ns)

    def _credit(self, meter: Meter, told: Told, usage: TokenUsage, end_ns: int) -> None:
        """Credit output tokens to levels of concurrency: by chunk, else over the decode time."""
        n_tokens = _count(usage.completion)
        if n_tokens == 0:
            return
        if self._n_chunks > 1:
            if self._marks is not None:
                self._keep((*self._marks, (end_ns, self._n_chunks)))
            meter.credit(n_tokens, self._chunks or {})
            return
        first_ns = self.start_ns + (told.first_token_ns or 0)
        phases = told.phases
        if phases is not None and phases.decode_ns > 0:
            end_ns = max(self.start_ns, end_ns - max(0, phases.network_ns))
            first_ns = max(self.start_ns, end_ns - phases.decode_ns)
        meter.credit_span(n_tokens, first_ns, end_ns)

    def _keep_fates(self, task: Running, ended: Ended | None, told: Told) -> None:
        """Hold the call's tokens until its task ends: useful, repeated, or thrown away."""
        if ended is None:
            task.counts["llm"] -= 1
            if self.node is not None and self.live is not None and self.live.timeline.root.end_ns is None:
                self.node.rename(("own", ""))
            return
        repeated = (
            told.arguments is not None
            and told.result is not None
            and task.waste.repeats("llm", self.model, told.arguments, told.result)
        )
        if told.usage is not None:
            thrown_away = ended.status in {"error", "timeout"}
            fate = "retried" if thrown_away else "repeated" if repeated else "useful"
            task.waste.spent(self.model, fate, told.usage)

    def _span(self, ended: Ended, told: Told, end_ns: int) -> LLMCall:
        task = self.task
        return LLMCall(
            self.agent,
            self.model,
            ended.status,
            self.start_ns,
            end_ns,
            told.first_token_ns,
            told.per_token_ns,
            told.usage,
            told.phases,
            ended.error_type,
            told.truncation,
            told.attempts_ok,
            told.attempts_retried,
            told.attempts_failed,
            told.n_tool_calls,
            "" if task is None else task.task_id,
            "" if task is None else task.trace_id,
        )

    @property
    def task_id(self) -> str:
        """The id of the task it belongs to, empty outside any."""
        return "" if self.task is None else self.task.task_id


NOTHING = Told()
"""What a call tells that tells nothing; never written to."""


def _no_call(_: LLMOperation) -> None:
    return None


def _count(amount: object) -> int:
    """Return a token count as it counts: whole and above zero, else none."""
    return amount if isinstance(amount, int) and amount > 0 else 0
