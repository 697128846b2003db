"""What is known of a finished LLM call from inside, as nodes below it: attempts thrown away, then phases in order.

The critical path of a task is walked over them as over any other work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentgauge.model.span import Phases
    from agentgauge.record.node import Node

_IN_ORDER = ("client_wait", "queue", "load", "prefill", "decode")
"""``network`` is what they leave."""


def tile_call(node: Node, model: str, retries: tuple[tuple[int, int], ...], phases: Phases | None) -> None:
    """Give a finished call its attempts that were repeated and its phases as children that tile it.

    Phases follow each other after the last attempt that was repeated and its back-off, each cut at the call's end.
    """
    end_ns = node.end_ns or node.start_ns
    pauses_ns = [child.end_ns or 0 for child in node.children or () if child.key[0] == "backoff"]
    for start_ns, until_ns in retries:
        # An attempt begins when the pause before it is over, not when the one before that failed.
        begun_ns = max((t_ns for t_ns in pauses_ns if t_ns <= until_ns), default=start_ns)
        node.tile(("retry", model), max(begun_ns, start_ns, node.start_ns), min(until_ns, end_ns))
    if phases is None:
        return
    t_ns = max((child.end_ns or 0 for child in node.children or ()), default=node.start_ns)
    lengths = (phases.client_wait_ns, phases.queue_ns, phases.load_ns, phases.prefill_ns, phases.decode_ns)
    for phase, length_ns in zip(_IN_ORDER, lengths, strict=True):
        until_ns = min(t_ns + length_ns, end_ns)
        if until_ns > t_ns:
            node.tile((phase, model), t_ns, until_ns)
            t_ns = until_ns
    if t_ns < end_ns:
        node.tile(("network", model), t_ns, end_ns)
