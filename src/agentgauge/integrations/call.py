"""One Ollama request in flight: reads along its response and settles its operation exactly once.

Every public method keeps its own failures from the host; the host's exceptions it only looks at.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from agentgauge.model.clock import SystemClock
from agentgauge.model.span import Phases
from agentgauge.providers import CallFacts
from agentgauge.providers.ollama import CALL_PATHS, OllamaExchange, phases_within
from agentgauge.record.api import default_recorder, llm_call

if TYPE_CHECKING:
    from agentgauge.record.operation import LLMOperation

_now_ns = SystemClock.monotonic_ns
_SEEN = "agentgauge"
_N_CONVERSATIONS = 1_000


def begin(request: Any) -> Call | None:
    """Start the operation for a request of the ``ollama`` client that calls a model; None for any other request."""
    try:
        if request.method != "POST" or not request.url.path.endswith(CALL_PATHS):
            return None
        if not request.headers.get("user-agent", "").startswith("ollama-python") or _SEEN in request.extensions:
            return None
        request.extensions[_SEEN] = True
        exchange = OllamaExchange(request.content)
        return Call(exchange, llm_call(model=exchange.model).start())
    except Exception as error:  # noqa: BLE001  # whatever a future httpx does, the host's call goes on unmeasured
        default_recorder().guard.failed("ollama.begin", error)
        return None


class Call:
    """The operation of one request, its exchange, and when the first bytes of the answer came.

    Thread-safety: one reader at a time, as ``httpx`` has it; a finaliser may settle from any thread.
    """

    __slots__ = ("_decode", "_exchange", "_first_ns", "_operation", "_settled")

    def __init__(self, exchange: OllamaExchange, operation: LLMOperation) -> None:
        self._exchange = exchange
        self._operation = operation
        self._first_ns = 0
        self._settled = False
        self._decode: Callable[[bytes], bytes] | None = None

    def responded(self, response: Any, along: Callable[[Any, Call], Any]) -> None:
        """Take the response: settle at once when it has been read, else read along its stream."""
        try:
            streamed = not response.is_stream_consumed
            self._exchange.respond(response.status_code, streamed=streamed)
            if not streamed:
                self._exchange.feed(response.content)
                self.settle(complete=True)
                return
            if encoding := response.headers.get("content-encoding"):
                self._decode = _decoder(encoding)
            response.stream = along(response.stream, self)
        except Exception as error:  # noqa: BLE001  # see begin
            default_recorder().guard.failed("ollama.responded", error)
            self.settle(complete=False)

    def feed(self, data: bytes) -> None:
        """Look at bytes of the body on their way to the reader."""
        if not self._first_ns:
            self._first_ns = _now_ns()
        if self._decode is None:
            self._exchange.feed(data)
            return
        try:
            self._exchange.feed(self._decode(data))
        except Exception as error:  # noqa: BLE001  # a body that cannot be decoded is still the reader's
            default_recorder().guard.failed("ollama.feed", error)
            self._decode = _nothing

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
        try:
            end_ns = _now_ns()
            if self._decode is _nothing:
                facts = CallFacts(self._exchange.model, "success" if complete else "cancelled")
            else:
                facts = self._exchange.finish(complete=complete)
            self._sum_up(facts, end_ns)
        except Exception as error:  # noqa: BLE001  # see begin
            default_recorder().guard.failed("ollama.settle", error)
            self._operation.finish("error", "agentgauge")

    def __del__(self) -> None:
        """Settle what nobody read or closed: as cancelled, and without a lock (the operation sees to that)."""
        if not self._settled:
            self.settle(complete=False)

    def _sum_up(self, facts: CallFacts, end_ns: int) -> None:
        operation, usage = self._operation, facts.usage
        if not facts.counts:
            operation.discard()
            return
        wall_ns = end_ns - operation.start_ns
        operation.phases(self._phases(facts, wall_ns))
        if usage is not None:
            operation.usage(prompt=usage.prompt, completion=usage.completion, cached=usage.cached)
            if facts.times is not None and facts.times.decode_ns and (usage.completion or 0) > 1:
                operation.per_token(facts.times.decode_ns / ((usage.completion or 0) - 1))
        self._first_token(facts, wall_ns)
        if truncation := facts.truncation or _fell(operation, self._exchange, facts):
            operation.truncated(truncation)
        operation.attempt("ok" if facts.status in {"success", "cancelled"} else "failed")
        operation.finish(facts.status, facts.error_type, t_ns=end_ns)

    def _phases(self, facts: CallFacts, wall_ns: int) -> Phases:
        if facts.times is not None:
            return phases_within(facts.times, wall_ns)
        return Phases(network_ns=wall_ns) if facts.status == "error" else self._unexplained(wall_ns)

    def _unexplained(self, wall_ns: int) -> Phases:
        """Split a call of which the server told nothing: at the first bytes of its answer, where some came."""
        if not self._first_ns:
            return Phases(network_ns=wall_ns)
        prefill_ns = min(self._first_ns - self._operation.start_ns, wall_ns)
        return Phases(prefill_ns=prefill_ns, decode_ns=wall_ns - prefill_ns)

    def _first_token(self, facts: CallFacts, wall_ns: int) -> None:
        """Note the first token: by our clock where it was sent when it was made, by the server's times elsewhere."""
        made_none = facts.usage is not None and not facts.usage.completion
        if facts.status == "error" or made_none:
            return
        if not facts.held_back:
            if self._first_ns:
                self._operation.first_token(self._first_ns)
        elif facts.times is not None:
            times = facts.times
            first_ns = min(times.load_ns + times.queue_ns + times.prefill_ns, wall_ns)
            self._operation.first_token(self._operation.start_ns + first_ns)


_conversations: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()


def _fell(operation: LLMOperation, exchange: OllamaExchange, facts: CallFacts) -> Literal["", "context"]:
    """Suspect a cut context: in one task and model the request grew and the prompt's count fell.

    Calls that interleave within a task may pass each other here: this is a sign, worth a counter, not a proof.
    """
    prompt = facts.usage.prompt if facts.usage else None
    if operation.task is None or prompt is None:
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
