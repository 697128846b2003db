"""One Ollama request in flight: reads along its response and settles its operation exactly once.

Every public method keeps its own failures from the host; the host's exceptions it only looks at.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Literal

from agentgauge.model.clock import SystemClock
from agentgauge.model.span import Phases
from agentgauge.providers import CallFacts
from agentgauge.providers.ollama import CALL_PATHS, OllamaExchange, phases_within
from agentgauge.record.api import default_recorder
from agentgauge.record.branch import operation_around
from agentgauge.record.context import CURRENT
from agentgauge.record.llm import Ended, LLMOperation
from agentgauge.record.once import without_locks
from agentgauge.record.overhead import timed

_now_ns = SystemClock.monotonic_ns
_SEEN = "agentgauge"
_IS_OLLAMAS = "_agentgauge_is_ollamas"
_N_CONVERSATIONS = 1_000
MANY = 64
"""Chunks that are looked at together: about 10 kB."""
_MAX_HELD_BYTES = 4_096
"""What a call may hold of its exchange until it is counted."""
_ANSWERED = frozenset({"success", "cancelled"})


def begin(client: Any, request: Any) -> Call | None:
    """Start the operation for a request of an ``ollama`` client that calls a model; None for any other request.

    ``client`` is the ``httpx`` client that sends it.
    """
    try:
        if not _is_ollamas(client) or request.method != "POST" or _SEEN in request.extensions:
            return None
        if not request.url.path.endswith(CALL_PATHS):
            return None
        request.extensions[_SEEN] = True
        return timed(default_recorder(), Call, request.content)
    except Exception as error:  # noqa: BLE001  # whatever a future httpx does, the host's call goes on unmeasured
        default_recorder().guard.failed("ollama.begin", error)
        return None


def note_ollamas(client: Any, *, is_ollamas: bool) -> bool:
    """Note on an ``httpx`` client whether it is one of ``ollama``'s."""
    setattr(client, _IS_OLLAMAS, is_ollamas)
    return is_ollamas


def _is_ollamas(client: Any) -> bool:
    """Tell the clients that ``ollama`` made by the name they give; asked once, because ``httpx`` takes its time."""
    known: bool | None = client.__dict__.get(_IS_OLLAMAS)
    if known is None:
        return note_ollamas(client, is_ollamas=client.headers.get("user-agent", "").startswith("ollama-python"))
    return known


