"""A web application under gunicorn: it counts where gunicorn puts it, before or after the fork."""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import parse_qs

import agentgauge as ag

ag.start()

OPEN: list[Any] = []


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    asked = parse_qs(scope["query_string"].decode())
    for _ in range(int(asked.get("n", ["0"])[0])):
        with ag.tool_call("search"):
            pass
    if "hang" in asked:
        OPEN.append(ag.task(agent="web").start())
    body = json.dumps({"pid": os.getpid()}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
