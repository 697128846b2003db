"""Label sets and label matchers, as Prometheus defines them.

A label set is a sorted tuple of (name, value) pairs; the metric's name is the label ``__name__``. Plain tuples
hash, compare and sort in C, and Python's order of ``str`` is Prometheus' byte order of UTF-8.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""Sorted (name, value) pairs without empty values; ``()`` is the empty label set."""

MatchOp: TypeAlias = Literal["=", "!=", "=~", "!~"]

METRIC_NAME = "__name__"


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label: ``name op value``; a missing label counts as the empty string."""

    name: str
    op: MatchOp
    value: str


def labels_from_mapping(mapping: Mapping[str, str]) -> Labels:
    """Sort a mapping into a label set, drop empty values, intern what repeats."""
    return labels_from_pairs(mapping.items())


def labels_from_pairs(pairs: Iterable[tuple[str, str]]) -> Labels:
    """Sort distinct (name, value) pairs into a label set, drop empty values, intern what repeats."""
    intern = sys.intern
    return tuple(sorted((intern(name), intern(value)) for name, value in pairs if value))


def label_value(labels: Labels, name: str) -> str:
    """Return the value of a label, the empty string when it is missing."""
    for key, value in labels:
        if key == name:
            return value
    return ""


def only(labels: Labels, names: frozenset[str]) -> Labels:
    """Keep the labels whose names are in ``names``: PromQL's ``by`` and ``on``."""
    return tuple(pair for pair in labels if pair[0] in names)


def without(labels: Labels, names: frozenset[str]) -> Labels:
    """Drop the labels whose names are in ``names``: PromQL's ``without`` and ``ignoring``."""
    return tuple(pair for pair in labels if pair[0] not in names)
