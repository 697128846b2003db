"""What was gathered: plain values, so that every check can be tried on made-up ones.

Absent: None is *could not be seen*, never zero; an id that is missing in ``Facts.values`` was not answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Rows: TypeAlias = Sequence[tuple[Mapping[str, str], float]]
"""The answer to an instant query: labels and value of each series."""

Track: TypeAlias = tuple[Mapping[str, str], Sequence[int], Sequence[float]]
"""One series as it was stored: labels, times in ms, values."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Who listens on a port: process id and command, where the system shows them."""

    pid: int
    name: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What an address answered to a request for metrics.

    ``kind`` is ``agentgauge``, ``metrics`` (somebody's), ``html``, ``other`` or ``nothing``; ``ahead_s`` is how far
    its clock is before ours, to a second, None when it does not say.
    """

    kind: str
    status: int = 0
    n_bytes: int = 0
    ahead_s: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk that holds the data."""

    path: str
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Announced:
    """The discovery folder: files of processes that live, of those that are gone, and files that are none."""

    folder: str
    alive: Sequence[str] = ()
    stale: Sequence[str] = ()
    broken: Mapping[str, str] = field(default_factory=dict)
    pids: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class AgentProcess:
    """An announced process on this machine: what runs it."""

    pid: int
    executable: str = ""
    virtual_env: str = ""


@dataclass(frozen=True, slots=True)
class Host:
    """This machine and this process, as they are and not as they were meant to be.

    ``commands`` are all programs named agentgauge on the search path, the one that would run first; ``libraries``
    maps names to installed versions.
    """

    python: tuple[int, int, int]
    executable: str
    prefix: str
    virtual_env: str
    package_path: str
    package_version: str
    distribution_version: str
    commands: Sequence[str] = ()
    libraries: Mapping[str, str] = field(default_factory=dict)
    disk: Disk | None = None
    announced: Announced = field(default_factory=lambda: Announced(""))
    agents: Sequence[AgentProcess] = ()
    port: int = 8001
    listener: Listener | None = None
    port_answer: Answer = field(default_factory=lambda: Answer("nothing"))


@dataclass(frozen=True, slots=True)
class TargetFact:
    """One target as the server sees it, and as it answers to us; ``answer`` None when it was not asked."""

    url: str
    job: str
    instance: str
    health: str
    error: str = ""
    last_scrape_ms: int = 0
    interval_s: float = 0.0
    pid: int = 0
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """The place that answers queries; ``error`` says why it does not, ``ahead_s`` how far its clock is before ours."""

    where: str
    error: str = ""
    took_s: float = 0.0
    ahead_s: float | None = None


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that an Ollama server holds in memory; ``gpu_share`` is the part of it that is on a GPU."""

    name: str
    gpu_share: float = 1.0
    context_length: int = 0


@dataclass(frozen=True, slots=True)
class Ollama:
    """An Ollama server; ``named`` when somebody said where it is and it was not just the default address."""

    url: str
    named: bool = False
    error: str = ""
    version: str = ""
    installed: Sequence[str] = ()
    loaded: Sequence[LoadedModel] = ()


@dataclass(frozen=True, slots=True)
class Wide:
    """A metric of one instance whose label has very many values."""

    metric: str
    instance: str
    label: str
    n_values: int


@dataclass(frozen=True, slots=True)
class FoldedAt:
    """A label of a metric that an instance folds, and the lines of code that made its values, most frequent first."""

    instance: str
    metric: str
    label: str
    places: Sequence[str]


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that checks may look at."""

    now_ms: int
    host: Host
    server: Server
    targets: Sequence[TargetFact] | None = None
    values: Mapping[str, Rows] = field(default_factory=dict)
    tracks: Mapping[str, Sequence[Track]] = field(default_factory=dict)
    wide: Sequence[Wide] = ()
    ollama: Ollama | None = None
    folded_at: Sequence[FoldedAt] = ()
