"""For users' tests: a clock to turn by hand, an isolated recorder, our own failures raised instead of counted."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from agentgauge.model.clock import Clock
from agentgauge.record.api import use_recorder
from agentgauge.record.ledger import Ledger
from agentgauge.record.recorder import Recorder

__all__ = ["FakeClock", "Recording", "recording"]


class FakeClock:
    """A clock that stands until it is turned; both of its times turn together."""

    def __init__(self, start_ms: int = 1_700_000_000_000) -> None:
        self._start_ms = start_ms
        self._now_ns = 0

    def now_ms(self) -> int:
        """Return the wall clock, milliseconds since the epoch."""
        return self._start_ms + self._now_ns // 1_000_000

    def monotonic_ns(self) -> int:
        """Return the monotonic clock, nanoseconds since the clock was made."""
        return self._now_ns

    def advance(self, seconds: float) -> None:
        """Turn the clock forward; back, with a negative number, to test what a real one must not do."""
        self._now_ns += round(seconds * 1e9)


class Recording:
    """What is recorded while an isolated recorder is in use."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def collected(self) -> dict[str, float]:
        """Return every sample as ``name{label="value",…}`` -> value, labels sorted; zeros included."""
        samples = {}
        for family in self.recorder.ledger.collect():
            for sample in family.samples:
                labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
                samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = float(sample.value)
        return samples


@contextmanager
def recording(clock: Clock | None = None, *, strict: bool = True) -> Generator[Recording]:
    """Record into a fresh, isolated recorder inside the block; failures of agentgauge itself raise when ``strict``.

    Example::

        def test_agent_counts_its_tools():
            with recording() as records:
                my_agent.run("question")
            assert records.collected()['agent_tool_calls_total{agent="a",status="success",tool_name="search"}'] == 1
    """
    recorder = Recorder(Ledger(clock=clock))
    recorder.guard.strict = strict
    restore = use_recorder(recorder)
    try:
        yield Recording(recorder)
    finally:
        restore()
