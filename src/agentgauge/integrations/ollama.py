"""Measure the official ``ollama`` client, 0.4 and newer, sync and async, without a changed line.

The hook is ``send`` of the ``httpx`` client below it: the one public method through which each request passes once,
redirects and all, whatever the ``ollama`` version and however the call was made. ``ollama`` names itself in the
``User-Agent`` header of its clients, so other users of ``httpx`` are left alone. (An event hook of ``httpx``, public
too, sees neither a failed connection nor clients made later.)

The response's bytes pass unchanged through a stream that reads along: the client drops fields (cached tokens), so its
objects would not do. Nothing of the text is kept.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

from agentgauge.integrations.call import MANY, Call, begin, note_ollamas
from agentgauge.integrations.lazy import when_imported

Uninstall: TypeAlias = Callable[[], None]
Send: TypeAlias = Callable[..., Any]


def install(client: object | None = None) -> Uninstall | None:
    """Hook every ``ollama`` client of the process, or one; None when ``client`` is none of ``ollama``'s."""
    if client is None:
        return _install_everywhere()
    inner = getattr(client, "_client", None)
    httpx = sys.modules.get("httpx")
    if httpx is None or all(kind.__module__.partition(".")[0] != "ollama" for kind in type(client).__mro__):
        return None
    if not isinstance(inner, httpx.Client | httpx.AsyncClient):
        return None
    return _install_in(inner, _traced_async if isinstance(inner, httpx.AsyncClient) else _traced)


def _install_in(inner: Any, wrap: Callable[[Send], Send]) -> Uninstall:
    """Hook one ``httpx`` client, whose ``send`` may be another's hook already."""
    before, original = inner.__dict__.get("send"), inner.send
    traced = wrap(lambda _, request, **options: original(request, **options))
    is_on = True

    def send(request: Any, **options: Any) -> Any:
        return traced(inner, request, **options) if is_on else original(request, **options)

    inner.send = send
    note_ollamas(inner, is_ollamas=True)

    def uninstall() -> None:
        nonlocal is_on
        is_on = False
        if inner.__dict__.get("send") is not send:
            return  # hooked once more since: what is above ours is not ours to drop
        if before is None:
            del inner.send
        else:
            inner.send = before

    return uninstall


def _install_everywhere() -> Uninstall:
    undo: list[Uninstall] = []

    def patch(httpx: Any) -> None:
        for owner, wrap in ((httpx.Client, _traced), (httpx.AsyncClient, _traced_async)):
            original, is_on = owner.send, threading.Event()
            is_on.set()
            owner.send = traced = wrap(original, is_on)
            undo.append(functools.partial(_take_off, owner, traced, original, is_on))

    forget = when_imported("httpx", patch)

    def uninstall() -> None:
        forget()
        while undo:
            undo.pop()()

    return uninstall


def _take_off(owner: Any, traced: Send, original: Send, is_on: threading.Event) -> None:
    """Put the original back, or stay below what another has put above since, and measure nothing."""
    if owner.send is traced:
        owner.send = original
    else:
        is_on.clear()


def _traced(original: Send, is_on: threading.Event | None = None) -> Send:
    """Wrap ``Client.send``."""

    @functools.wraps(original)
    def send(client: Any, request: Any, **options: Any) -> Any:
        call = begin(client, request) if is_on is None or is_on.is_set() else None
        if call is None:
            return original(client, request, **options)
        try:
            response = original(client, request, **options)
        except BaseException as error:
            call.failed(error)
            raise
        call.responded(response, _along)
        return response

    return send


def _traced_async(original: Send, is_on: threading.Event | None = None) -> Send:
    """Wrap ``AsyncClient.send`` likewise."""

    @functools.wraps(original)
    async def send(client: Any, request: Any, **options: Any) -> Any:
        call = begin(client, request) if is_on is None or is_on.is_set() else None
        if call is None:
            return await original(client, request, **options)
        try:
            response = await original(client, request, **options)
        except BaseException as error:
            call.failed(error)
            raise
        call.responded(response, _along_async)
        return response

    return send


def _along(stream: Any, call: Call) -> Any:
    """Return a stream that passes on what another brings, and lets a call read along."""
    return _stream_types()[0](stream, call)


def _along_async(stream: Any, call: Call) -> Any:
    return _stream_types()[1](stream, call)


@functools.cache
def _stream_types() -> tuple[type, type]:
    """Make the two stream types on first use: ``httpx`` wants its own as their bases."""
    import httpx

    class Along(httpx.SyncByteStream):
        def __init__(self, stream: Any, call: Call) -> None:
            self._stream = stream
            self._call = call

        def __iter__(self) -> Any:
            call = self._call
            held, ledger, serial = call.held, call.ledger, -1
            try:
                for data in self._stream:
                    if ledger.serial != serial or len(held) >= MANY:
                        serial = call.read_along()
                    held.append(data)
                    yield data
            except GeneratorExit:
                self._call.settle(complete=False)
                raise
            except BaseException as error:
                self._call.failed(error)
                raise
            self._call.settle(complete=True)

        def close(self) -> None:
            try:
                self._stream.close()
            finally:
                self._call.settle(complete=False)

    class AlongAsync(httpx.AsyncByteStream):
        def __init__(self, stream: Any, call: Call) -> None:
            self._stream = stream
            self._call = call

        async def __aiter__(self) -> Any:
            call = self._call
            held, ledger, serial = call.held, call.ledger, -1
            try:
                async for data in self._stream:
                    if ledger.serial != serial or len(held) >= MANY:
                        serial = call.read_along()
                    held.append(data)
                    yield data
            except GeneratorExit:
                self._call.settle(complete=False)
                raise
            except BaseException as error:
                self._call.failed(error)
                raise
            self._call.settle(complete=True)

        async def aclose(self) -> None:
            try:
                await self._stream.aclose()
            finally:
                self._call.settle(complete=False)

    return Along, AlongAsync
