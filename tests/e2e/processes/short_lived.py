"""Pools and workers that are gone before anybody can scrape them. ``python short_lived.py fork|spawn|forkserver``."""

from __future__ import annotations

import multiprocessing
import sys
from typing import Any

import agentgauge as ag


def start() -> None:
    ag.start()


def call(_: int) -> None:
    with ag.tool_call("short"):
        pass


def alone(method: str) -> None:
    if method != "fork":
        ag.start()
    call(0)


def main() -> None:
    method = sys.argv[1]
    context: Any = multiprocessing.get_context(method)
    if method == "fork":
        ag.start()
    for _ in range(2):
        # The end of the block is SIGTERM for the workers.
        with context.Pool(4, None if method == "fork" else start) as pool:
            pool.map(call, range(100))
    processes = [context.Process(target=alone, args=(method,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


if __name__ == "__main__":
    main()
