"""Everything agentgauge can be told, in one table, and where each value came from.

Weakest first: the default, ``[tool.agentgauge]`` of pyproject.toml or agentgauge.toml (the nearest folder upwards that
has one; ``AGENTGAUGE_CONFIG`` names another file), ``AGENTGAUGE_<NAME>`` in the environment, then what the program or
the command line says. A wrong key or type names itself, its place and the nearest right one.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from agentgauge.errors import ConfigError
from agentgauge.record.setting_file import SettingFile, find_setting_file
from agentgauge.record.setting_kinds import KINDS, NotOfKind

Side: TypeAlias = Literal["record", "server"]
"""record: the process whose agents are measured; server: ``agentgauge serve``."""

PREFIX = "AGENTGAUGE_"


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of SETTINGS; ``kind`` is a key of KINDS, ``variable`` overrides the environment's name for it."""

    name: str
    kind: str
    default: Any
    side: Side
    help: str
    variable: str = ""

    @property
    def environment(self) -> str:
        """The environment variable's name."""
        return PREFIX + (self.variable or self.name.upper())


SETTINGS: dict[str, Setting] = {
    row.name: row
    for row in (
        Setting("allow_host", "texts", (), "server", "Answer under this name too; * for any.", "HOSTS"),
        Setting("allow_origin", "texts", (), "server", "Let pages from there ask (CORS).", "ORIGINS"),
        Setting("buckets", "ladders", {}, "record", "Metric name -> bucket bounds instead of its own."),
        Setting("db", "text", "", "server", "Data file; empty is the user's data folder."),
        Setting("discovery", "flag", True, "server", "Find local agents by themselves."),
        Setting("discovery_dir", "text", "", "record", "Folder in which processes say where they are."),
        Setting("enable_feature", "texts", (), "server", "Experimental PromQL that is switched on."),
        Setting("honor_labels", "flag", False, "server", "A series' own job and instance win over its target's."),
        Setting("host", "text", "127.0.0.1", "record", "Where /metrics listens."),
        Setting("interval", "duration", "5s", "server", "Between two scrapes."),
        Setting("limits", "counts", {}, "record", "Label -> distinct values a process may have."),
        Setting("linger", "seconds", 0.0, "record", "Seconds a process may wait at its end for one more scrape."),
        Setting("listen", "text", "127.0.0.1:9095", "server", "Where the server answers."),
        Setting("memory", "flag", False, "server", "Keep data in memory only."),
        Setting("port", "port", 8001, "record", "Where /metrics listens."),
        Setting("port_search", "count", 100, "record", "Ports tried after a taken one; 0 insists."),
        Setting("push_url", "text", "http://127.0.0.1:9095", "record", "Where jobs push: our server or a Pushgateway."),
        Setting("query_concurrency", "count", 4, "server", "Queries at once."),
        Setting("query_timeout", "duration", "2m", "server", "A query's time."),
        Setting("relabel", "text", "", "server", "File of rules that choose and label targets."),
        Setting("remote_write", "texts", (), "server", "Send all that is stored there too."),
        Setting("remote_write_queue", "text", "1GB", "server", "Keep at most this much unsent."),
        Setting("retention", "duration", "15d", "server", "Keep data this long."),
        Setting("retention_size", "text", "0", "server", "Keep at most this much; 0 is no limit."),
        Setting("self_scrape", "flag", True, "server", "Scrape the server's own metrics."),
        Setting("series_limit", "count", 20_000, "record", "Series a process may hold."),
        Setting("slo", "numbers", {}, "record", "Agent -> seconds that a task of it may take."),
        Setting("spool_dir", "text", "", "record", "Folder of pushes that nobody took yet."),
        Setting("target_file", "texts", (), "server", "file_sd files to read targets from.", "TARGET_FILES"),
        Setting("targets", "texts", (), "server", "Addresses to scrape besides."),
    )
}
"""Name -> what it is; the reference page and ``agentgauge config`` are made from it."""

OTHER_VARIABLES = (
    "AGENTGAUGE_BACKEND_HEADERS",
    "AGENTGAUGE_CONFIG",
    "AGENTGAUGE_NO_SKIPS",
    "AGENTGAUGE_SKIP_FRONTEND",
    "AGENTGAUGE_VENV",
)
"""Variables that are no settings."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings; ``values`` and ``sources`` have every name of SETTINGS.

    ``sources`` says where each value came from: ``default``, ``pyproject.toml:12``, ``AGENTGAUGE_PORT``, ``argument``.
    ``notes`` are sentences about what was found and not used.
    """

    values: Mapping[str, Any]
    sources: Mapping[str, str]
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def load_settings(
    arguments: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Settings:
    """Put the settings together.

    Args:
        arguments: what the program says, by name; None is not said.
        environ: the environment; the process' own when left out.
        folder: where to look for a file, upwards; the current folder when left out.

    Raises:
        ConfigError: a key that is none, or a value that cannot be used; with its place and the nearest right name.
    """
    environ = os.environ if environ is None else environ
    file, notes = find_setting_file(environ.get(f"{PREFIX}CONFIG", ""), folder or Path.cwd())
    values = {name: row.default for name, row in SETTINGS.items()}
    sources = dict.fromkeys(SETTINGS, "default")
    for name, value in (file.table if file else {}).items():
        assert file is not None, "BUG: values without a file"
        values[name] = _checked(_known(name, file), value, file.place(name))
        sources[name] = file.place(name)
    for name, row in SETTINGS.items():
        if environ.get(row.environment):
            values[name] = _from_text(row, environ[row.environment])
            sources[name] = row.environment
    for name, value in (arguments or {}).items():
        if value is not None:
            values[name] = _checked(SETTINGS[name], value, f"the argument {name}")
            sources[name] = "argument"
    return Settings(values, sources, (*notes, *_unknown_variables(environ)))


def nearest(name: str, known: Mapping[str, object]) -> str:
    """Return a phrase that names the nearest right name, or all of them."""
    close = difflib.get_close_matches(name, known, 1, 0.6)
    return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(sorted(known))}"


def _known(name: str, file: SettingFile) -> Setting:
    if name not in SETTINGS:
        raise ConfigError(f"{file.place(name)}: there is no setting {name!r}; {nearest(name, SETTINGS)}")
    return SETTINGS[name]


def _checked(row: Setting, value: Any, place: str) -> Any:
    try:
        return KINDS[row.kind].check(value)
    except NotOfKind as error:
        raise ConfigError(f"{place}: {row.name} must be {KINDS[row.kind].words}, not {error}") from None


def _from_text(row: Setting, text: str) -> Any:
    try:
        return KINDS[row.kind].read(text)
    except NotOfKind as error:
        kind = KINDS[row.kind]
        wrong = f"{row.environment}: {row.name} must be {kind.words}, not {error}"
        raise ConfigError(f"{wrong}; for example {row.environment}={kind.example}") from None


def _unknown_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    known = {row.environment: row for row in SETTINGS.values()}
    return tuple(
        f"the variable {name} is no setting; {nearest(name, known)}"
        for name in sorted(environ)
        if name.startswith(PREFIX) and name not in known and name not in OTHER_VARIABLES
    )
