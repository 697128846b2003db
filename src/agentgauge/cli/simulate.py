"""``agentgauge simulate ollama``: an Ollama server without a model, for agents and monitors under test."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import click

from agentgauge.errors import ConfigError
from agentgauge.simulator.config import SimulatorConfig, settings_from_environment
from agentgauge.simulator.faults import KINDS, parse_fault
from agentgauge.simulator.server import SimulatedOllama, serve
from agentgauge.simulator.versions import NEWEST

_FAULT_HELP = f"KIND:SHARE, repeatable; kinds: {', '.join(KINDS)}."


@click.group()
def command() -> None:
    """Simulate a model server."""


@command.command()
@click.option("--host", help="Where to listen.  [default: 127.0.0.1, or OLLAMA_HOST]")
@click.option("--port", type=click.IntRange(0, 65535), help="0 takes a free one.  [default: 11434, or OLLAMA_HOST]")
@click.option("--preset", default="rtx4090-8b", show_default=True, help="Machine and size, for example m1-3b; or tiny.")
@click.option("--models", default="", help="Names, comma-separated, instead of the preset's; any name will do.")
@click.option("--parallel", type=click.IntRange(1), help="Requests at once per model.  [default: 1]")
@click.option("--max-queue", type=click.IntRange(0), help="Requests that may wait for a load.  [default: 512]")
@click.option("--max-loaded", type=click.IntRange(0), help="Models at once.  [default: 3]")
@click.option("--context-length", type=click.IntRange(1), help="Tokens per slot.  [default: by the version's rule]")
@click.option("--keep-alive", help="How long an idle model stays: 5m, 30s, -1.  [default: 5m]")
@click.option("--ollama-version", default=NEWEST, show_default=True, help="The version to behave like.")
@click.option("--seed", default=0, show_default=True, help="The same seed and requests give the same answers.")
@click.option("--speed", default=1.0, show_default=True, help="Divides every duration.")
@click.option("--fault", "faults", multiple=True, metavar="KIND:SHARE", help=_FAULT_HELP)
@click.option("--log", type=click.Path(dir_okay=False, path_type=Path), help="Write what was sent, as JSON lines.")
@click.option("--quiet", is_flag=True, help="No access lines on stderr.")
def ollama(
    host: str | None,
    port: int | None,
    preset: str,
    models: str,
    parallel: int | None,
    max_queue: int | None,
    max_loaded: int | None,
    context_length: int | None,
    keep_alive: str | None,
    ollama_version: str,
    seed: int,
    speed: float,
    faults: tuple[str, ...],
    log: Path | None,
    quiet: bool,
) -> None:
    """Simulate an Ollama server that real clients cannot tell from the real thing.

    OLLAMA_HOST, OLLAMA_NUM_PARALLEL, OLLAMA_MAX_QUEUE, OLLAMA_KEEP_ALIVE, OLLAMA_MAX_LOADED_MODELS and
    OLLAMA_CONTEXT_LENGTH mean what they mean to Ollama; a flag wins.
    """
    environ = dict(os.environ)
    if keep_alive is not None:
        environ["OLLAMA_KEEP_ALIVE"] = keep_alive
    found = settings_from_environment(environ)
    given = {
        "host": host, "port": port, "parallel": parallel, "max_queue": max_queue, "max_loaded": max_loaded,
        "context_length": context_length,
    }  # fmt: skip
    values = {"port": 11434, **found, **{name: value for name, value in given.items() if value is not None}}
    config = SimulatorConfig(
        **values,
        preset=preset,
        models=tuple(name.strip() for name in models.split(",") if name.strip()),
        version=ollama_version,
        seed=seed,
        speed=speed,
        faults=tuple(parse_fault(text) for text in faults),
        log_path=_writable(log),
        access_log=not quiet,
    )
    asyncio.run(_until_told(config))


def _writable(path: Path | None) -> Path | None:
    if path is not None and not path.parent.is_dir():
        raise ConfigError(f"--log {path}: there is no folder {path.parent}")
    return path


async def _until_told(config: SimulatorConfig) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    def say(sim: SimulatedOllama) -> None:
        click.echo(f"simulated ollama {config.version} ({config.preset}) at {sim.url}   Ctrl-C ends it")

    await serve(config, say, stop)
