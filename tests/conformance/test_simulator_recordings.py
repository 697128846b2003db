"""The simulated server against thirty recorded exchanges with a real Ollama: what counts on the wire is equal."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from agentgauge.simulator.config import SimulatorConfig
from agentgauge.simulator.server import SimulatedOllama, run_in_thread

RECORDINGS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "ollama"
ORDER = (
    "version",
    "root",
    "tags",
    "notfound",
    "metrics",
    "method",
    "load",
    "ps",
    "chat_stream",
    "chat_once",
    "generate_stream",
    "generate_once",
    "tools_stream",
    "think_once",
    "v1_once",
    "v1_stream",
    "v1_stream_usage",
    "v1_think_stream",
    "v1_models",
    "responses_once",
    "responses_stream",
    "messages_once",
    "messages_stream",
    "err_404_chat",
    "err_404_embed",
    "err_400_model",
    "err_400_think",
    "err_400_tools",
    "err_v1_404",
    "unload",
)
"""The order in which they were recorded."""


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatedOllama]:
    """A server of the version and with the models of the recordings."""
    with run_in_thread(SimulatorConfig(preset="tiny", version="0.33.0-rc2", context_length=2048)) as sim:
        yield sim


@pytest.fixture(scope="module")
def recordings() -> dict[str, dict[str, Any]]:
    """The recordings by name."""
    if not RECORDINGS.is_dir():
        pytest.skip("the team's recordings (../shared/data/ollama) are not here")
    return {name: json.loads((RECORDINGS / f"{name}.json").read_text(encoding="utf-8")) for name in ORDER}


def ask(server: SimulatedOllama, request: Mapping[str, Any]) -> tuple[int, list[tuple[str, str]], str]:
    """Send a recorded request; return status, headers as received and body."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    try:
        body = None if request["body"] is None else json.dumps(request["body"])
        connection.request(request["method"], request["path"], body)
        answer = connection.getresponse()
        return answer.status, answer.getheaders(), answer.read().decode()
    finally:
        connection.close()


def shape(value: Any) -> Any:
    """Return a JSON value with its strings and numbers replaced by their types; key order is kept."""
    if isinstance(value, dict):
        return [(key, shape(part)) for key, part in value.items()]
    if isinstance(value, list):
        return [shape(value[0])] if value and not isinstance(value[0], dict) else [shape(part) for part in value]
    return type(value).__name__


def events(body: str, content_type: str) -> list[tuple[str, Any]]:
    """Return a body's events: (event name or line kind, shape), runs of equal ones counted once."""
    found: list[tuple[str, Any]] = []
    if content_type.startswith("text/event-stream"):
        for block in body.removesuffix("\n\n").split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.split("\n"))
            data = lines["data"]
            found.append((lines.get("event", ""), data if data == "[DONE]" else shape(json.loads(data))))
    elif content_type == "application/x-ndjson":
        found = [("", shape(json.loads(line))) for line in body.splitlines()]
    elif content_type.startswith("application/json"):
        found = [("", shape(json.loads(body)))]
    else:
        found = [(body, None)]
    return [event for i, event in enumerate(found) if i == 0 or event != found[i - 1]]


def headers_that_matter(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return headers in order, with the values that depend on the answer taken out."""
    free = {"Date", "Content-Length"}
    return [(name, "" if name in free else value) for name, value in headers]


@pytest.mark.parametrize("name", ORDER)
def test_equals_recording(name: str, server: SimulatedOllama, recordings: dict[str, dict[str, Any]]) -> None:
    """Status, headers and their order, keys and their order, types, and the order of events are those recorded."""
    recording = recordings[name]
    if name == "ps":
        ask(server, recordings["load"]["request"])
    status, headers, body = ask(server, recording["request"])
    expected = "".join(text for _, text in recording["chunks"])
    content_type = dict(map(tuple, recording["headers"]))["Content-Type"]
    assert status == recording["status"]
    assert headers_that_matter(headers) == headers_that_matter([(n, v) for n, v in recording["headers"]])
    assert events(body, content_type) == events(expected, content_type)
    assert body.endswith("\n") == expected.endswith("\n")


EXACT = ("root", "version", "notfound", "metrics", "method", "err_404_chat", "err_404_embed", "err_400_model",
         "err_400_think", "err_400_tools", "err_v1_404")  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_exact_bytes(name: str, server: SimulatedOllama, recordings: dict[str, dict[str, Any]]) -> None:
    """Answers that hold nothing of the moment are equal to the byte."""
    recording = recordings[name]
    _, headers, body = ask(server, recording["request"])
    assert body == "".join(text for _, text in recording["chunks"])
    assert dict(headers)["Content-Length"] == dict(map(tuple, recording["headers"]))["Content-Length"]


@pytest.mark.parametrize("name", ["chat_once", "generate_once", "think_once", "chat_stream", "generate_stream"])
def test_values_that_are_fixed(name: str, server: SimulatedOllama, recordings: dict[str, dict[str, Any]]) -> None:
    """The final object of a native answer has the recorded done_reason, model and eval_count, and a small residual."""
    recording = recordings[name]
    final = json.loads(ask(server, recording["request"])[2].splitlines()[-1])
    expected = json.loads("".join(text for _, text in recording["chunks"]).splitlines()[-1])
    for key in ("model", "done", "done_reason", "eval_count"):
        assert final[key] == expected[key]
    parts = ("load_duration", "prompt_eval_duration", "eval_duration")
    assert 1_000_000 < final["total_duration"] - sum(final[part] for part in parts) < 5_000_000


def test_tool_call(server: SimulatedOllama, recordings: dict[str, dict[str, Any]]) -> None:
    """The tool call arrives in one piece: the recorded name, arguments and form of id."""
    body = ask(server, recordings["tools_stream"]["request"])[2]
    [call] = json.loads(body.splitlines()[0])["message"]["tool_calls"]
    assert call["id"].startswith("call_")
    assert len(call["id"]) == len("call_ca6i6o3g")
    assert call["function"] == {"index": 0, "name": "get_weather", "arguments": {"city": "Tokyo"}}
