"""Who may ask: a check of Host and Origin before anything else, and the headers that keep a browser honest.

A web page elsewhere can make a browser send requests to 127.0.0.1, and by re-pointing its own domain (DNS rebinding)
even read the answers. So a request counts only under a name that cannot be re-pointed: an IP address, ``localhost``,
or a name that the user allowed; and a browser's request from another origin only when that origin is allowed.
Programs send no Origin. This is no authentication: who can reach the port can ask.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentgauge.server.static import SECURITY_HEADERS


class Guard:
    """Lets through what comes under an allowed host and origin; an ASGI middleware."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str] = (), origins: Collection[str] = ()) -> None:
        self._app = app
        self._hosts = {host.lower() for host in hosts}
        self._origins = {origin.rstrip("/").lower() for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 with the reason, or pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host, origin = headers.get("host", "").lower(), headers.get("origin", "").lower()
        refusal = self._refusal(host, origin)
        if refusal:
            await PlainTextResponse(refusal, 403, headers=SECURITY_HEADERS)(scope, receive, send)
        elif scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await PlainTextResponse("", 204, headers=_preflight(origin))(scope, receive, send)
        else:
            await self._app(scope, receive, self._with_headers(send, origin))

    def _refusal(self, host: str, origin: str) -> str:
        name = _host_name(host)
        if not self.allows_host(name):
            return f"this server does not answer under the name {name[:200]!r}; allow it with --allow-host\n"
        if not origin or self._allows_origin(origin):
            return ""
        if urlsplit(origin).netloc == host and origin != "null":
            return ""
        return f"pages from {origin[:200]!r} may not ask this server; allow them with --allow-origin\n"

    def allows_host(self, name: str) -> bool:
        """Tell whether a Host header's name, without port, may be answered."""
        if not name or name == "localhost" or name.endswith(".localhost") or self._hosts & {name, "*"}:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _allows_origin(self, origin: str) -> bool:
        return bool(self._origins & {origin, "*"})

    def _with_headers(self, send: Send, origin: str) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                if origin and self._allows_origin(origin):
                    headers["Access-Control-Allow-Origin"] = origin
                    headers.add_vary_header("Origin")
            await send(message)

        return send_with_headers


def _host_name(host: str) -> str:
    """Return a Host header's name without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0] if host.count(":") <= 1 else host


def _preflight(origin: str) -> dict[str, str]:
    return {
        **SECURITY_HEADERS,
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
        "Access-Control-Allow-Headers": "Accept, Authorization, Content-Type, Origin",
        "Access-Control-Max-Age": "600",
        "Vary": "Origin",
    }
