"""Where folded labels came from: the user's own line, a few of them, and nothing that is not known."""

from __future__ import annotations

import agentgauge as ag
from agentgauge.record.places import MAX_LOOKS, MAX_PLACES, Places
from agentgauge.testing import recording


def test_the_users_line_is_named(caplog) -> None:
    """File and line of the call that made the value, in the list and in the one log line."""
    with recording() as records:
        for i in range(3):
            with ag.tool_call(f"{i:032x}"):
                pass
        found = records.recorder.ledger.folded_places()
    (places,) = [
        places for metric, label, places in found if (metric, label) == ("agent_tool_calls_total", "tool_name")
    ]
    (place,) = places
    assert place.startswith(f"{__file__}:")
    assert place.endswith(" in test_the_users_line_is_named")
    assert place in caplog.text


def test_looks_and_places_are_bounded() -> None:
    """Only the first looks walk the stack, only a few places stay; what is worked off later has none."""
    places = Places()
    lines = "\n".join(f"places.look('m', 'l')  # {i}" for i in range(MAX_LOOKS + 10))
    exec(compile(lines, "user.py", "exec"), {"places": places})
    ((metric, label, found),) = places.found()
    assert (metric, label, len(found)) == ("m", "l", MAX_PLACES)
    assert found[0] == "user.py:1 in <module>"
