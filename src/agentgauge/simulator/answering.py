"""One call to a model, from its bytes to the last byte of its answer, faults included: asyncio, one task per call."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Protocol

from agentgauge.simulator.answer import Piece
from agentgauge.simulator.calls import Call, CallError, call_from_body
from agentgauge.simulator.config import SimulatorConfig
from agentgauge.simulator.connection import Connection, Request
from agentgauge.simulator.embedding import embedding
from agentgauge.simulator.faults import BUSY, CRASH, MIDSTREAM, Fault
from agentgauge.simulator.prepare import Prepared, check, prepare, seed_of
from agentgauge.simulator.presets import Model, Preset
from agentgauge.simulator.protocols import embedded_for, error_for, json_headers_for, refuse_missing, writer_for
from agentgauge.simulator.runner import Work
from agentgauge.simulator.scheduler import Event, Finished, Refused, Timing, TokenSampled
from agentgauge.simulator.truth import Outcome, Sent, TruthLog
from agentgauge.simulator.versions import Traits
from agentgauge.simulator.wire import JSON, Writer, native_loaded

_N_REMEMBERED = 10_000
"""How many different requests are remembered, to tell a repeated one."""

_BREAKING = ("early-end", "midstream", "reset")


class Desk(Protocol):
    """What the answering of calls needs of the server: its clock and its scheduler."""

    def now_ns(self) -> int:
        """Return the scheduler's time."""

    def wall_ns(self, t_ns: int) -> int:
        """Return the time of day of a time of the scheduler."""

    def work(self, work: Work) -> AsyncIterator[Event]:
        """Submit work and yield its events; leaving early cancels it."""


class Answering:
    """Answers calls. Holds what must be remembered between them: the models, the log, how often each request came."""

    def __init__(self, config: SimulatorConfig, machine: Preset, traits: Traits, desk: Desk, log: TruthLog) -> None:
        self._config = config
        self._machine = machine
        self._traits = traits
        self._desk = desk
        self._log = log
        self._models = {model.name.lower(): model for model in machine.models}
        self._seen: OrderedDict[int, int] = OrderedDict()
        self._number = 0

    async def answer(self, request: Request, connection: Connection) -> int:
        """Answer a request on one of the paths that call a model; returns the status."""
        call: Call | None = None
        number, self._number = self._number, self._number + 1
        arrived_ns = self._desk.now_ns()
        try:
            call = call_from_body(request.path, request.body)
            model = self._model(call)
            check(call, model, self._traits)
            n_seen = self._count(call)
            ready = prepare(call, model, self._config, self._machine, self._traits, number, n_seen)
        except CallError as error:
            name = call.model if call else ""
            self._note(
                Sent(
                    number, request.path, name, bool(call and call.stream), error.status, "error", arrived_ns=arrived_ns
                )
            )
            await connection.send(
                error.status, json_headers_for(request.path), error_for(request.path, error.status, error.message)
            )
            return error.status
        return await _Answer(self._desk, self._log, connection, call, ready, arrived_ns).run()

    def _note(self, entry: Sent) -> None:
        self._log.write(entry)

    def _model(self, call: Call) -> Model:
        model = self._models.get(_tagged(call.model).lower())
        if model is None:
            raise refuse_missing(call)
        return model

    def _count(self, call: Call) -> int:
        key = seed_of(call, self._config.seed)
        n_seen = self._seen.pop(key, 0)
        self._seen[key] = n_seen + 1
        if len(self._seen) > _N_REMEMBERED:
            self._seen.popitem(last=False)
        return n_seen


def _tagged(name: str) -> str:
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


