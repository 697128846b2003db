"""What each LLM API puts on the wire: bytes in, facts out, no I/O and no clock.

A provider turns one exchange into ``CallFacts``: first the request's body, then the response's bytes as they arrive,
whatever their cuts, then the word how the reading ended. Hooks and the proxy feed it and keep the times.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

from agentgauge.model.span import CallStatus, TokenUsage


class ServerTimes(NamedTuple):
    """The server's own account of one call, in nanoseconds; unknown parts are 0.

    ``two_passes``: the server generated twice and accounts for the second pass only.
    """

    total_ns: int = 0
    load_ns: int = 0
    prefill_ns: int = 0
    decode_ns: int = 0
    two_passes: bool = False

    @property
    def queue_ns(self) -> int:
        """The residual that no field names: waiting for a slot, templating, tokenising."""
        return max(0, self.total_ns - self.load_ns - self.prefill_ns - self.decode_ns)


class CallFacts(NamedTuple):
    """What one exchange says about its call.

    ``counts`` is False for exchanges that are no call of the model: loading, unloading, a redirect.
    ``times`` is None where the server reports none. ``held_back`` says that the first token reached the client long
    after it was made (tool calls, answers that are not streamed), so that only the server's times tell when.
    ``answer`` is a hash of what was answered, where it was asked for.
    """

    model: str
    status: CallStatus
    error_type: str = ""
    usage: TokenUsage | None = None
    times: ServerTimes | None = None
    truncation: Literal["", "context", "output_limit"] = ""
    held_back: bool = False
    counts: bool = True
    n_tool_calls: int = 0
    answer: int | None = None


class Exchange(Protocol):
    """One request and its response, on the wire of one provider."""

    model: str

    def respond(self, status_code: int, *, streamed: bool) -> None:
        """Take note of the response's status line."""

    def feed(self, data: bytes) -> int:
        """Take note of bytes of the response's body, cut anywhere; returns how many chunks of output ended in them."""

    def finish(self, *, complete: bool) -> CallFacts:
        """Sum up; ``complete`` is False when the reader left before the body's end."""
