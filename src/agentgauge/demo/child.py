"""The demo's two child processes, started as ``python -m agentgauge.demo.child simulator|crew``.

Settings come as JSON on the first line of standard input, "ready" facts go out as one JSON line, and the end of
standard input is the order to stop: so a parent that dies, however, leaves no child behind.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import ollama

from agentgauge.demo.agents import crew
from agentgauge.demo.crew import Crew
from agentgauge.demo.diary import Diary
from agentgauge.demo.loop import Desk, Mischief
from agentgauge.demo.site import FlakySite
from agentgauge.errors import AgentgaugeError
from agentgauge.expose.exposition import Exposition
from agentgauge.integrations import install
from agentgauge.record.api import default_recorder
from agentgauge.simulator.config import SimulatorConfig
from agentgauge.simulator.faults import parse_fault
from agentgauge.simulator.server import SimulatedOllama


def main(kind: str) -> None:
    """Run one child until its standard input ends."""
    # Ctrl-C reaches the whole foreground group; only the parent acts on it, and tells the children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = json.loads(sys.stdin.readline())
    try:
        if kind == "simulator":
            asyncio.run(_simulate(settings))
        else:
            _work(settings)
    except AgentgaugeError as error:
        print(f"agentgauge: {error}", file=sys.stderr)
        sys.exit(1)


def _say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


async def _simulate(settings: dict[str, Any]) -> None:
    config = SimulatorConfig(
        preset=settings["preset"],
        parallel=settings["parallel"],
        seed=settings["seed"],
        speed=settings["speed"],
        faults=tuple(map(parse_fault, settings["faults"])),
    )
    async with SimulatedOllama(config) as simulator:
        _say(url=simulator.url)
        await asyncio.to_thread(sys.stdin.read)


def _work(settings: dict[str, Any]) -> None:
    exposition = Exposition(default_recorder().ledger)
    install("ollama")
    diary = Diary(Path(settings["diary"]) if settings["diary"] else None)
    with FlakySite(seed=settings["seed"]) as site:
        desk = Desk(
            settings["model"],
            ollama.Client(host=settings["ollama"], timeout=settings["timeout_s"]),
            ollama.AsyncClient(host=settings["ollama"], timeout=settings["timeout_s"]),
            diary,
            Mischief(break_off=0.05, cancel=0.04, chance=random.Random(settings["seed"])),
        )
        working = Crew(crew(desk, site.url, settings["embedding_model"]), desk)
        threading.Thread(target=working.work, daemon=True).start()
        _say(metrics=exposition.url)
        sys.stdin.read()
    working.stop.set()
    exposition.close()
    diary.close()
    # Agents in mid-thought are daemon threads; nothing waits for a model's answer that nobody will read.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
