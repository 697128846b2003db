"""Libraries that are loaded are told with their versions; hooks of others are told apart from a client's own."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from agentgauge.record.ledger import Ledger
from agentgauge.record.libraries import Libraries, foreign_hooks


def told(ledger: Ledger, name: str) -> dict[tuple[str, ...], float]:
    """Return a metric's samples by the values of their labels."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in ledger.collect()
        if family.name == name
        for sample in family.samples
    }


def client(monkeypatch: pytest.MonkeyPatch, chat: Callable[..., Any]) -> None:
    """Pretend that the ollama client is loaded, with this method."""
    module = types.ModuleType("ollama._client")
    vars(module)["Client"] = type("Client", (), {"chat": chat})
    monkeypatch.setitem(sys.modules, "ollama._client", module)
    for name in [name for name in sys.modules if name.startswith(("openai.", "anthropic."))]:
        monkeypatch.delitem(sys.modules, name)


def plain(self: object) -> None:
    """Be a client's method."""


def wrapper_from(module: str) -> Callable[..., Any]:
    """Return a wrapper around ``plain`` whose code is of a module."""
    space: dict[str, Any] = {"__name__": module, "functools": functools, "plain": plain}
    exec("@functools.wraps(plain)\ndef wrapped(self): return plain(self)", space)
    return space["wrapped"]  # type: ignore[no-any-return]


def test_loaded_libraries_are_told_with_their_versions() -> None:
    """prometheus_client is loaded by collecting; it is told once, with the version that is installed."""
    from importlib import metadata

    ledger, libraries = Ledger(), Libraries()
    list(ledger.collect())
    libraries.tell(ledger)
    libraries.tell(ledger)
    shown = told(ledger, "agentgauge_library_info")
    assert shown["prometheus_client", metadata.version("prometheus-client")] == 1


def test_a_foreign_wrapper_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another instrumentation wrapped the client's method, and its module is loaded."""
    client(monkeypatch, wrapper_from("opentelemetry.instrumentation.ollama"))
    name = "opentelemetry.instrumentation.ollama"
    monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    ledger = Ledger()
    Libraries().tell(ledger)
    assert (name,) in told(ledger, "agentgauge_foreign_instrumentation")


def test_a_wrapper_nobody_knows_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's name is said where the instrumentation's is not known."""
    client(monkeypatch, wrapper_from("someone.tracing"))
    assert foreign_hooks() == ["unknown hook on ollama"]


@pytest.mark.parametrize("module", ["ollama._client", "agentgauge.integrations.ollama"])
def test_wrappers_of_the_client_and_of_ours_are_none(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """A client may decorate its own methods; ours are not foreign."""
    client(monkeypatch, wrapper_from(module))
    assert foreign_hooks() == []


def test_a_bare_method_is_no_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is wrapped, whatever else is loaded."""
    client(monkeypatch, plain)
    monkeypatch.setitem(sys.modules, "openlit", types.ModuleType("openlit"))
    assert foreign_hooks() == []
