"""One text from one target over HTTP, whatever the target does: bounded in time and bytes, before and after gzip."""

from __future__ import annotations

import asyncio
import os
import zlib
from dataclasses import dataclass

import aiohttp

from agentgauge.scrape.target import Limits

ACCEPT = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=1.0.0;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
)

_READ_BYTES = 256 * 1024
_INFLATE_BYTES = 1024 * 1024


class ScrapeFailed(Exception):
    """Tell why a target gave no text, in words for the targets page."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A target's text."""

    body: bytes
    openmetrics: bool


async def fetch_text(session: aiohttp.ClientSession, url: str, limits: Limits) -> Fetched:
    """Get a target's text; raises ``ScrapeFailed`` with the reason, within the time limit."""
    try:
        async with asyncio.timeout(limits.timeout_s):
            return await _fetch(session, url, limits)
    except TimeoutError:
        raise ScrapeFailed(f"no complete answer within {limits.timeout_s:g} s") from None
    except aiohttp.ClientConnectorError as error:
        raise ScrapeFailed(f"cannot connect: {_reason(error.os_error)}") from None
    except (aiohttp.ClientError, ValueError, OSError) as error:
        raise ScrapeFailed(f"{type(error).__name__}: {error}"[:300]) from None


async def _fetch(session: aiohttp.ClientSession, url: str, limits: Limits) -> Fetched:
    headers = {
        "Accept": ACCEPT,
        "Accept-Encoding": "gzip",
        "X-Prometheus-Scrape-Timeout-Seconds": f"{limits.timeout_s:g}",
    }
    async with session.get(url, headers=headers, max_redirects=3) as response:
        if response.status != 200:
            raise ScrapeFailed(f"the target answers HTTP {response.status} {response.reason or ''}".rstrip())
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind in ("text/html", "application/xhtml+xml", "application/json"):
            raise ScrapeFailed(f"the target answers {kind}, not metrics; is {url} its metrics path?")
        body = await _bounded_body(response, limits.body_bytes)
    return Fetched(body, kind == "application/openmetrics-text")


async def _bounded_body(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    """Read a body of at most ``limit_bytes`` after gzip; the session must not decompress by itself."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise ScrapeFailed(f"the target answers in the encoding {encoding[:40]!r}, which was not asked for")
    inflate = Inflate(limit_bytes) if "gzip" in encoding else None
    body = bytearray()
    async for chunk in response.content.iter_chunked(_READ_BYTES):
        body += inflate.feed(chunk) if inflate else chunk
        if len(body) > limit_bytes:
            raise ScrapeFailed(f"more than {limit_bytes:,} bytes, the limit of one scrape")
    if inflate and not inflate.is_complete:
        raise ScrapeFailed("the gzip body was cut off")
    return bytes(body)


class Inflate:
    """gzip bytes in pieces, out in pieces; more than the limit is never held, however small the bytes in."""

    __slots__ = ("_limit_bytes", "_member", "_n_out")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._member = zlib.decompressobj(wbits=31)
        self._n_out = 0

    @property
    def is_complete(self) -> bool:
        """Whether the last member's end was seen."""
        return self._member.eof

    def feed(self, chunk: bytes) -> bytes:
        """Return what these bytes add; at most a little more than the limit in all."""
        out = bytearray()
        while chunk and self._n_out <= self._limit_bytes:
            if self._member.eof:
                self._member = zlib.decompressobj(wbits=31)
            try:
                piece = self._member.decompress(chunk, _INFLATE_BYTES)
            except zlib.error as error:
                raise ScrapeFailed(f"the gzip body is broken: {error}") from None
            out += piece
            self._n_out += len(piece)
            chunk = self._member.unconsumed_tail or self._member.unused_data
        return bytes(out)


def _reason(error: OSError) -> str:
    """Return the system's words for a failed connection; asyncio's own repeat the address."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
