"""What differs between versions of Ollama, as data: one field per change that a client can see.

Source: the notes on Ollama's releases; a field's comment names the version that brought the change.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agentgauge.errors import ConfigError

NEWEST = "0.40.12"


@dataclass(frozen=True, slots=True)
class Traits:
    """The behaviours of one version of Ollama; ``traits`` makes it from the version's name."""

    version: str
    usage_in_streams: bool  # 0.5.2: /v1 stream_options.include_usage
    streams_with_tools: bool  # 0.8.0: before, a request with tools sends all its text in the last object
    thinking: bool  # 0.9.0
    ps_context: bool  # 0.10.0: context_length in /api/ps, one slot by default, `reasoning` on /v1
    fast_path: bool  # 0.11.5: a loaded model bypasses the pending queue
    thinks_unasked: bool  # 0.12.4: a thinking model thinks unless told not to
    early_error_status: bool  # 0.12.6: an error before the first token keeps its HTTP status
    tool_ids: bool  # 0.12.10: tool calls carry an id on /api/chat
    responses: bool  # 0.13.3: /v1/responses
    messages: bool  # 0.14.0: /v1/messages
    context_by_memory: bool  # 0.15.5: default context 4k, 32k or 256k by VRAM
    whole_milliseconds: bool  # 0.4 to 0.24: the runner's durations are cut to a millisecond
    llama_server: bool  # 0.30.0: runners are llama-server children; /api/ps lists no model being loaded
    count_without_cached: bool  # 0.30.0 alone: prompt_eval_count excludes cached tokens
    truncates_to_half: bool  # 0.30.11: an oversized prompt is cut to about half of the context
    ps_waits: bool  # 0.32.4: /api/ps can block behind an unload
    finish_chunk: bool  # 0.32.6: /v1 streams say the role once and finish in a chunk of its own
    cached_counts: bool  # 0.33.3: cached prompt tokens in three protocols
    default_context: int  # tokens when nothing is set and context_by_memory is off


def traits(version: str) -> Traits:
    """Return what this version of Ollama does; raises ConfigError for text that is no version."""
    match = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)(?:[-+.].*)?", version)
    if match is None:
        raise ConfigError(f"not a version of Ollama: {version!r}; write it like {NEWEST}")
    v = (int(match[1]), int(match[2]), int(match[3]))
    return Traits(
        version=version.removeprefix("v"),
        usage_in_streams=v >= (0, 5, 2),
        streams_with_tools=v >= (0, 8, 0),
        thinking=v >= (0, 9, 0),
        ps_context=v >= (0, 10, 0),
        fast_path=v >= (0, 11, 5),
        thinks_unasked=v >= (0, 12, 4),
        early_error_status=v >= (0, 12, 6),
        tool_ids=v >= (0, 12, 10),
        responses=v >= (0, 13, 3),
        messages=v >= (0, 14, 0),
        context_by_memory=v >= (0, 15, 5),
        whole_milliseconds=(0, 4, 0) <= v < (0, 25, 0),
        llama_server=v >= (0, 30, 0),
        count_without_cached=v == (0, 30, 0),
        truncates_to_half=v >= (0, 30, 11),
        ps_waits=v >= (0, 32, 4),
        finish_chunk=v >= (0, 32, 6),
        cached_counts=v >= (0, 33, 3),
        default_context=2048 if v < (0, 6, 0) else 4096,
    )
