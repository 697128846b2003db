"""Models and machines to simulate, as tables: how big, how fast, what they can do.

Speeds are those of an 8B model at Q4_K_M (4.9 GB); other sizes scale with the size of their file. Figures of graphics
cards and Macs: XiongjieDai/GPU-Benchmarks-on-LLM-Inference (llama.cpp, LLaMA 3 8B Q4_K_M); CPUs are estimates, and
``tiny-cpu`` is the machine of the project's recordings, with a model so small that every call takes milliseconds.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from agentgauge.errors import ConfigError

REFERENCE_BYTES = 4_900_000_000
GB = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Hardware:
    """A machine's speed with the reference model.

    Attributes:
        prefill_per_s, decode_per_s: tokens per second of one request alone.
        sharing: ``a`` in r(k) = r1 / (1 + a·(k - 1)), what k busy slots cost each other; 0.62 on a GPU, 1 on a CPU.
        storage_bytes_per_s, start_s: what a load takes: file ÷ storage + start.
        vram_bytes: memory for models; on a CPU the machine's own, and ``gpu`` is False.
        warm_load_s: range of ``load_duration`` when the model is loaded already.
        recovery_s: range of the wait for memory after an unload.
    """

    prefill_per_s: float
    decode_per_s: float
    sharing: float
    storage_bytes_per_s: float
    start_s: float
    vram_bytes: int
    gpu: bool = True
    n_gpus: int = 1
    warm_load_s: tuple[float, float] = (0.02, 0.06)
    recovery_s: tuple[float, float] = (0.5, 1.5)
    cpu_decode_per_s: float = 10.0


def _cpu(prefill: float, decode: float, gigabytes: int) -> Hardware:
    return Hardware(
        prefill, decode, 0.95, 1.5 * GB, 0.4, gigabytes * GB, gpu=False, recovery_s=(0.0, 0.0), cpu_decode_per_s=decode
    )


def _card(prefill: float, decode: float, gigabytes: int) -> Hardware:
    return Hardware(prefill, decode, 0.62, 2.5 * GB, 0.7, gigabytes * GB)


def _mac(prefill: float, decode: float, gigabytes: int) -> Hardware:
    return Hardware(prefill, decode, 0.8, 3.0 * GB, 0.3, gigabytes * GB, recovery_s=(0.0, 0.0))


HARDWARE: Mapping[str, Hardware] = {
    "a100": _card(5800, 138, 80),
    "desktop-cpu": _cpu(60, 10, 24),
    "h100": _card(7760, 144, 80),
    "laptop-cpu": _cpu(18, 4, 12),
    "m1": _mac(87, 9.7, 6),
    "m1-max": _mac(355, 34.5, 24),
    "m2-ultra": _mac(1024, 76, 140),
    "m3-max": _mac(678, 50.7, 48),
    "rtx3070": _card(2284, 71, 8),
    "rtx3090": _card(3865, 112, 24),
    "rtx4090": _card(6899, 128, 24),
    # The recordings' machine, rated for the reference model so that 67 MB run at 680 and 130 tokens a second.
    "tiny-cpu": Hardware(
        9.3, 1.78, 1.0, 10 * GB, 0.25, 8 * GB, gpu=False, warm_load_s=(0.0006, 0.0014), recovery_s=(0.0, 0.0)
    ),
}


@dataclass(frozen=True, slots=True)
class Model:
    """A model that the simulated server has on disk.

    Attributes:
        weights: the name of its weights file; models that share one share a runner.
        size_bytes: of the file. kv_bytes_per_token: memory that one token of context takes.
        tools_in_last: the tool call rides on the ``done`` object, as for models whose template llama-server runs.
    """

    name: str
    size_bytes: int
    parameters: str
    family: str
    capabilities: tuple[str, ...]
    context_length: int = 131_072
    embedding_length: int = 4096
    quantization: str = "Q4_K_M"
    weights: str = ""
    kv_bytes_per_token: int = 131_072
    n_layers: int = 32
    tools_in_last: bool = False

    @property
    def digest(self) -> str:
        """The 64 hex digits that name its manifest."""
        return hashlib.sha256(f"manifest {self.name}".encode()).hexdigest()

    @property
    def weights_digest(self) -> str:
        """The 64 hex digits that name its weights file."""
        return hashlib.sha256(f"weights {self.weights or self.name}".encode()).hexdigest()

    def can(self, capability: str) -> bool:
        """Tell whether it has one of completion, tools, thinking, embedding, vision, insert."""
        return capability in self.capabilities


_CHAT = ("completion", "tools")
_THINK = ("completion", "tools", "thinking")


def _embedder(name: str, megabytes: int, parameters: str, family: str, length: int) -> Model:
    return Model(
        f"{name}:latest", megabytes * 1_000_000, parameters, family, ("embedding",), 2048, length, "F16",
        kv_bytes_per_token=2048, n_layers=12,
    )  # fmt: skip


def _tiny(name: str, *more: str) -> Model:
    return Model(
        f"{name}:latest", 67_447_070, "16.85M", "llama", ("completion", *more), 8192, 512, "unknown",
        weights="tiny", kv_bytes_per_token=8192, n_layers=8,
    )  # fmt: skip


MODELS: Mapping[str, Model] = {
    model.name: model
    for model in (
        _embedder("all-minilm", 46, "23M", "bert", 384),
        Model("deepseek-r1:8b", 5_225_376_047, "8.2B", "qwen3", _THINK, n_layers=36),
        Model(
            "gemma3:4b", 3_338_801_804, "4.3B", "gemma3", ("completion", "vision"), embedding_length=2560, n_layers=34
        ),
        Model("gpt-oss:20b", 13_793_441_244, "20.9B", "gptoss", _THINK, embedding_length=2880, quantization="MXFP4"),
        Model("llama3.1:8b", 4_920_753_328, "8.0B", "llama", _CHAT),
        Model("llama3.2:1b", 1_321_098_329, "1.2B", "llama", _CHAT, embedding_length=2048, n_layers=16),
        Model("llama3.2:3b", 2_019_393_189, "3.2B", "llama", _CHAT, embedding_length=3072, n_layers=28),
        Model("llama3.3:70b", 42_520_413_916, "70.6B", "llama", _CHAT, embedding_length=8192, n_layers=80),
        Model("mistral:7b", 4_372_824_384, "7.2B", "llama", _CHAT, context_length=32_768),
        _embedder("mxbai-embed-large", 670, "334M", "bert", 1024),
        _embedder("nomic-embed-text", 274, "137M", "nomic-bert", 768),
        Model("qwen3:4b", 2_497_293_931, "4.0B", "qwen3", _THINK, 40_960, 2560, n_layers=36),
        Model("qwen3:8b", 5_225_388_164, "8.2B", "qwen3", _THINK, 40_960, n_layers=36),
        Model("qwen3:14b", 9_276_198_565, "14.8B", "qwen3", _THINK, 40_960, 5120, n_layers=40),
        Model("qwen3:32b", 20_201_253_588, "32.8B", "qwen3", _THINK, 40_960, 5120, n_layers=64),
        _tiny("tiny-agent"),
        _tiny("tiny-think", "thinking"),
        _tiny("tiny-tools", "tools"),
    )
}

SIZES: Mapping[str, tuple[str, ...]] = {
    "1b": ("llama3.2:1b", "nomic-embed-text:latest"),
    "3b": ("llama3.2:3b", "nomic-embed-text:latest"),
    "8b": ("llama3.1:8b", "qwen3:8b", "nomic-embed-text:latest"),
    "14b": ("qwen3:14b", "nomic-embed-text:latest"),
    "32b": ("qwen3:32b", "nomic-embed-text:latest"),
    "70b": ("llama3.3:70b", "nomic-embed-text:latest"),
    "models": ("tiny-tools:latest", "tiny-think:latest", "tiny-agent:latest"),
}
"""The second half of a preset's name -> the models that it brings."""

