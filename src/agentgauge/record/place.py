"""Where an operation stands: its root task, its node in that task's tree, its line of execution."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from agentgauge.record.branch import node_below
from agentgauge.record.lane import current_lane
from agentgauge.record.node import Node

if TYPE_CHECKING:
    from agentgauge.model.accounts import PathKey
    from agentgauge.record.context import Enclosing
    from agentgauge.record.live import LiveTask
    from agentgauge.record.recorder import Recorder

Place: TypeAlias = "tuple[LiveTask | None, Node | None, int]"
"""(root task, node, lane); the first two are None outside any task."""


def take_place(
    recorder: Recorder,
    parent: Enclosing | None,
    key: PathKey,
    t_ns: int,
    *,
    detached: bool = False,
    counts: dict[str, int] | None = None,
) -> Place:
    """Start a node for an operation below its parent; ``counts`` (component -> calls) is its task's.

    A detached one stands below nothing: its time enters neither partition.
    """
    lane = current_lane()
    live = None if parent is None else parent.live
    if live is None or parent is None:
        return None, None, lane
    node = Node(key, None if detached else node_below(recorder, parent, live, lane))
    recorder.ledger.later(_start, recorder, live, node, t_ns, counts)
    return live, node, lane


def _start(recorder: Recorder, live: LiveTask, node: Node, t_ns: int, counts: dict[str, int] | None) -> None:
    live.timeline.start(node, t_ns)
    if counts is not None:
        counts[node.key[0]] += 1
    recorder.path_seen(live.agent, node.key)
