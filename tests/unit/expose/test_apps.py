"""The document inside a user's own web application."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from itertools import pairwise
from wsgiref.util import setup_testing_defaults

import pytest

from agentgauge.expose.apps import Renderings, asgi_app, wsgi_app
from agentgauge.expose.document import Document
from agentgauge.expose.server import MAX_WORKERS
from agentgauge.model.span import LLMCall, ToolCall
from agentgauge.record.ledger import Ledger
from agentgauge.record.recorder import Recorder


async def call(app, method="GET", headers=(), path="/"):
    """Ask an ASGI app and return status, headers and body."""
    sent = []

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        sent.append(message)

    await app({"type": "http", "method": method, "path": path, "headers": list(headers)}, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), body


async def test_asgi_answers_and_negotiates(ledger):
    """GET, HEAD, gzip; other methods are refused."""
    app = asgi_app(Document(ledger))
    status, headers, body = await call(app, headers=[(b"accept-encoding", b"gzip")])
    assert (status, headers[b"content-encoding"]) == (200, b"gzip")
    assert b"agent_tool_calls_total" in gzip.decompress(body)
    assert (await call(app, "HEAD"))[2] == b""
    assert (await call(app, "POST"))[0] == 405


async def test_folded_labels_and_their_places_are_told_below_the_mount(ledger):
    """ASGI and WSGI: the line of code whose value was folded, as at an endpoint of our own; HEAD has no body."""
    Recorder(ledger).record(ToolCall("a", "0f" * 16, "success", 0, 1))
    document = Document(ledger)
    status, headers, body = await call(asgi_app(document), path="/metrics/debug/folded")
    assert (status, headers[b"content-type"]) == (200, b"application/json")
    assert {one["label"] for one in json.loads(body)["folded"]} == {"tool_name"}
    assert all(__file__ in one["places"][0] for one in json.loads(body)["folded"])
    assert (await call(asgi_app(document), "HEAD", path="/metrics/debug/folded"))[2] == b""
    environ = {"PATH_INFO": "/debug/folded"}
    setup_testing_defaults(environ)
    assert b"".join(wsgi_app(document)(environ, lambda *_: None)) == body


async def test_asgi_takes_part_in_a_lifespan(ledger):
    """Served alone, it says that it has started and ended."""
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent = []

    async def receive():
        return next(messages)

    async def send(message):
        sent.append(message["type"])

    await asgi_app(Document(ledger))({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_renderings_are_bounded_and_failures_reach_the_request(ledger):
    """More than the bound at once get nothing; what rendering raised is raised where it is awaited."""
    document = Document(ledger)
    renderings = Renderings(document)
    answers = await asyncio.gather(*[renderings.response("", "") for _ in range(MAX_WORKERS)])
    assert None not in answers
    for _ in range(MAX_WORKERS):
        assert renderings._free.acquire(blocking=False)
    assert await renderings.response("", "") is None
    renderings._free.release()
    document.ledger = None
    with pytest.raises(AttributeError):
        await renderings.response("", "")


def test_a_scrape_pauses_before_5_ms_of_work():
    """At the series limit, cold or warm, a rendering thread works less than 5 ms between two chances for the loop.

    Measured in the thread's own CPU time, and the best of six, because a busy machine stretches even that a little; the
    loop's own gaps beside scrapes are in benchmarks/bench_render.py.
    """
    recorder = Recorder(Ledger(limits={"agent": 9_999, "model": 9_999, "tool_name": 9_999}))
    for i in range(250):
        recorder.record(LLMCall("a", f"model {i}", "success", 0, i))
        recorder.record(ToolCall("a", f"tool {i}", "success", 0, i))
    longest = []
    for _ in range(3):
        document = Document(recorder.ledger)
        for _ in range(2):
            marks = [time.thread_time()]
            document.response("", "gzip", pause=lambda marks=marks: marks.append(time.thread_time()))
            marks.append(time.thread_time())
            longest.append(max(last - first for first, last in pairwise(marks)))
    assert min(longest) < 0.005


def test_wsgi_answers(ledger):
    """The same document for a synchronous application."""
    environ: dict[str, object] = {}
    setup_testing_defaults(environ)
    started = []
    body = b"".join(wsgi_app(Document(ledger))(environ, lambda status, headers: started.append((status, headers))))
    assert started[0][0] == "200 OK"
    assert b"agent_tool_calls_total" in body
    environ["REQUEST_METHOD"] = "DELETE"
    assert wsgi_app(Document(ledger))(environ, lambda status, headers: started.append((status, headers))) == []
    assert started[1][0].startswith("405")