ALIASES = {"tiny": "tiny-cpu-models"}


@dataclass(frozen=True, slots=True)
class Preset:
    """A machine and the models on its disk."""

    hardware: Hardware
    models: tuple[Model, ...]


def preset(name: str, more_models: Iterable[str] = ()) -> Preset:
    """Return the preset of a name such as ``rtx4090-8b``; ``more_models`` replace the models that it would bring.

    Raises:
        ConfigError: for a machine or size that is not in the tables.
    """
    machine, _, size = ALIASES.get(name, name).rpartition("-")
    if machine not in HARDWARE or size not in SIZES:
        names = [f"{hardware}-{size}" for hardware in HARDWARE for size in SIZES if size != "models"]
        close = difflib.get_close_matches(name, names, 3) or ["rtx4090-8b"]
        raise ConfigError(
            f"no preset {name!r}; did you mean {', '.join(close)}? A preset is a machine ({', '.join(HARDWARE)}), "
            f"a dash and a size ({', '.join(s for s in SIZES if s != 'models')}), or 'tiny'"
        )
    wanted = tuple(more_models) or SIZES[size]
    return Preset(HARDWARE[machine], tuple(model_of(wanted_name) for wanted_name in wanted))


def full_name(name: str) -> str:
    """Return a model's name with its tag: ``nomic-embed-text`` -> ``nomic-embed-text:latest``."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def model_of(name: str) -> Model:
    """Return the model of this name from the table, or one made up for it: its size from the tag, else 8B.

    A made-up model can chat, use tools and think; a name with ``embed`` in it embeds.
    """
    full = full_name(name)
    if full in MODELS:
        return MODELS[full]
    family = [model for key, model in MODELS.items() if key.split(":")[0] == full.split(":")[0]]
    if family and full.endswith(":latest"):
        return replace(family[-1], name=full, weights=family[-1].weights or family[-1].name)
    if "embed" in full or "minilm" in full:
        return replace(MODELS["nomic-embed-text:latest"], name=full)
    tag = re.search(r"(\d+(?:\.\d+)?)b\b", full.partition(":")[2].lower())
    billions = float(tag[1]) if tag else 8.0
    return Model(full, round(billions * 0.6 * GB) + 100_000_000, f"{billions:.1f}B", "llama", _THINK)
