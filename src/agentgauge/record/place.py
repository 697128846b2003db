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


def place_below(recorder: Recorder, parent: Enclosing | None, key: PathKey, *, detached: bool = False) -> Place:
    """Return the place of an operation below its parent; ``start_node`` is the step that opens it.

    A detached one stands below nothing: its time enters neither partition.
    """
    lane = current_lane()
    live = None if parent is None else parent.live
    if live is None or parent is None:
        return None, None, lane
    return live, Node(key, None if detached else node_below(recorder, parent, live, lane)), lane


def start_node(recorder: Recorder, live: LiveTask, node: Node, t_ns: int) -> None:
    """Open a node, and its accounts when its component is new; a step of the ledger."""
    live.timeline.start(node, t_ns)
    if node.key not in live.paths:
        recorder.paths.rows(live.agent, node.key)