class _Answer:
    """One call under way."""

    def __init__(
        self, desk: Desk, log: TruthLog, connection: Connection, call: Call, ready: Prepared, arrived_ns: int
    ) -> None:
        self._desk = desk
        self._log = log
        self._connection = connection
        self._call = call
        self._ready = ready
        self._arrived_ns = arrived_ns
        self._status = 499
        self._outcome: Outcome = "cancelled"
        self._counted = False
        self._settled = False
        self._timing = Timing(0)
        self._n_generated = 0
        self._n_calls = 0

    async def run(self) -> int:
        """Answer, and note in the log what was sent, however it ends."""
        fault = self._ready.fault
        try:
            if fault is not None and fault.kind == "busy":
                await self._refuse(503, BUSY)
            elif fault is not None and fault.kind == "crash":
                await self._refuse(500, CRASH)
            elif self._ready.work.kind == "generate":
                await self._generate()
            else:
                await self._without_tokens()
        finally:
            self._settle(self._status, self._outcome)
        return self._status

    def _settle(self, status: int, outcome: Outcome) -> None:
        """Note how it ended, once, before the last byte leaves: who has the answer finds it in the log."""
        if not self._settled:
            self._settled = True
            self._status, self._outcome = status, outcome
            self._log.write(self._entry())

    async def _refuse(self, status: int, message: str) -> None:
        early = self._ready.exchange.traits.early_error_status or not self._call.stream
        if early or self._call.protocol != "native" or status == 503:
            self._settle(status, "error")
            body = error_for(self._call.path, status, message, self._ready.exchange.ids["request"])
            await self._connection.send(status, json_headers_for(self._call.path), body)
            return
        self._settle(200, "error")
        writer = writer_for(self._ready.exchange)
        self._connection.start(200, writer.stream_headers)
        await self._connection.chunk(writer.broken(message, self._wall_ns()))
        await self._connection.end()

    async def _without_tokens(self) -> None:
        """Load, unload or embed: one answer at the end."""
        async for event in self._desk.work(self._ready.work):
            if isinstance(event, Refused):
                await self._refuse(event.status, event.message)
                return
            if isinstance(event, Finished):
                self._timing = event.timing
        call = self._call
        self._counted = call.shape == "embed" and self._ready.work.kind == "embed"
        self._settle(200, "ok")
        if self._ready.work.kind == "embed" or call.shape in {"embed", "embeddings"}:
            length = self._dimensions()
            vectors = [embedding(text, length) for text in call.inputs]
            await self._connection.send(200, json_headers_for(call.path), embedded_for(call, vectors, self._timing))
            return
        body = native_loaded(call, self._ready.work.kind, self._wall_ns())
        await self._connection.send(200, JSON, body)

    def _dimensions(self) -> int:
        length = self._ready.work.model.embedding_length
        asked = self._call.body.get("dimensions")
        return min(asked, length) if isinstance(asked, int) and asked > 0 else length

    async def _generate(self) -> None:
        writer = writer_for(self._ready.exchange)
        pieces = self._ready.answer.pieces
        breaking = self._breaking_point()
        started = False
        async for event in self._desk.work(self._ready.work):
            if isinstance(event, Refused):
                await self._refuse(event.status, event.message)
                return
            if isinstance(event, Finished):
                self._timing = event.timing
                await self._finish(writer, event, started)
                return
            started = await self._show(writer, pieces[event.index], event, started)
            if event.index == breaking and await self._break(writer, started):
                return

    async def _show(self, writer: Writer, piece: Piece, event: TokenSampled, started: bool) -> bool:
        self._n_generated = event.index + 1
        data = writer.piece(piece, self._desk.wall_ns(event.t_ns))
        if not data or not self._call.stream:
            return started
        if not started:
            self._connection.start(200, writer.stream_headers)
        self._n_calls += piece.call is not None
        await self._connection.chunk(data)
        return True

    async def _finish(self, writer: Writer, event: Finished, started: bool) -> None:
        reason, wall_ns = self._ready.answer.done_reason, self._desk.wall_ns(event.t_ns)
        self._n_calls = sum(1 for piece in self._ready.answer.pieces if piece.call)
        native_or_whole = self._call.protocol != "openai" or not self._call.stream
        self._counted = native_or_whole or self._call.include_usage
        self._settle(200, "ok")
        if self._call.stream:
            end = writer.last(event.timing, reason, wall_ns)
            if not started:
                self._connection.start(200, writer.stream_headers)
            await self._connection.chunk(end)
            await self._connection.end()
        else:
            await self._connection.send(200, writer.json_headers, writer.whole(event.timing, reason, wall_ns))

    # -- faults in mid-stream

    def _breaking_point(self) -> int | None:
        fault = self._ready.fault
        if fault is None or fault.kind not in {*_BREAKING, "stall"}:
            return None
        return max(0, len(self._ready.answer.pieces) // 3 - 1)

    async def _break(self, writer: Writer, started: bool) -> bool:
        """Do what the fault wants; tells whether the answer is over."""
        fault = self._ready.fault
        assert fault is not None, "BUG: a breaking point without a fault"
        if fault.kind == "stall":
            await asyncio.sleep(fault.seconds)
            return False
        if fault.kind == "reset":
            self._settle(200 if started else 0, "reset")
            self._connection.reset()
        elif fault.kind == "midstream":
            await self._break_midstream(writer, started)
        else:
            await self._break_early(writer, started)
        return True

    async def _break_midstream(self, writer: Writer, started: bool) -> None:
        if not self._call.stream:
            await self._refuse(500, MIDSTREAM)
            return
        self._settle(200, "midstream")
        if not started:
            self._connection.start(200, writer.stream_headers)
        data = writer.broken(MIDSTREAM, self._wall_ns())
        if data:
            await self._connection.chunk(data)
        await self._connection.end()

    async def _break_early(self, writer: Writer, started: bool) -> None:
        if not self._call.stream:
            self._settle(0, "reset")
            self._connection.reset()
            return
        self._settle(200, "early-end")
        if not started:
            self._connection.start(200, writer.stream_headers)
        await self._connection.end()

    # -- the log

    def _wall_ns(self) -> int:
        return self._desk.wall_ns(self._desk.now_ns())

    def _entry(self) -> Sent:
        timing, ready = self._timing, self._ready
        told = self._outcome == "ok" and ready.work.kind in {"generate", "embed"}
        fault: Fault | None = ready.fault
        return Sent(
            number=ready.work.number,
            path=self._call.path,
            model=self._call.model,
            stream=self._call.stream,
            status=self._status,
            outcome=self._outcome,
            done_reason=self._done_reason(),
            n_prompt=timing.n_prompt if told else 0,
            n_cached=timing.n_cached if told else 0,
            n_completion=timing.n_generated if told else self._n_generated,
            counted=self._counted,
            truncated=ready.truncated,
            n_tool_calls=self._n_calls,
            total_ns=timing.total_ns,
            load_ns=timing.load_ns,
            queue_ns=timing.queue_ns,
            prompt_eval_ns=timing.prompt_eval_ns,
            eval_ns=timing.eval_ns,
            arrived_ns=self._desk.wall_ns(self._arrived_ns),
            fault=fault.kind if fault else "",
        )

    def _done_reason(self) -> str:
        if self._outcome != "ok":
            return ""
        kind = self._ready.work.kind
        return self._ready.answer.done_reason if kind == "generate" else "" if kind == "embed" else kind
