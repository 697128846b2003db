"""FEATURES: what Prometheus keeps behind a flag and the embedded engine has, under Prometheus' own names.

Off unless asked for, so that what works here works there. Flags of Prometheus that are not here are either always on
(duration expressions, exemplars) or not supported.
Source: Prometheus docs/feature_flags.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from agentgauge.errors import ConfigError

EXPERIMENTAL_FUNCTIONS = "promql-experimental-functions"
FILL_MODIFIERS = "promql-binop-fill-modifiers"
DELAYED_NAME_REMOVAL = "promql-delayed-name-removal"


@dataclass(frozen=True, slots=True)
class Feature:
    """A row of FEATURES: the field of ``Options`` that it switches on, and what that brings."""

    option: str
    help: str


FEATURES: dict[str, Feature] = {
    FILL_MODIFIERS: Feature("fill_modifiers", "`fill`, `fill_left`, `fill_right` of binary operators."),
    DELAYED_NAME_REMOVAL: Feature("delayed_name_removal", "Metric names are dropped at the end of the evaluation."),
    EXPERIMENTAL_FUNCTIONS: Feature("experimental_functions", "Functions and aggregations marked experimental."),
}


def switched_on(names: Sequence[str]) -> dict[str, Any]:
    """Return the fields of ``Options`` that features switch on.

    Raises:
        ConfigError: there is no such feature.
    """
    for name in names:
        if name not in FEATURES:
            close = get_close_matches(name, FEATURES, 1)
            meant = f"did you mean {close[0]}? " if close else "no such feature. "
            raise ConfigError(f"--enable-feature {name!r}: {meant}There are: {', '.join(sorted(FEATURES))}")
    return {FEATURES[name].option: True for name in names}