class Call:
    """The operation of one request, its exchange, and when the first bytes of the answer came.

    While the host waits, only what is gone afterwards is kept: times, and the ends of request and answer. They are
    read when the call is counted (see ``record/llm.py``), or at once where they are long, so that little is held.

    ``held`` are the last few chunks of the answer, not yet looked at: looking at many together is far cheaper.

    Thread-safety: one reader at a time, as ``httpx`` has it; a finaliser may settle from any thread.
    """

    __slots__ = ("_complete", "_decode", "_exchange", "_facts", "_first_ns", "_operation", "_settled", "held", "ledger")

    def __init__(self, request_body: bytes) -> None:
        self._settled = True  # until there is something to settle
        self._exchange = exchange = OllamaExchange(request_body)
        self._first_ns = 0
        self._facts: CallFacts | None = None
        self._decode: Callable[[bytes], bytes] | None = None
        self.held: list[bytes] = []
        recorder = default_recorder()
        self.ledger = recorder.ledger
        around = CURRENT.get()
        if isinstance(operation_around(around), LLMOperation):
            # The host measures this call by hand as well: it will count twice, and the doctor says so.
            self.ledger.later(self.ledger.values_add, "agentgauge_nested_llm_calls_total", ("ollama",), 1)
        self._operation = operation = LLMOperation(recorder, around, "", read_model=exchange.read_model)
        if operation.task is not None:
            operation.telling().arguments = hash(request_body)
        self._settled = False

    def responded(self, response: Any, along: Callable[[Any, Call], Any]) -> None:
        """Take the response: settle at once when it has been read, else read along its stream."""
        try:
            task, told = self._operation.task, self._operation.told
            is_whole = response.is_stream_consumed
            if task is not None and told is not None and (is_whole or task.waste.asks_again(told.arguments)):
                self._exchange.compare()
            if is_whole:
                self._exchange.whole(response.status_code, response.content)
                self.settle(complete=True)
                return
            self._exchange.respond(response.status_code, streamed=True)
            if encoding := response.headers.get("content-encoding"):
                self._decode = _decoder(encoding)
            response.stream = along(response.stream, self)
        except Exception as error:  # noqa: BLE001  # see begin
            default_recorder().guard.failed("ollama.responded", error)
            self.settle(complete=False)

    def read_along(self) -> int:
        """Look at the bytes in ``held`` that are on their way to the reader, because there are many or time changed.

        Returns the number of the ledger's last event: until the next one, what comes belongs together.
        """
        return timed(self._operation.recorder, self._read_along)

    def _read_along(self) -> int:
        if not self._first_ns:
            self._first_ns = _now_ns()
        held = self.held
        data = b"".join(held)
        held.clear()
        if self._decode is not None:
            data = self._decoded(data)
        return self._operation.chunks(self._exchange.feed(data))

    def _decoded(self, data: bytes) -> bytes:
        try:
            return self._decode(data) if self._decode is not None else data
        except Exception as error:  # noqa: BLE001  # a body that cannot be decoded is still the reader's
            default_recorder().guard.failed("ollama.feed", error)
            self._decode = _nothing
            return b""

    def failed(self, error: BaseException) -> None:
        """Settle by the exception that the host is about to see."""
        if self._settled:
            return
        self._settled = True
        self._operation.attempt("failed")
        self._operation.phases(self._unexplained(_now_ns() - self._operation.start_ns))
        self._operation.fail(error)

    def settle(self, *, complete: bool) -> None:
        """Settle by what the body said; the first settling counts."""
        if self._settled:
            return
        self._settled = True
        self._complete = complete
        timed(self._operation.recorder, self._settle)

    def _settle(self) -> None:
        if self.held:
            self._read_along()
        if len(self._exchange.tail) > _MAX_HELD_BYTES:
            self._read()
        self._operation.end(self._sum_up)

    def __del__(self) -> None:
        """Settle what nobody read or closed: as cancelled, and without a lock."""
        if not self._settled:
            without_locks(self._operation.recorder, self._abandon)

    def _abandon(self) -> None:
        self.settle(complete=False)

    def _read(self) -> CallFacts:
        """Return what the exchange says, and forget its bytes."""
        try:
            if self._decode is _nothing:
                facts = CallFacts(self._exchange.model, "success" if self._complete else "cancelled")
            else:
                facts = self._exchange.finish(complete=self._complete)
        except Exception as error:  # noqa: BLE001  # see begin
            default_recorder().guard.failed("ollama.settle", error)
            facts = CallFacts(self._exchange.model, "error", "agentgauge")
        self._facts = facts
        self._exchange.forget()
        return facts

    def _sum_up(self, operation: LLMOperation) -> Ended | None:
        """Tell the operation what its call was; None when it was none."""
        facts = self._facts or self._read()
        if not facts.counts:
            return None
        told, usage, times = operation.telling(), facts.usage, facts.times
        wall_ns = operation.end_ns - operation.start_ns
        n_completion = 0
        if usage is not None:
            told.usage = usage
            n_completion = usage.completion or 0
        if times is not None:
            told.phases = phases_within(times, wall_ns)
            if n_completion > 1 and times.decode_ns:
                told.per_token_ns = times.decode_ns / (n_completion - 1)
        else:
            told.phases = Phases(network_ns=wall_ns) if facts.status == "error" else self._unexplained(wall_ns)
        if facts.status != "error" and (n_completion or usage is None):
            told.first_token_ns = self._first_token_ns(facts, wall_ns)
        told.result = facts.answer
        told.n_tool_calls = facts.n_tool_calls
        told.truncation = facts.truncation or _fell(operation, self._exchange, facts)
        if facts.status in _ANSWERED:
            told.attempts_ok = 1
        else:
            told.attempts_failed = 1
        return Ended(facts.status, facts.error_type)

    def _unexplained(self, wall_ns: int) -> Phases:
        """Split a call of which the server told nothing: at the first bytes of its answer, where some came."""
        if not self._first_ns:
            return Phases(network_ns=wall_ns)
        prefill_ns = min(self._first_ns - self._operation.start_ns, wall_ns)
        return Phases(prefill_ns=prefill_ns, decode_ns=wall_ns - prefill_ns)

    def _first_token_ns(self, facts: CallFacts, wall_ns: int) -> int | None:
        """Return when the first token came: by our clock where it was sent when it was made, else by the server's."""
        if not facts.held_back:
            return min(self._first_ns - self._operation.start_ns, wall_ns) if self._first_ns else None
        times = facts.times
        return None if times is None else min(times.load_ns + times.queue_ns + times.prefill_ns, wall_ns)


_conversations: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()


def _fell(operation: LLMOperation, exchange: OllamaExchange, facts: CallFacts) -> Literal["", "context"]:
    """Suspect a cut context: in one task and model the request grew and the prompt's count fell.

    Calls that interleave within a task may pass each other here: this is a sign, worth a counter, not a proof.
    """
    if operation.task is None:
        return ""
    prompt = facts.usage.prompt if facts.usage else None
    if prompt is None:
        return ""
    key = (operation.task.task_id, exchange.model)
    request_bytes, count = _conversations.pop(key, (0, 0))
    _conversations[key] = (exchange.request_bytes, prompt)
    while len(_conversations) > _N_CONVERSATIONS:
        _conversations.popitem(last=False)
    return "context" if exchange.request_bytes > request_bytes > 0 and prompt < count else ""


def _decoder(encoding: str) -> Callable[[bytes], bytes]:
    """Return a decoder of a copy; for what the standard library cannot decode, one that sees nothing."""
    if encoding.strip().lower() in {"gzip", "x-gzip", "deflate"}:
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress
    return _nothing


def _nothing(data: bytes) -> bytes:
    return b""
