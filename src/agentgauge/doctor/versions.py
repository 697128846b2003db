"""The versions of libraries and servers that agentgauge is tested with."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agentgauge.integrations import MIN_VERSIONS


@dataclass(frozen=True, slots=True)
class VersionRange:
    """From ``low``, included, to ``below``, excluded; ``pip`` is the name to install."""

    low: str
    below: str
    pip: str


TESTED: dict[str, VersionRange] = {
    "aiohttp": VersionRange("3.11", "4", "aiohttp"),
    "anthropic": VersionRange("1", "3", "anthropic"),
    "httpx": VersionRange("0.24", "1", "httpx"),
    "numpy": VersionRange("2.1", "3", "numpy"),
    "ollama": VersionRange(".".join(map(str, MIN_VERSIONS["ollama"])), "1", "ollama"),
    "openai": VersionRange("2", "4", "openai"),
    "prometheus_client": VersionRange("0.21", "1", "prometheus-client"),
    "promql_parser": VersionRange("0.12", "0.13", "promql-parser"),
    "starlette": VersionRange("1.0", "2", "starlette"),
    "uvicorn": VersionRange("0.34", "1", "uvicorn"),
}
"""Library as it is imported -> the versions that are tested."""

OLLAMA_SERVER = VersionRange("0.4", "0.41", "")
"""The versions of the Ollama server whose answers are tested, simulated or recorded."""


def numbers_of(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: ``0.33.0-rc2`` is (0, 33, 0)."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", version.strip())
    return tuple(map(int, found[1].split("."))) if found else ()


def compare(version: str, tested: VersionRange) -> str:
    """Return ``old``, ``new`` or the empty string for a version against what is tested; unreadable ones pass."""
    numbers = numbers_of(version)
    if not numbers:
        return ""
    if numbers < numbers_of(tested.low):
        return "old"
    return "new" if numbers >= numbers_of(tested.below) else ""
