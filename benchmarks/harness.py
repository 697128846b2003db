"""What the benchmarks share: a table on the terminal, and the budgets that a ratio may not pass twofold.

Figures are ratios within one run; absolute times say what a machine is, not what a change did.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import tomllib

BUDGETS = Path(__file__).resolve().parent / "budgets.toml"
TOLERANCE = 2.0
"""A machine that others use as well shows ratios up to this far off; only more than that is a regression."""


def print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under a title, numbers to three digits, aligned."""
    cells = [list(head), *[[_text(value) for value in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    print(f"\n{title}")
    for row in cells:
        print(
            "  "
            + "  ".join(
                cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
        )


def check_budgets(bench: str, ratios: Mapping[str, float]) -> int:
    """Compare ratios with ``budgets.toml``, say which bar is met, and return 1 where one is passed twofold."""
    budgets: Mapping[str, float] = tomllib.loads(BUDGETS.read_text(encoding="utf-8")).get(bench, {})
    rows = []
    regressed = 0
    for name, ratio in ratios.items():
        if name in budgets:
            bar = budgets[name]
            broken = ratio > bar * TOLERANCE
            regressed |= broken
            rows.append([name, ratio, bar, "met" if ratio <= bar else "REGRESSED" if broken else "not met"])
    if rows:
        print_table(f"{bench}: bars", ["ratio", "measured", "at most", ""], rows)
    return int(regressed)


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def wants_json() -> bool:
    """Tell whether the ratios are wanted as JSON instead of tables."""
    return "--json" in sys.argv[1:]


def write_json(bench: str, ratios: Mapping[str, float]) -> int:
    """Print the ratios as one JSON object, and return 1 where a bar is passed twofold."""
    budgets: Mapping[str, float] = tomllib.loads(BUDGETS.read_text(encoding="utf-8")).get(bench, {})
    print(json.dumps({"bench": bench, "ratios": ratios, "bars": budgets}))
    return int(any(ratio > budgets.get(name, float("inf")) * TOLERANCE for name, ratio in ratios.items()))
