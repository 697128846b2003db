"""The bytes of what the server says about models: /api/tags, /api/ps, /api/show, /api/version. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

from agentgauge.simulator.gojson import go_json, rfc3339
from agentgauge.simulator.presets import Model
from agentgauge.simulator.runner import Runner
from agentgauge.simulator.scheduler import FOREVER_NS
from agentgauge.simulator.versions import Traits


def version_body(traits: Traits) -> bytes:
    """Return /api/version."""
    return go_json({"version": traits.version})


def details(model: Model) -> dict[str, Any]:
    """Return the ``details`` object."""
    return {
        "parent_model": "",
        "format": "gguf",
        "family": model.family,
        "families": [model.family],
        "parameter_size": model.parameters,
        "quantization_level": model.quantization,
    }


def tags_body(models: Sequence[tuple[Model, int]], zone: tzinfo | None) -> bytes:
    """Return /api/tags; each model with the nanosecond it was changed, newest first."""
    shown = [
        {
            "name": model.name,
            "model": model.name,
            "modified_at": rfc3339(changed_ns, zone),
            "size": model.size_bytes,
            "digest": model.digest,
            "details": {
                **details(model),
                "context_length": model.context_length,
                "embedding_length": model.embedding_length,
            },
            "capabilities": list(model.capabilities),
        }
        for model, changed_ns in models
    ]
    return go_json({"models": shown})


def ps_body(runners: Sequence[Runner], to_wall_ns: int, now_ns: int, traits: Traits, zone: tzinfo | None) -> bytes:
    """Return /api/ps; ``to_wall_ns`` added to the scheduler's clock gives the wall clock."""
    shown = []
    for runner in runners:
        left_ns = runner.keep_alive_ns if runner.keep_alive_ns >= 0 else FOREVER_NS
        expires_ns = now_ns + left_ns if runner.expires_ns is None else runner.expires_ns
        entry = {
            "name": runner.model.name,
            "model": runner.model.name,
            "size": runner.size_bytes,
            "digest": runner.model.digest,
            "details": details(runner.model),
            "expires_at": rfc3339(expires_ns + to_wall_ns, zone),
            "size_vram": runner.vram_bytes,
        }
        if traits.ps_context:
            entry["context_length"] = runner.options.num_ctx
        shown.append(entry)
    return go_json({"models": shown})


_LICENSE = "A made-up model of a simulated server."
_TEMPLATE = (
    "{{- range .Messages }}<|start|>{{ .Role }}<|end|>\n\n{{ .Content }}<|eot|>{{ end }}<|start|>assistant<|end|>\n\n"
)


def show_body(model: Model, changed_ns: int, zone: tzinfo | None) -> bytes:
    """Return /api/show."""
    modelfile = f"# Modelfile of a simulated model\nFROM /blobs/sha256-{model.weights_digest}\nTEMPLATE {_TEMPLATE}\n"
    info = {
        "general.architecture": model.family,
        "general.basename": model.name.partition(":")[0],
        "general.parameter_count": round(_parameter_count(model.parameters)),
        f"{model.family}.block_count": model.n_layers,
        f"{model.family}.context_length": model.context_length,
        f"{model.family}.embedding_length": model.embedding_length,
    }
    return go_json(
        {
            "license": _LICENSE,
            "modelfile": modelfile,
            "parameters": 'stop                           "<|eot|>"',
            "template": _TEMPLATE,
            "details": details(model),
            "model_info": info,
            "capabilities": list(model.capabilities),
            "modified_at": rfc3339(changed_ns, zone),
        }
    )


def _parameter_count(text: str) -> float:
    unit = {"B": 1e9, "M": 1e6}[text[-1]]
    return float(text[:-1]) * unit
