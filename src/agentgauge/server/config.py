"""Config: everything the server can be told, frozen.

Values come from the defaults, then ``AGENTGAUGE_<NAME>`` in the environment, then flags. Text is checked here, once,
with the setting's name in the message.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agentgauge.errors import ConfigError
from agentgauge.scrape.relabel import RelabelRule

DEFAULT_LISTEN = "127.0.0.1:9095"
DAY_MS = 86_400_000

_UNITS_MS = (365 * DAY_MS, 7 * DAY_MS, DAY_MS, 3_600_000, 60_000, 1000, 1)  # y w d h m s ms
_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?$")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT]?)i?B?$")
_SIZE_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True, slots=True)
class Config:
    """What the server does; ``db`` None is a store in memory, ``retention_bytes`` 0 is no limit of size.

    ``ollama`` is the model server that the doctor looks at, empty for what ``OLLAMA_HOST`` says.
    """

    host: str = "127.0.0.1"
    port: int = 9095
    db: Path | None = None
    targets: tuple[str, ...] = ()
    target_files: tuple[str, ...] = ()
    discovery_directory: str = ""
    rules: tuple[RelabelRule, ...] = ()
    honor_labels: bool = False
    interval_s: float = 5.0
    scrape_timeout_s: float = 5.0
    retention_ms: int = 15 * DAY_MS
    retention_bytes: int = 0
    remote_write: tuple[str, ...] = ()
    remote_write_queue_bytes: int = 1 << 30
    max_concurrency: int = 4
    query_timeout_s: float = 120.0
    features: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    self_scrape: bool = True
    ollama: str = ""

    @property
    def url(self) -> str:
        """The address to open in a browser on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{self.port}"


def default_db(environ: Mapping[str, str]) -> Path:
    """Return the data file of this user: ``$XDG_DATA_HOME/agentgauge/metrics.db``."""
    home = environ.get("XDG_DATA_HOME") or str(Path(environ.get("HOME") or "~").expanduser() / ".local" / "share")
    return Path(home) / "agentgauge" / "metrics.db"


def server_url(environ: Mapping[str, str]) -> str:
    """Return the address at which this user's server is expected: ``AGENTGAUGE_LISTEN`` or the default."""
    host, port = parse_listen(environ.get("AGENTGAUGE_LISTEN") or DEFAULT_LISTEN)
    return Config(host=host, port=port).url


def parse_listen(text: str) -> tuple[str, int]:
    """Read ``HOST:PORT``, ``:PORT`` or ``PORT``; a bare port listens on 127.0.0.1.

    Raises:
        ConfigError: it is none of these.
    """
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ConfigError(f"--listen {text!r} is not HOST:PORT; for example {DEFAULT_LISTEN}")
    host = host.removeprefix("[").removesuffix("]")
    return (host or ("0.0.0.0" if text.startswith(":") else "127.0.0.1")), int(port)


def parse_duration_ms(text: str, name: str) -> int:
    """Read a duration as Prometheus writes it (``1h30m``, ``5s``, ``250ms``) or a number of seconds.

    Raises:
        ConfigError: it is none, or not above zero.
    """
    found = _DURATION.match(text) if text else None
    if found is not None:
        ms = sum(int(part or 0) * unit_ms for part, unit_ms in zip(found.groups(), _UNITS_MS, strict=True))
    else:
        try:
            seconds = float(text)
        except ValueError:
            seconds = math.nan
        ms = round(seconds * 1000) if math.isfinite(seconds) else 0
    if not 0 < ms < 1 << 53:
        raise ConfigError(f"{name} {text!r} is not a duration above zero; for example 5s, 90s, 1h30m, 15d")
    return ms


def parse_size_bytes(text: str, name: str) -> int:
    """Read a size: ``500MB``, ``2GiB``, ``0`` for none; units are powers of 1024.

    Raises:
        ConfigError: it is none.
    """
    found = _SIZE.match(text.strip())
    if found is None:
        raise ConfigError(f"{name} {text!r} is not a size; for example 500MB, 2GB, or 0 for no limit")
    return round(float(found[1]) * _SIZE_UNITS[found[2].upper()])


def checked_interval_s(text: str) -> float:
    """Read the scrape interval: from 100 ms to 1 h.

    Raises:
        ConfigError: it is no duration or out of range.
    """
    ms = parse_duration_ms(text, "--interval")
    if not 100 <= ms <= 3_600_000:
        raise ConfigError(f"--interval {text!r} is out of range: from 100ms to 1h")
    return ms / 1000


def split_list(values: Sequence[str]) -> tuple[str, ...]:
    """Split repeated and comma-separated values."""
    return tuple(part.strip() for value in values for part in value.split(",") if part.strip())
