"""Which libraries this process has loaded, in which versions, and whose hooks besides ours sit on an LLM client.

Looked at with each scrape, outside any lock: a few look-ups in ``sys.modules``; versions are read when a library is
new. Nothing is imported for it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentgauge.record.ledger import Ledger

PACKAGES: dict[str, str] = {
    "anthropic": "anthropic",
    "httpx": "httpx",
    "langchain_core": "langchain-core",
    "litellm": "litellm",
    "ollama": "ollama",
    "openai": "openai",
    "prometheus_client": "prometheus-client",
}
"""Module -> its name on PyPI: those whose versions explain what is recorded."""

HOOKS: dict[str, tuple[str, str]] = {
    "anthropic": ("resources.messages:Messages", "create"),
    "ollama": ("_client:Client", "chat"),
    "openai": ("resources.chat.completions:Completions", "create"),
}
"""Client library -> (module below it and class, method) that instrumentations wrap."""

OTHERS = (
    "ddtrace.contrib.internal.openai",
    "langsmith.wrappers",
    "openinference.instrumentation",
    "openlit",
    "opentelemetry.instrumentation.anthropic",
    "opentelemetry.instrumentation.ollama",
    "opentelemetry.instrumentation.openai",
    "opentelemetry.instrumentation.openai_v2",
    "traceloop.sdk",
)
"""Modules of other instrumentations; one that is loaded is named when a client of ours is wrapped."""


class Libraries:
    """What was told of this process so far.

    Thread-safety: any thread; two at once tell the same twice, which changes nothing.
    """

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    def tell(self, ledger: Ledger) -> None:
        """Bring the ledger up to date."""
        for module, package in PACKAGES.items():
            if module in sys.modules and ("library", module) not in self._told:
                self._told.add(("library", module))
                _set(ledger, "agentgauge_library_info", (module, _version_of(package)))
        for library in foreign_hooks():
            if ("hook", library) not in self._told:
                self._told.add(("hook", library))
                _set(ledger, "agentgauge_foreign_instrumentation", (library,))


def foreign_hooks() -> list[str]:
    """Return the instrumentations of others that wrap a client of this process, by module name where it is known."""
    wrapped = [library for library, (place, method) in HOOKS.items() if _is_wrapped(library, place, method)]
    if not wrapped:
        return []
    named = [other for other in OTHERS if other in sys.modules]
    return named or [f"unknown hook on {library}" for library in wrapped]


def _is_wrapped(library: str, place: str, method: str) -> bool:
    """Tell whether a method of a loaded client is a wrapper that is not the client's own.

    Wrappers made by ``wrapt`` or ``functools.wraps`` point to the original, which is of the client's module; a
    client's own decorators point to it too, so only a wrapper *from elsewhere* counts.
    """
    module, _, name = place.partition(":")
    owner = getattr(sys.modules.get(f"{library}.{module}"), name, None)
    found = vars(owner).get(method) if isinstance(owner, type) else None
    if found is None or not hasattr(found, "__wrapped__"):
        return False
    wrapper = type(found).__module__
    if wrapper.partition(".")[0] == "wrapt" or type(found).__name__ in {"FunctionWrapper", "BoundFunctionWrapper"}:
        return True
    code = getattr(found, "__globals__", {})
    return str(code.get("__name__", library)).partition(".")[0] not in {library, "agentgauge", "functools"}


def _version_of(package: str) -> str:
    from importlib import metadata  # costs more than all of recording; only once a library is there to ask about

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def _set(ledger: Ledger, name: str, labels: tuple[str, ...]) -> None:
    def put() -> None:
        ledger.values[ledger.slot(name, labels)] = 1

    ledger.apply(put)
