"""Work in pools and threads stays in the task that sent it there; so do waits for a slot.

python examples/threads.py
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import agentgauge as ag

SLOTS = ag.limit(threading.Semaphore(2), "search slots")  # the wait for it is part of where the time goes


@ag.tool_call
def search(query: str) -> str:
    with SLOTS:
        time.sleep(0.05)
    return query.upper()


@ag.task(agent="fan-out")
def research(queries: list[str]) -> list[str]:
    with ag.propagate(ThreadPoolExecutor(max_workers=4)) as pool:
        answers = list(pool.map(search, queries))
    late: list[str] = []
    thread = threading.Thread(target=ag.propagate(lambda: late.append(search("one more"))))
    thread.start()
    thread.join()
    return answers + late


def main() -> None:
    exposition = ag.start()
    print(research(["a", "b", "c", "d"]))
    print("metrics:", exposition.url)


if __name__ == "__main__":
    main()
