"""Which targets there are: the discovery folder of local agents, and any ``file_sd`` files.

A file that cannot be read costs its own targets alone and is said once. Files of dead processes are passed over,
never deleted: their owner may be of another user or another container.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agentgauge.errors import AgentgaugeError, ConfigError
from agentgauge.model.discovery import PID_LABEL, STARTED_LABEL, started_of_stat
from agentgauge.model.labels import labels_from_mapping
from agentgauge.scrape.relabel import RelabelRule, relabelled
from agentgauge.scrape.target import Target, target_from_address

MAX_FILE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Found:
    """The targets of one look around, and per unreadable file what is wrong with it."""

    targets: tuple[Target, ...]
    problems: Mapping[str, str]


class Discovery:
    """Looks for targets again and again; a file is parsed anew only when it changed.

    Thread-safety: none; one look at a time.
    """

    __slots__ = ("_directory", "_globs", "_honor_labels", "_parsed", "_rules", "_static")

    def __init__(
        self,
        static: Sequence[Target] = (),
        directory: str = "",
        globs: Sequence[str] = (),
        *,
        rules: Sequence[RelabelRule] = (),
        honor_labels: bool = False,
    ) -> None:
        self._rules = tuple(rules)
        self._honor_labels = honor_labels
        self._static = tuple(static)
        self._directory = directory
        self._globs = tuple(globs)
        self._parsed: dict[str, tuple[tuple[int, int, int], tuple[Target, ...] | str]] = {}

    def look(self) -> Found:
        """Return what is there now; of targets with equal labels the first keeps them."""
        targets: dict[str, Target] = {}
        problems: dict[str, str] = {}
        for target in self._static:
            self._take(targets, target, problems)
        paths = self._paths()
        for path in paths:
            parsed = self._read(path)
            if isinstance(parsed, str):
                problems[path] = parsed
                continue
            for target in parsed:
                if _owner_lives(target):
                    self._take(targets, target, problems)
        self._parsed = {path: self._parsed[path] for path in paths if path in self._parsed}
        return Found(tuple(targets.values()), problems)

    def _take(self, targets: dict[str, Target], target: Target, problems: dict[str, str]) -> None:
        """Admit a target as the rules leave it; the server's own is not theirs."""
        if target.source == "self":
            _admit(targets, target)
            return
        try:
            kept = relabelled(replace(target, honor_labels=self._honor_labels), self._rules)
        except ConfigError as error:
            problems[target.url] = f"after relabeling: {error}"
            return
        if kept is not None:
            _admit(targets, kept)

    def _paths(self) -> list[str]:
        patterns = [os.path.join(glob.escape(self._directory), "*.json")] if self._directory else []
        return sorted({path for pattern in (*patterns, *self._globs) for path in glob.glob(pattern)})

    def _read(self, path: str) -> tuple[Target, ...] | str:
        """Return a file's targets, or what is wrong with it; nothing when it has just gone."""
        try:
            stat = os.stat(path)
            mark = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            known = self._parsed.get(path)
            if known is not None and known[0] == mark:
                return known[1]
            if stat.st_size > MAX_FILE_BYTES:
                return f"{stat.st_size} bytes are more than a target file may have ({MAX_FILE_BYTES})"
            text = Path(path).read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        parsed: tuple[Target, ...] | str
        try:
            parsed = tuple(targets_from_file_sd(text, source=path))
        except AgentgaugeError as error:
            parsed = str(error)
        self._parsed[path] = (mark, parsed)
        return parsed


def targets_from_file_sd(text: bytes, *, source: str = "file") -> Iterable[Target]:
    """Read Prometheus ``file_sd`` JSON: a list of ``{"targets": [...], "labels": {...}}``.

    Raises:
        ConfigError: it is not that.
    """
    try:
        groups = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"not JSON: {error}") from None
    if not isinstance(groups, list):
        raise ConfigError("not a list of target groups")
    for group in groups:
        addresses = group.get("targets") if isinstance(group, dict) else None
        labels = group.get("labels") or {} if isinstance(group, dict) else None
        if not isinstance(addresses, list) or not all(isinstance(address, str) for address in addresses):
            raise ConfigError("a target group without a list of addresses under 'targets'")
        if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
            raise ConfigError("a target group whose 'labels' are not text")
        for address in addresses:
            yield target_from_address(address, labels, source=source)


def _admit(targets: dict[str, Target], target: Target) -> None:
    """Add a target; of two places with the same labels, two paths of one port, the later one is named by its path."""
    first = targets.setdefault(target.group_key, target)
    if first.url != target.url:
        place = target.url.partition("://")[2].rpartition("@")[2]
        apart = replace(target, labels=labels_from_mapping({**dict(target.labels), "instance": place}))
        targets.setdefault(apart.group_key, apart)


def _owner_lives(target: Target) -> bool:
    """Tell whether the process that wrote the file still runs; yes when the file does not say who wrote it."""
    labels = dict(target.discovered)
    pid = labels.get(PID_LABEL, "")
    if not pid.isascii() or not pid.isdigit():
        return True
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except FileNotFoundError:
        return not Path("/proc/self").exists() and _signal_reaches(int(pid))
    except OSError:
        return True
    if stat.rpartition(")")[2].split()[:1] == ["Z"]:
        return False
    started = labels.get(STARTED_LABEL, "")
    return not started or started == started_of_stat(stat)


def _signal_reaches(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
