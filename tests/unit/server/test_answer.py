"""An asker who leaves stops the question; whoever stays gets an answer."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request

from agentgauge.errors import QueryCanceled
from agentgauge.server.answer import endpoint
from agentgauge.server.json import success
from agentgauge.server.params import Params


def request(*messages: dict[str, Any]) -> Request:
    """A GET whose receive gives the messages, then nothing for ever."""
    waiting = list(messages)

    async def receive() -> dict[str, Any]:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    return Request(scope, receive)


async def test_leaving_cancels_the_question() -> None:
    """When the connection closes the handler is cancelled, at once and once."""
    cancelled = asyncio.Event()

    async def slow(_params: Params, _request: Request) -> bytes:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return b""

    gone = request({"type": "http.request", "body": b""}, {"type": "http.disconnect"})
    await asyncio.wait_for(endpoint(slow)(gone), 5)
    assert cancelled.is_set()


async def test_staying_gets_the_answer() -> None:
    """A connection that says nothing more is a connection that waits."""

    async def handler(_params: Params, _request: Request) -> bytes:
        await asyncio.sleep(0)
        return success(b"1")

    response = await endpoint(handler)(request())
    assert response.body == b'{"status":"success","data":1}'


async def test_stopping_server_is_not_swallowed() -> None:
    """Cancelling the endpoint itself cancels the handler and comes through."""
    started = asyncio.Event()

    async def slow(_params: Params, _request: Request) -> bytes:
        started.set()
        await asyncio.Event().wait()
        return b""

    task = asyncio.ensure_future(endpoint(slow)(request()))
    await started.wait()
    task.cancel()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(outcome, asyncio.CancelledError)


async def test_canceled_query_is_499() -> None:
    """A question that the server stopped says so."""

    async def handler(_params: Params, _request: Request) -> bytes:
        raise QueryCanceled("stopped")

    assert (await endpoint(handler)(request())).status_code == 499
