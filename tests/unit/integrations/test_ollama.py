"""The official ``ollama`` client, hooked: measured rightly, and its caller cannot tell.

Real clients talk to a server of raw bytes on loopback, so that every way in which an answer can go wrong is exact.
"""

from __future__ import annotations

import asyncio
import gc
import gzip
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import ollama
import pytest

import agentgauge
from agentgauge import integrations
from agentgauge.errors import ConfigError
from agentgauge.record.api import task
from agentgauge.testing import Recording, recording

TOKEN = (
    b'{"model":"m","created_at":"2026-11-23T22:56:45Z","message":{"role":"assistant","content":" hi"},"done":false}\n'
)
FINAL = (
    b'{"model":"m","created_at":"2026-11-23T22:56:45Z","message":{"role":"assistant","content":""},"done":true,'
    b'"done_reason":"stop","total_duration":350000,"load_duration":100000,"prompt_eval_count":27,'
    b'"prompt_eval_cached_count":20,"prompt_eval_duration":40000,"eval_count":6,"eval_duration":60000}'
)
EMBED = b'{"model":"e","embeddings":[[0.1,0.2]],"total_duration":90000,"load_duration":10000,"prompt_eval_count":4}'


class Records:
    """What was recorded, by metric and labels."""

    def __init__(self, records: Recording) -> None:
        self._records = records

    def counted(self, metric: str, /, **labels: str) -> float:
        """Return one sample, 0 when it is not there."""
        text = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
        return self._records.collected().get(f"{metric}{{{text}}}", 0.0)

    def total(self, name: str) -> float:
        """Return the sum over all samples of a name."""
        return sum(value for key, value in self._records.collected().items() if key.partition("{")[0] == name)

    def calls(self, status: str, model: str = "m") -> float:
        """Return how many LLM calls of agent ``a`` ended so."""
        return self.counted("agent_llm_calls_total", agent="a", model=model, status=status)


@dataclass
class Reply:
    """What the server of raw bytes does with a request."""

    status: str = "200 OK"
    parts: list[bytes] = field(default_factory=lambda: [FINAL])
    headers: str = "Content-Type: application/json\r\n"
    ending: str = "whole"
    """``whole``: end the body; ``cut``: close in mid-body; ``hang``: send no more."""
    chunked: bool = False


