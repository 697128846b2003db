"""The guard: names that cannot be re-pointed pass, pages from elsewhere do not."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from agentgauge.server.guard import Guard


def status(host: str, origin: str = "", *, hosts: tuple[str, ...] = (), origins: tuple[str, ...] = ()) -> int:
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("ok"))])
    headers = {"host": host, **({"origin": origin} if origin else {})}
    return int(TestClient(Guard(app, hosts=hosts, origins=origins)).get("/", headers=headers).status_code)


@pytest.mark.parametrize("host", ["127.0.0.1:9095", "localhost:1", "a.localhost", "[::1]:9095", "192.168.1.7", "[::1]"])
def test_addresses_and_localhost_pass(host: str) -> None:
    """An address or localhost cannot be re-pointed by a foreign domain."""
    assert status(host) == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:80", "127.0.0.1.evil.example", "1"])
def test_foreign_names_do_not(host: str) -> None:
    """Any other name is refused unless it is allowed."""
    assert status(host) == 403
    assert status(host, hosts=("*",)) == 200


def test_origins_are_the_same_or_allowed() -> None:
    """The page's own origin passes, others need permission, ``null`` never comes by accident."""
    assert status("127.0.0.1:1", "http://127.0.0.1:1") == 200
    assert status("127.0.0.1:1", "http://127.0.0.1:2") == 403
    assert status("127.0.0.1:1", "null") == 403
    assert status("127.0.0.1:1", "http://g", origins=("http://g/",)) == 200


def test_answers_carry_the_policy_and_allowed_pages_may_read() -> None:
    """Every answer has the security headers; CORS headers only for allowed origins."""
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("ok"))])
    client = TestClient(Guard(app, origins=("http://g",)), base_url="http://127.0.0.1")
    plain = client.get("/")
    assert "default-src 'self'" in plain.headers["content-security-policy"]
    assert "access-control-allow-origin" not in plain.headers
    assert client.get("/", headers={"origin": "http://g"}).headers["access-control-allow-origin"] == "http://g"
    preflight = client.options("/", headers={"origin": "http://g", "access-control-request-method": "POST"})
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, "http://g")
