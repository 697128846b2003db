"""The HTTP server: what it answers, and whom it does not let it be held up by."""

from __future__ import annotations

import gzip
import socket
import threading

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from agentgauge.expose.document import Document
from agentgauge.expose.exposition import Exposition
from agentgauge.expose.server import MAX_WORKERS


def test_text_openmetrics_and_gzip(exposition, get):
    """By Accept and Accept-Encoding; the lengths are true, the content is parsed by prometheus_client."""
    status, headers, body = get(exposition.port)
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert len(list(parse_text(body.decode()))) > 5
    _, headers, packed = get(
        exposition.port, Accept="application/openmetrics-text;version=1.0.0", Accept_Encoding="gzip"
    )
    assert headers["Content-Encoding"] == "gzip"
    assert int(headers["Content-Length"]) == len(packed)
    text = gzip.decompress(packed).decode()
    assert text.endswith("# EOF\n")
    assert ' # {task_id="t1"} 1.000000000 ' in text
    assert len(list(parse_openmetrics(text))) > 5


def test_other_paths_and_methods(exposition, get):
    """404 off /metrics, with a hint; 405 for what would change something; HEAD has no body; a query string is fine."""
    assert get(exposition.port, "/")[0] == 404
    assert b"/metrics" in get(exposition.port, "/")[2]
    assert get(exposition.port, method="POST")[0] == 405
    status, headers, body = get(exposition.port, method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 100
    assert get(exposition.port, "/metrics?x=1")[0] == 200
    assert "Server" not in headers


def test_what_is_no_request_gets_400_or_nothing(exposition, get):
    """A TLS hello, an endless head: neither costs the next scraper anything."""
    for sent in (b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET /metrics\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", exposition.port), timeout=10) as client:
            client.sendall(sent)
            assert client.recv(100).startswith(b"HTTP/1.1 400")
    assert get(exposition.port)[0] == 200


def test_idle_clients_never_keep_a_scraper_out(exposition, get):
    """With many more silent connections than threads a scrape is answered, and the threads stay bounded."""
    idle = [socket.create_connection(("127.0.0.1", exposition.port), timeout=10) for _ in range(5 * MAX_WORKERS)]
    try:
        assert get(exposition.port)[0] == 200
        workers = [thread for thread in threading.enumerate() if thread.name == "agentgauge-scrape"]
        assert len(workers) <= MAX_WORKERS
    finally:
        for client in idle:
            client.close()


def test_a_users_registry_stands_beside_ours(ledger, folder, get):
    """Its other collectors are served too; one that raises costs itself alone and is counted."""

    class Failing:
        def describe(self):
            return []

        def collect(self):
            raise RuntimeError("broken collector")

    registry = CollectorRegistry()
    Counter("orders", "Orders.", registry=registry).inc()
    registry.register(Failing())
    registry.register(ledger)
    exposition = Exposition(ledger, port=0, registry=registry)
    try:
        for accept in ("", "application/openmetrics-text"):
            text = get(exposition.port, Accept=accept)[2].decode()
            assert "\norders_total 1.0\n" in text
            assert text.count("# TYPE agent_tool_calls") == 1
            list((parse_openmetrics if accept else parse_text)(text))
        assert b'record_errors_total{where="collector"}' in get(exposition.port)[2]
    finally:
        exposition.close()


def test_many_threads_render_at_once(ledger):
    """A document has no lock: every rendering is whole."""
    document = Document(ledger)
    expected = {line for line in document.render()[1].splitlines() if b"agentgauge" not in line}
    bodies = []
    threads = [threading.Thread(target=lambda: bodies.append(document.render()[1])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all({line for line in body.splitlines() if b"agentgauge" not in line} == expected for body in bodies)
