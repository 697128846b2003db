"""The file settings stand in: agentgauge.toml, or ``[tool.agentgauge]`` in pyproject.toml.

Python 3.10 has no TOML reader: there a file is read when ``tomli`` is installed, else said to be left out.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from agentgauge.errors import ConfigError

OWN_NAME, PROJECT_NAME = "agentgauge.toml", "pyproject.toml"
_TABLE = re.compile(r"^\s*\[\s*tool\s*\.\s*agentgauge\s*[\].]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SettingFile:
    """A file with settings, as it was read."""

    path: Path
    text: str
    table: Mapping[str, Any]

    def place(self, name: str) -> str:
        """Return ``file:line`` of a setting, the file alone where the line cannot be told."""
        first = 0
        if self.path.name == PROJECT_NAME:
            found = _TABLE.search(self.text)
            first = found.start() if found else 0
        wanted = re.escape(name)
        key = re.compile(rf"^\s*(?:[\"']?{wanted}[\"']?\s*[=.]|\[[^\]]*\b{wanted}\s*\])", re.MULTILINE)
        match = key.search(self.text, first)
        if match is None:
            return str(self.path)
        return f"{self.path}:{self.text.count(chr(10), 0, match.end()) + 1}"


def find_setting_file(named: str, folder: Path) -> tuple[SettingFile | None, tuple[str, ...]]:
    """Return the file that counts, None when there is none; and what to say about one that cannot be read here.

    Args:
        named: a file to read instead of looking for one; empty for none.
        folder: where to look, then upwards.

    Raises:
        ConfigError: the named file is not there, or a file is no TOML.
    """
    if named:
        path = Path(named)
        if not path.is_file():
            raise ConfigError(f"AGENTGAUGE_CONFIG: there is no file {named!r}")
        return _read(path)
    for place in (folder, *folder.parents):
        for name in (OWN_NAME, PROJECT_NAME):
            path = place / name
            if path.is_file() and (name == OWN_NAME or _TABLE.search(_text(path))):
                return _read(path)
    return None, ()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""  # not a file that we could use, and nobody said that we must


def _read(path: Path) -> tuple[SettingFile | None, tuple[str, ...]]:
    try:
        toml: Any = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    except ModuleNotFoundError:
        return None, (
            f"{path} is left out: Python {sys.version_info.major}.{sys.version_info.minor} reads it with tomli",
        )
    text = _text(path)
    try:
        table = toml.loads(text)
    except toml.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    if path.name == PROJECT_NAME:
        table = table.get("tool", {}).get("agentgauge", {})
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: tool.agentgauge is not a table")
    return SettingFile(path, text, table), ()
