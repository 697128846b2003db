"""Hooks into the SDKs that people call models with: installed by name or client, taken back whole.

Each integration is a module of this package, imported by name so that a missing library costs nothing. It offers
``install(client) -> uninstall``: with None it hooks the library for the whole process, with a client that one alone.
It returns None when the client is not its own. Integrations do not know each other.
"""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Callable
from importlib import metadata
from typing import Protocol

from agentgauge.errors import ConfigError, NotInstalled

Uninstall = Callable[[], None]

MIN_VERSIONS: dict[str, tuple[int, ...]] = {"ollama": (0, 4)}
"""Integration (also its module here and its name on PyPI) -> the oldest version it is tested with."""

_installed: dict[int | str, Uninstall] = {}


class Integration(Protocol):
    """What each module of this package offers."""

    def install(self, client: object | None) -> Uninstall | None:
        """Hook the library, or one client; None when the client is not this library's."""


def install(*what: object) -> None:
    """Hook SDKs by name or clients by themselves; everything installed and new enough when nothing is named.

    Hooking twice is hooking once.

    Raises:
        NotInstalled: a library named here is missing or older than ``MIN_VERSIONS``.
        ConfigError: a name or client that no integration knows.
    """
    if not what:
        for name in MIN_VERSIONS:
            if _problem(name) is None:
                _install(name, None)
        return
    for item in what:
        if isinstance(item, str):
            _install_named(item)
        else:
            _install_client(item)


def uninstall() -> None:
    """Take every hook back, the latest first."""
    while _installed:
        _, undo = _installed.popitem()
        undo()


def _install_named(name: str) -> None:
    if name not in MIN_VERSIONS:
        raise ConfigError(f"no integration named {name!r}; there are: {', '.join(MIN_VERSIONS)}")
    if problem := _problem(name):
        raise NotInstalled(name, problem)
    _install(name, None)


def _install_client(client: object) -> None:
    for name in MIN_VERSIONS:
        if _install(name, client):
            return
    kind = f"{type(client).__module__}.{type(client).__qualname__}"
    raise ConfigError(
        f"instrument() does not know a client of type {kind}; it knows those of: {', '.join(MIN_VERSIONS)}"
    )


def _install(name: str, client: object | None) -> bool:
    key = name if client is None else id(client)
    if key in _installed:
        return True
    integration: Integration = importlib.import_module(f"{__name__}.{name}")
    undo = integration.install(client)
    if undo is None:
        return False
    _installed[key] = undo
    if client is not None:
        weakref.finalize(client, _installed.pop, key, None).atexit = False  # the next client may get its id
    return True


def _problem(name: str) -> str | None:
    """Say why a library cannot be hooked; None when it can."""
    wanted = ".".join(map(str, MIN_VERSIONS[name]))
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is not installed; pip install '{name}>={wanted}'"
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < MIN_VERSIONS[name]:
        return (
            f"{name} {version} is older than {wanted}, the oldest that is measured; pip install -U '{name}>={wanted}'"
        )
    return None
