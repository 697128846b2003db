"""The composition root of the demo: a simulated model, the crew and the server, ended together.

The simulator and the crew are processes of their own, as they would be in life; the server runs here. Nothing touches
the user's own data: the discovery folder and the data are the demo's, and both are gone afterwards unless they were
named.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from agentgauge.backends.url import backend_from_url
from agentgauge.demo.agents import EMBEDDING_MODEL
from agentgauge.demo.summary import AgentSummary, summarize
from agentgauge.errors import BackendError, ConfigError, PortInUse
from agentgauge.model.discovery import DIRECTORY_VARIABLE
from agentgauge.server.config import DEFAULT_LISTEN, Config, parse_listen
from agentgauge.server.port import bind_socket
from agentgauge.server.run import run_server

SIMULATED_MODEL = "llama3.1:8b"
START_S = 30.0
GRACE_S = 1.0


@dataclass(frozen=True, slots=True)
class DemoConfig:
    """What the demo does; ``duration_s`` None runs until Ctrl-C, ``ollama`` empty simulates a model."""

    duration_s: float | None = None
    listen: str = ""
    ollama: str = ""
    model: str = ""
    preset: str = "rtx4090-8b"
    parallel: int = 2
    speed: float = 4.0
    seed: int = 1
    interval_s: float = 1.0
    db: Path | None = None
    diary: Path | None = None


async def run_demo(config: DemoConfig, say: Callable[[str], None] = print) -> list[AgentSummary]:
    """Run the demo until its time is over or a signal comes; return the closing summary.

    Raises:
        BackendError: nothing answers at the address of the real Ollama.
        ConfigError: its model is not there, or a setting cannot be used.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        folder = os.environ.get(DIRECTORY_VARIABLE) or stack.enter_context(_folder())
        environ = {**os.environ, DIRECTORY_VARIABLE: folder}
        ollama, model, embedding_model = await _model(config, stack, environ)
        crew = {
            "ollama": ollama,
            "model": model,
            "embedding_model": embedding_model,
            "timeout_s": None if config.ollama else 30.0,
            "seed": config.seed,
            "diary": str(config.diary) if config.diary else "",
        }
        await stack.enter_async_context(_child("crew", crew, environ))
        url = await stack.enter_async_context(_server(config, folder, ollama, say))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), config.duration_s)
        return await _closing_summary(url)


async def _model(config: DemoConfig, stack: AsyncExitStack, environ: dict[str, str]) -> tuple[str, str, str]:
    """Return the model server's address, the model and the embedding model to use."""
    if config.ollama:
        url = config.ollama.rstrip("/")
        names = await _models_at(url)
        model = config.model or next(iter(names), "")
        if model not in names and f"{model}:latest" not in names:
            there = ", ".join(names) or "none"
            raise ConfigError(f"the Ollama at {url} has no model {model!r}; it has: {there}. Try: ollama pull {model}")
        embedders = [name for name in names if "embed" in name]
        return url, model, embedders[0] if embedders else model
    settings = {
        "preset": config.preset,
        "parallel": config.parallel,
        "seed": config.seed,
        "speed": config.speed,
        "faults": ["midstream:0.01", "crash:0.01"],
    }
    facts = await stack.enter_async_context(_child("simulator", settings, environ))
    return str(facts["url"]), config.model or SIMULATED_MODEL, EMBEDDING_MODEL


async def _models_at(url: str) -> list[str]:
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
            session.get(f"{url}/api/tags") as answer,
        ):
            return [str(model["name"]) for model in (await answer.json())["models"]]
    except (aiohttp.ClientError, TimeoutError, KeyError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise BackendError(
            url, f"no Ollama answers at {url} ({reason}); start it with: ollama serve, or leave --ollama out"
        ) from None


def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="agentgauge-demo-")


@asynccontextmanager
async def _child(kind: str, settings: dict[str, Any], environ: dict[str, str]) -> AsyncIterator[dict[str, Any]]:
    """Run a child process inside the block; yields what it says when it is ready."""
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "agentgauge.demo.child", kind)
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, env=environ)
    if process.stdin is None or process.stdout is None:
        raise AssertionError("BUG: a child without pipes")
    try:
        process.stdin.write(json.dumps(settings).encode() + b"\n")
        line = await asyncio.wait_for(process.stdout.readline(), START_S)
        if not line:
            raise ConfigError(f"the demo's {kind} did not start; what it said stands above")
        yield json.loads(line)
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), GRACE_S)
        except TimeoutError:
            process.kill()
            await process.wait()


@asynccontextmanager
async def _server(config: DemoConfig, folder: str, ollama: str, say: Callable[[str], None]) -> AsyncIterator[str]:
    """Run the server inside the block; yields its address once it answers."""
    host, port = _address(config.listen)
    settings = Config(
        host=host,
        port=port,
        db=config.db,
        discovery_directory=folder,
        interval_s=config.interval_s,
        scrape_timeout_s=config.interval_s,
        ollama=ollama,
    )
    stop, ready = asyncio.Event(), asyncio.Event()

    def tell(_: str) -> None:
        say(f"agentgauge demo: {settings.url}  (agents at work; Ctrl-C ends)")
        ready.set()

    serving = asyncio.create_task(run_server(settings, tell, stop=stop))
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        yield settings.url
    finally:
        waiting.cancel()
        stop.set()
        await serving


def _address(listen: str) -> tuple[str, int]:
    """Return where to listen: as told, else at the default address, else at a free port of it."""
    host, port = parse_listen(listen or DEFAULT_LISTEN)
    try:
        listener = bind_socket(host, port)
    except PortInUse:
        if listen:
            raise
        listener = bind_socket(host, 0)
    with listener:
        return host, int(listener.getsockname()[1])


async def _closing_summary(url: str) -> list[AgentSummary]:
    """Ask the server, through the same door as everybody else; nothing recorded yet is an empty summary."""
    backend = backend_from_url(url)
    try:
        return await summarize(backend)
    finally:
        await backend.close()