class RawServer:
    """A server on loopback that answers every request with the reply it holds."""

    def __init__(self) -> None:
        self.reply = Reply()
        self.n_requests = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self) -> None:
        async def serve() -> None:
            self._stop = asyncio.Event()
            server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self._ready.set()
            await self._stop.wait()
            server.close()
            for writer in self._writers:
                writer.close()

        self._writers: list[asyncio.StreamWriter] = []
        self._loop.run_until_complete(serve())
        self._loop.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lengths = [int(x[15:]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:")]
                await reader.readexactly(sum(lengths))
                self.n_requests += 1
                reply = self.reply
                body = b"".join(reply.parts)
                size = "Transfer-Encoding: chunked" if reply.chunked else f"Content-Length: {len(body)}"
                writer.write(f"HTTP/1.1 {reply.status}\r\n{reply.headers}{size}\r\n\r\n".encode())
                for part in reply.parts:
                    writer.write(b"%x\r\n%s\r\n" % (len(part), part) if reply.chunked else part)
                    await writer.drain()
                if reply.ending == "whole" and reply.chunked:
                    writer.write(b"0\r\n\r\n")
                if reply.ending == "cut":
                    writer.close()
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def close(self) -> None:
        """Stop, whatever is still being answered."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    """A server of raw bytes."""
    raw = RawServer()
    yield raw
    raw.close()


@pytest.fixture
def hooked() -> Generator[Records]:
    """Every ``ollama`` client of the process measured, into a recorder of the test's own."""
    with recording() as records:
        agentgauge.instrument()
        yield Records(records)
        agentgauge.uninstrument()


def streamed(*parts: bytes, ending: str = "whole", headers: str = "Content-Type: application/x-ndjson\r\n") -> Reply:
    """Return a streamed reply."""
    return Reply(parts=list(parts), headers=headers, ending=ending, chunked=True)


def chat(server: RawServer, **kwargs: Any) -> Any:
    """Call the model as a user does, in a client of its own."""
    with ollama.Client(host=server.url) as client:
        answer = client.chat("m", [{"role": "user", "content": "hello"}], **kwargs)
        return list(answer) if kwargs.get("stream") else answer


async def chat_async(server: RawServer, **kwargs: Any) -> Any:
    """The same with the asynchronous client."""
    async with ollama.AsyncClient(host=server.url) as client:
        answer = await client.chat("m", [{"role": "user", "content": "hello"}], **kwargs)
        return [part async for part in answer] if kwargs.get("stream") else answer


def run_async(server: RawServer, **kwargs: Any) -> Any:
    """Run ``chat_async`` to its end."""
    return asyncio.run(chat_async(server, **kwargs))


WAYS = {"sync": chat, "async": run_async}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_call_is_measured(hooked: Records, server: RawServer, way: str, stream: bool) -> None:
    """Latency, first token, tokens with cached ones, phases and the attempt of one call, sync and async."""
    server.reply = streamed(TOKEN, TOKEN, FINAL + b"\n") if stream else Reply()
    with task(agent="a"):
        WAYS[way](server, stream=stream)
    assert hooked.calls("success") == 1
    assert hooked.counted("agent_token_usage_total", agent="a", model="m", token_type="prompt") == 27
    assert hooked.counted("agent_token_usage_total", agent="a", model="m", token_type="completion") == 6
    assert hooked.counted("agent_token_subset_total", agent="a", model="m", subset="prompt_cached") == 20
    assert hooked.counted("agent_llm_time_to_first_token_seconds_count", agent="a", model="m") == 1
    assert hooked.counted("agent_llm_time_per_output_token_seconds_sum", agent="a", model="m") == pytest.approx(12e-6)
    assert hooked.counted("agent_llm_attempts_total", agent="a", model="m", outcome="ok") == 1
    latency_s = hooked.counted("agent_llm_latency_seconds_sum", agent="a", model="m")
    assert hooked.total("agent_llm_phase_seconds_total") == pytest.approx(latency_s, abs=1e-9)
    assert hooked.counted("agent_llm_phase_seconds_total", agent="a", model="m", phase="load") == pytest.approx(1e-4)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("reply", "stream", "error_type"),
    [
        (Reply("404 Not Found", [b'{"error":"model \'m\' not found"}']), False, "model_not_found"),
        (Reply("404 Not Found", [b'{"error":"model \'m\' not found"}']), True, "model_not_found"),
        (Reply("503 Service Unavailable", [b'{"error":"server busy, please try again."}']), True, "server_busy"),
        (Reply("500 Internal Server Error", [b'{"error":"boom"}']), False, "http_5xx"),
        (streamed(TOKEN, b'{"error":"an error was encountered"}\n'), True, "stream_error"),
        (streamed(TOKEN, TOKEN), True, "stream_truncated"),
        (streamed(TOKEN, TOKEN, ending="cut"), True, "RemoteProtocolError"),
        (streamed(TOKEN, b"garbage\n"), True, "stream_malformed"),
        (streamed(TOKEN, b'{"model":"m","message":\n'), True, "stream_malformed"),
    ],
)
def test_failures_are_counted_and_reach_the_caller_unchanged(
    server: RawServer, way: str, reply: Reply, stream: bool, error_type: str
) -> None:
    """Each failure raises, or not, exactly what it raises without the hook, and is counted as one error."""
    server.reply = reply

    def outcome() -> tuple[object, ...]:
        try:
            return ("returned", repr(WAYS[way](server, stream=stream)))
        except Exception as error:
            return (type(error), error.args, getattr(error, "status_code", None))

    before = outcome()
    with recording() as records:
        agentgauge.instrument()
        with task(agent="a"):
            chat_once_well(server)
            server.reply = reply
            after = outcome()
        agentgauge.uninstrument()
        assert after == before
        assert Records(records).calls("error") == 1
        assert Records(records).counted("agent_errors_total", agent="a", component="llm", error_type=error_type) == 1


def chat_once_well(server: RawServer) -> None:
    """Make the model known: a failed request names no new model."""
    server.reply = Reply()
    chat(server)


@pytest.mark.parametrize("way", WAYS)
def test_a_refused_connection(hooked: Records, way: str) -> None:
    """No server: the builtin ConnectionError or httpx' own error, as ever, and one error counted."""

    class Nowhere:
        url = "http://127.0.0.1:9"

    with task(agent="a"), pytest.raises((ConnectionError, httpx.ConnectError)):
        WAYS[way](Nowhere())  # type: ignore[arg-type]
    assert hooked.counted("agent_errors_total", agent="a", component="llm", error_type="ConnectError") == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_timeout(hooked: Records, server: RawServer, way: str) -> None:
    """The client's time runs out in mid-stream: the call is a timeout."""
    server.reply = streamed(TOKEN, ending="hang")

    def sync() -> None:
        with ollama.Client(host=server.url, timeout=0.2) as client:
            list(client.chat("m", [], stream=True))

    async def asynchronous() -> None:
        async with ollama.AsyncClient(host=server.url, timeout=0.2) as client:
            async for _ in await client.chat("m", [], stream=True):
                pass

    with task(agent="a"), pytest.raises(httpx.ReadTimeout):
        sync() if way == "sync" else asyncio.run(asynchronous())
    assert hooked.calls("timeout") == 1


def test_a_broken_off_stream(hooked: Records, server: RawServer) -> None:
    """A reader who leaves after the first chunk: cancelled, no tokens, no error."""
    server.reply = streamed(TOKEN, TOKEN, FINAL + b"\n")
    with task(agent="a"), ollama.Client(host=server.url) as client:
        for _ in client.chat("m", [], stream=True):
            break
        gc.collect()
    assert hooked.calls("cancelled") == 1
    assert hooked.counted("agent_token_usage_total", agent="a", model="m", token_type="completion") == 0
    assert hooked.total("agent_errors_total") == 0


async def test_a_cancelled_task(server: RawServer) -> None:
    """An asyncio task cancelled while it waits for the model: its call is cancelled."""
    server.reply = streamed(TOKEN, ending="hang")
    with recording() as records:
        agentgauge.instrument()

        async def work() -> None:
            async with task(agent="a"), ollama.AsyncClient(host=server.url) as client:
                async for _ in await client.chat("m", [], stream=True):
                    arrived.set()

        arrived = asyncio.Event()
        job = asyncio.create_task(work())
        await arrived.wait()
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        agentgauge.uninstrument()
        assert Records(records).calls("cancelled") == 1


def test_a_stream_never_begun(hooked: Records, server: RawServer) -> None:
    """A stream that nobody reads sends no request and counts nothing."""
    n_before = server.n_requests
    with ollama.Client(host=server.url) as client:
        del (stream := {"it": client.chat("m", [], stream=True)})["it"]
        assert not stream
    assert server.n_requests == n_before
    assert hooked.total("agent_llm_calls_total") == 0


def test_generate_embed_and_loading(hooked: Records, server: RawServer) -> None:
    """``generate`` and ``embed`` are calls too; loading a model is none."""
    with task(agent="a"), ollama.Client(host=server.url) as client:
        server.reply = Reply(parts=[FINAL.replace(b'"message":{"role":"assistant","content":""}', b'"response":"x"')])
        client.generate("m", "hello")
        server.reply = Reply(parts=[EMBED])
        client.embed("e", "hello")
        server.reply = Reply(parts=[b'{"model":"m","response":"","done":true,"done_reason":"load"}'])
        client.generate("m")
    assert hooked.calls("success") == 1
    assert hooked.calls("success", model="e") == 1
    assert hooked.counted("agent_token_usage_total", agent="a", model="e", token_type="prompt") == 4
    assert hooked.counted("agent_llm_time_to_first_token_seconds_count", agent="a", model="e") == 0
    assert hooked.counted("agent_task_llm_calls_sum", agent="a") == 2


def test_a_long_answer_keeps_its_models_name(hooked: Records, server: RawServer) -> None:
    """An answer too long to be held until it is counted is counted under its own model, not as unknown."""
    vector = b",".join([b"0.125"] * 2_000)
    server.reply = Reply(parts=[EMBED.replace(b"0.1,0.2", vector)])
    with task(agent="a"), ollama.Client(host=server.url) as client:
        client.embed("e", "hello")
    assert hooked.calls("success", model="e") == 1
    assert hooked.calls("success", model="unknown") == 0


def test_other_requests_are_left_alone(hooked: Records, server: RawServer) -> None:
    """Other paths of the client, and other users of httpx on the same path, are not measured."""
    server.reply = Reply(parts=[b'{"models":[]}'])
    with ollama.Client(host=server.url) as client:
        client.list()
    httpx.post(f"{server.url}/api/chat", json={"model": "m"})
    assert hooked.total("agent_llm_calls_total") == 0


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_compressed_stream(hooked: Records, server: RawServer, encoding: str) -> None:
    """A compressing proxy between: the tokens where the standard library can decode, the time always."""
    body = TOKEN + FINAL + b"\n"
    packed = gzip.compress(body) if encoding == "gzip" else body
    server.reply = streamed(packed, headers=f"Content-Encoding: {encoding}\r\n")
    with task(agent="a"):
        if encoding == "gzip":
            assert len(chat(server, stream=True)) == 2
        else:
            chat(server, stream=True)
    assert hooked.calls("success") == 1
    assert hooked.counted("agent_token_usage_total", agent="a", model="m", token_type="completion") == (
        6 if encoding == "gzip" else 0
    )


def test_module_functions_and_clients_made_before(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Module functions and clients that were there first are measured, and left alone again after."""
    server.reply = Reply()
    early = ollama.Client(host=server.url)
    monkeypatch.setattr(ollama, "chat", early.chat)
    send, send_async = httpx.Client.send, httpx.AsyncClient.send
    with recording() as records, early:
        agentgauge.instrument("ollama")
        agentgauge.instrument("ollama")
        with task(agent="a"):
            ollama.chat("m", [])
        agentgauge.uninstrument()
        assert (httpx.Client.send, httpx.AsyncClient.send) == (send, send_async)
        with task(agent="a"):
            ollama.chat("m", [])
        assert Records(records).calls("success") == 1


def test_one_client_alone(server: RawServer) -> None:
    """``instrument(client)`` measures that client and no other, also beside ``instrument()``, once."""
    server.reply = Reply()
    with recording() as records, ollama.Client(host=server.url) as one, ollama.Client(host=server.url) as other:
        agentgauge.instrument(one)
        with task(agent="a"):
            one.chat("m", [])
            other.chat("m", [])
            assert Records(records).calls("success") == 1
            agentgauge.instrument()
            one.chat("m", [])
        agentgauge.uninstrument()
        with task(agent="a"):
            one.chat("m", [])
        assert Records(records).calls("success") == 2


def test_a_client_that_names_itself_otherwise(server: RawServer) -> None:
    """``instrument(client)`` is about that client, whatever name its host gave it."""
    server.reply = Reply()
    with recording() as records, ollama.Client(host=server.url, headers={"User-Agent": "mine/1"}) as one:
        one._client.headers["user-agent"] = "mine/1"
        agentgauge.instrument(one)
        with task(agent="a"):
            one.chat("m", [])
        agentgauge.uninstrument()
        with task(agent="a"):
            one.chat("m", [])
        assert Records(records).calls("success") == 1


def test_hooks_of_others_on_the_same_client_stay(server: RawServer) -> None:
    """Set before ours, it is put back; set after, it is left where it is, and ours below it measures no more."""
    server.reply = Reply()
    sent: list[str] = []

    def hook(name: str, original: Any) -> Any:
        def send(request: Any, **options: Any) -> Any:
            sent.append(name)
            return original(request, **options)

        return send

    with recording() as records, ollama.Client(host=server.url) as one:
        inner: Any = one._client
        inner.send = first = hook("first", inner.send)
        agentgauge.instrument(one)
        with task(agent="a"):
            one.chat("m", [])
        agentgauge.uninstrument()
        assert inner.send is first
        agentgauge.instrument(one)
        inner.send = second = hook("second", inner.send)
        agentgauge.uninstrument()
        assert inner.send is second
        with task(agent="a"):
            one.chat("m", [])
        assert sent == ["first", "second", "first"]
        assert Records(records).calls("success") == 1


def test_hooks_of_others_on_all_clients_stay(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another patched above ours stays when ours is taken off, and ours counts no more."""
    seen: list[str] = []
    server.reply = Reply()
    monkeypatch.setattr(httpx.Client, "send", httpx.Client.send)  # put back at the end, whatever stands above it
    with recording() as records:
        agentgauge.instrument()
        ours = httpx.Client.send
        with monkeypatch.context() as patch:

            def above(client: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
                seen.append(request.url.path)
                return ours(client, request, **options)

            patch.setattr(httpx.Client, "send", above)
            with task(agent="a"):
                chat(server)
                agentgauge.uninstrument()
                chat(server)
        assert seen == ["/api/chat", "/api/chat"]
        assert Records(records).calls("success") == 1


def test_a_client_of_a_subclass(server: RawServer) -> None:
    """A subclass of the client, defined in the user's own module, is instrumented like the client."""

    class Mine(ollama.Client):
        pass

    server.reply = Reply()
    with recording() as records, Mine(host=server.url) as one:
        agentgauge.instrument(one)
        with task(agent="a"):
            one.chat("m", [])
        agentgauge.uninstrument()
        assert Records(records).calls("success") == 1


def test_a_client_that_is_gone_leaves_nothing(server: RawServer) -> None:
    """The hook of a collected client is forgotten, so that the next client at its address is hooked too."""
    server.reply = Reply()
    with recording() as records:
        for _ in range(5):
            with ollama.Client(host=server.url) as one:
                agentgauge.instrument(one)
                with task(agent="a"):
                    one.chat("m", [])
            del one
            gc.collect()
            assert integrations._installed == {}
        assert Records(records).calls("success") == 5


def test_what_cannot_be_instrumented() -> None:
    """A client of another kind and an unknown name are refused with what is known."""
    with pytest.raises(ConfigError, match="ollama"):
        integrations.install(object())
    with pytest.raises(ConfigError, match="no integration named 'ollma'"):
        integrations.install("ollma")


def test_our_failures_stay_ours(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks inside the hook, the caller gets the answer and the failure is counted."""
    from agentgauge.integrations import call

    def boom(*_: object, **__: object) -> Any:
        raise RuntimeError("BUG")

    server.reply = streamed(TOKEN, FINAL + b"\n")
    for name in ("finish", "respond"):
        with recording(strict=False) as records, monkeypatch.context() as patch:
            agentgauge.instrument()
            patch.setattr(call.OllamaExchange, name, boom)
            assert len(chat(server, stream=True)) == 2
            agentgauge.uninstrument()
            assert Records(records).total("agentgauge_record_errors_total") == 1


def test_truncation_by_a_falling_count(hooked: Records, server: RawServer) -> None:
    """In one task the request grew and the prompt's count fell: the context was cut."""

    def ask(n_messages: int, prompt: int) -> None:
        server.reply = Reply(parts=[FINAL.replace(b'"prompt_eval_count":27', b'"prompt_eval_count":%d' % prompt)])
        with ollama.Client(host=server.url) as client:
            client.chat("m", [{"role": "user", "content": "hello"}] * n_messages)

    with task(agent="a"):
        ask(1, 1000)
        ask(2, 2000)
        ask(3, 1100)
    assert hooked.counted("agent_llm_truncations_total", agent="a", model="m", reason="context") == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ending", [b"", b"\n"])
@pytest.mark.parametrize("stream", [False, True])
def test_tools_asked_for_are_counted(hooked: Records, server: RawServer, way: str, ending: bytes, stream: bool) -> None:
    """Every tool call that an answer asks for counts once, streamed or not; text that speaks of them does not."""
    asks = b'"content":"","tool_calls":[{"function":{"name":"f","arguments":{"tool_calls":"x"}}},%s]' % (
        b'{"function":{"name":"g","arguments":{}}}'
    )
    asking, quoting = (FINAL.replace(b'"content":""', new) for new in (asks, b'"content":"\\"tool_calls\\":[1]"'))
    more = TOKEN.replace(b'"content":" hi"', asks)
    for reply in (asking, quoting):
        server.reply = streamed(TOKEN, more, reply + ending) if stream else Reply(parts=[reply + ending])
        with task(agent="a"):
            WAYS[way](server, stream=stream)
    expected = 2 + 2 * 2 if stream else 2
    assert hooked.counted("agent_llm_tool_calls_requested_total", agent="a", model="m") == expected


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stream", [False, True])
def test_calls_that_repeat_in_a_task(hooked: Records, server: RawServer, way: str, stream: bool) -> None:
    """The same request with the same answer is one again; with another answer it is not, in another task neither.

    Times and ids of tool calls do not tell answers apart. Streams are compared from the second of a request on.
    """
    ids = b'"content":"","tool_calls":[{"id":"call_%x","function":{"name":"f","arguments":{}}}]'

    def ask(i: int, text: bytes = b" hi") -> None:
        token = TOKEN.replace(b" hi", text).replace(b"22:56:45", b"22:56:%02d" % (46 + i))
        final = FINAL.replace(b'"content":""', ids % i).replace(b"350000", b"35000%d" % i)
        server.reply = streamed(token, token, final) if stream else Reply(parts=[final.replace(b"stop", text.strip())])
        WAYS[way](server, stream=stream)

    with task(agent="a"):
        for i in range(4):
            ask(i)
        ask(4, text=b" ho")
    with task(agent="b"):
        ask(5)
    n_repeated = 2 if stream else 3
    assert hooked.counted("agent_repeated_calls_total", agent="a", component="llm", name="m") == n_repeated
    fate = {"agent": "a", "model": "m", "token_type": "completion"}
    assert hooked.counted("agent_token_fate_total", fate="repeated", **fate) == 6 * n_repeated
    assert hooked.counted("agent_token_fate_total", fate="useful", **fate) == 6 * (5 - n_repeated)
    assert hooked.counted("agent_repeated_calls_total", agent="b", component="llm", name="m") == 0
