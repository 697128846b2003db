"""Workers of ``multiprocessing``: a line of JSON in, one out. ``python workers.py fork|spawn|forkserver N``."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import agentgauge as ag

OPEN: list[Any] = []


def work(orders: Connection, starts_itself: bool) -> None:
    if starts_itself:
        ag.start()
    while (order := orders.recv()) is not None:
        for _ in range(order.get("n", 0)):
            with ag.tool_call("search"):
                pass
        if "hang" in order:
            OPEN.append(ag.task(agent="worker").start())
        orders.send({"pid": os.getpid()})


def main() -> None:
    method, n_workers = sys.argv[1], int(sys.argv[2])
    context: Any = multiprocessing.get_context(method)
    if method == "fork":
        ag.start()

    def start() -> tuple[BaseProcess, Connection]:
        mine, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, method != "fork"))
        process.start()
        theirs.close()
        return process, mine

    workers = [start() for _ in range(n_workers)]
    print(json.dumps([process.pid for process, _ in workers]), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        process, pipe = workers[order["worker"]]
        if "kill" in order:
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
            process, pipe = workers[order["worker"]] = start()
            print(json.dumps({"pid": process.pid}), flush=True)
        else:
            pipe.send(order)
            print(json.dumps(pipe.recv()), flush=True)
    for process, pipe in workers:
        pipe.send(None)
        process.join()


if __name__ == "__main__":
    main()
