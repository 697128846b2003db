"""Rules that choose, rename and label targets before they are scraped: Prometheus' ``relabel_configs``, the basics.

A rule looks at the labels of a target as it was found (``__address__``, ``__scheme__``, ``__metrics_path__``,
``__meta_…`` and what its file says). Regular expressions are Python's and match the whole value.

Source: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import tomllib

from agentgauge.errors import ConfigError
from agentgauge.scrape.target import Target, target_from_address

ACTIONS = ("replace", "keep", "drop", "labelmap", "labeldrop", "labelkeep")
_KEYS = {"action": str, "regex": str, "replacement": str, "separator": str, "source_labels": list, "target_label": str}
_PLACE = ("__address__", "__scheme__", "__metrics_path__")
_GROUP = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


@dataclass(frozen=True, slots=True)
class RelabelRule:
    """One step: what it looks at, what must match, and what happens then."""

    action: str
    regex: re.Pattern[str]
    source_labels: tuple[str, ...] = ()
    separator: str = ";"
    target_label: str = ""
    replacement: str = "$1"

    def applied(self, labels: Mapping[str, str]) -> dict[str, str] | None:
        """Return the labels after this step, None when it drops the target."""
        if self.action == "labelmap":
            matches = [(self.regex.fullmatch(name), value) for name, value in labels.items()]
            return {**labels, **{_filled(self.replacement, found): value for found, value in matches if found}}
        if self.action in ("labeldrop", "labelkeep"):
            keeps = self.action == "labelkeep"
            return {name: value for name, value in labels.items() if bool(self.regex.fullmatch(name)) == keeps}
        found = self.regex.fullmatch(self.separator.join(labels.get(name, "") for name in self.source_labels))
        if self.action == "replace":
            return {**labels, self.target_label: _filled(self.replacement, found)} if found else dict(labels)
        return dict(labels) if (found is not None) == (self.action == "keep") else None


def rules_from_toml(text: str) -> tuple[RelabelRule, ...]:
    """Read ``[[relabel]]`` tables.

    Raises:
        ConfigError: it is no TOML, or a rule cannot be one; names the rule and the key.
    """
    try:
        tables = tomllib.loads(text).get("relabel", [])
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}") from None
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError("rules stand in [[relabel]] tables, one for each")
    return tuple(_rule(table, f"rule {i}") for i, table in enumerate(tables, 1))


def rules_from_file(path: str) -> tuple[RelabelRule, ...]:
    """Read a file of rules; no path is no rules.

    Raises:
        ConfigError: it cannot be read, or holds what is no rule.
    """
    if not path:
        return ()
    try:
        return rules_from_toml(Path(path).read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--relabel {path}: cannot be read: {error}") from None
    except ConfigError as error:
        raise ConfigError(f"--relabel {path}: {error}") from None


def relabelled(target: Target, rules: Sequence[RelabelRule]) -> Target | None:
    """Return the target as the rules leave it, None when they drop it.

    Raises:
        ConfigError: what they leave is no address.
    """
    if not rules:
        return target
    found = dict(target.discovered)
    labels = found
    for rule in rules:
        left = rule.applied(labels)
        if left is None:
            return None
        labels = left
    present = {name: value for name, value in labels.items() if value}
    again = target_from_address(
        present.get("__address__", ""), present, honor_labels=target.honor_labels, source=target.source
    )
    moved = any(present.get(name) != found.get(name) for name in _PLACE) or any(
        name.startswith("__param_") for name in {*present, *found}
    )
    return replace(again, url=again.url if moved else target.url, discovered=target.discovered)


def _filled(replacement: str, found: re.Match[str]) -> str:
    """Put groups into a replacement written as Go has it: ``$1``, ``${name}``; an unknown group is empty."""

    def group(name: re.Match[str]) -> str:
        key = name[1] or name[2]
        try:
            return found[int(key) if key.isdigit() else key] or ""
        except IndexError:
            return ""

    return _GROUP.sub(group, replacement)


def _rule(table: Mapping[str, Any], where: str) -> RelabelRule:
    for key, value in table.items():
        if key not in _KEYS:
            raise ConfigError(f"{where}: no key {key!r}; {_nearest(key, _KEYS)}")
        if not isinstance(value, _KEYS[key]):
            raise ConfigError(f"{where}: {key} is {value!r}, not a {'list' if _KEYS[key] is list else 'text'}")
    action, sources = table.get("action", "replace"), table.get("source_labels", [])
    if action not in ACTIONS:
        raise ConfigError(f"{where}: no action {action!r}; {_nearest(action, ACTIONS)}")
    if not all(isinstance(name, str) for name in sources):
        raise ConfigError(f"{where}: source_labels is {sources!r}, not a list of label names")
    if action == "replace" and not table.get("target_label"):
        raise ConfigError(f"{where}: replace needs a target_label")
    try:
        regex = re.compile(table.get("regex", "(.*)"), re.DOTALL)
    except re.error as error:
        raise ConfigError(f"{where}: regex {table['regex']!r}: {error}") from None
    texts = {key: table[key] for key in ("separator", "target_label", "replacement") if key in table}
    return RelabelRule(action, regex, tuple(sources), **texts)


def _nearest(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
