"""What a simulated server is told: one frozen value, from code, flags or Ollama's own environment variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentgauge.errors import ConfigError
from agentgauge.simulator.answer import Reply
from agentgauge.simulator.behaviour import Turn, converse
from agentgauge.simulator.faults import Fault
from agentgauge.simulator.gojson import ns_from_go_duration
from agentgauge.simulator.versions import NEWEST

Script = Callable[[Turn], Reply]
"""What decides the model's words and tool calls; must depend on the turn alone to be repeatable."""


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """Everything about a simulated Ollama.

    Attributes:
        port: 0 = any free one. preset: machine and models, see presets.py. models: instead of the preset's.
        speed: divides all times, so 10 is ten times as fast; keep-alive stays as it is.
        context_length: 0 = by the version's own rule. max_loaded: 0 = three per GPU.
        script: the model's mind. log_path: a JSON line per request. access_log: lines like gin's on stderr.
    """

    host: str = "127.0.0.1"
    port: int = 0
    preset: str = "rtx4090-8b"
    models: tuple[str, ...] = ()
    parallel: int = 1
    max_queue: int = 512
    max_loaded: int = 0
    context_length: int = 0
    keep_alive_ns: int = 300_000_000_000
    version: str = NEWEST
    seed: int = 0
    speed: float = 1.0
    faults: tuple[Fault, ...] = ()
    script: Script = converse
    log_path: Path | None = None
    access_log: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated."""
        if self.parallel < 1 or self.max_queue < 0 or self.speed <= 0:
            raise ConfigError(
                f"parallel must be 1 or more, max_queue 0 or more and speed above 0; "
                f"got {self.parallel}, {self.max_queue} and {self.speed:g}"
            )


def settings_from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields that Ollama's own OLLAMA_* variables set; raises ConfigError for text that is no number."""
    found: dict[str, Any] = {}
    for variable, name in (
        ("OLLAMA_NUM_PARALLEL", "parallel"),
        ("OLLAMA_MAX_QUEUE", "max_queue"),
        ("OLLAMA_MAX_LOADED_MODELS", "max_loaded"),
        ("OLLAMA_CONTEXT_LENGTH", "context_length"),
    ):
        if text := environ.get(variable, "").strip():
            if not text.isdigit():
                raise ConfigError(f"{variable}={text!r} is not a number")
            found[name] = int(text)
    if text := environ.get("OLLAMA_KEEP_ALIVE", "").strip():
        found["keep_alive_ns"] = _keep_alive_ns(text)
    if text := environ.get("OLLAMA_HOST", "").strip():
        host, _, port = text.removeprefix("http://").rstrip("/").rpartition(":")
        found["host"] = host or (text if not port.isdigit() else "127.0.0.1")
        found["port"] = int(port) if port.isdigit() else 11434
    return found


def _keep_alive_ns(text: str) -> int:
    try:
        seconds = int(text)
    except ValueError:
        try:
            return ns_from_go_duration(text)
        except ValueError as error:
            raise ConfigError(f"OLLAMA_KEEP_ALIVE={text!r}: {error}") from error
    return -1 if seconds < 0 else seconds * 1_000_000_000
