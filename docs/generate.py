"""Write the reference pages that are made from tables: ``./dev docs``. A test compares them with what is committed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # `pages` is no part of the package: it is needed here alone

from pages.commands import commands_page  # noqa: E402
from pages.metrics import metrics_page  # noqa: E402
from pages.promql import promql_page  # noqa: E402
from pages.python_api import python_page  # noqa: E402

REFERENCE = HERE / "reference"

PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands_page,
    "metrics.md": metrics_page,
    "promql.md": promql_page,
    "python-api.md": python_page,
}
"""File name below docs/reference -> the function that writes it."""


def main() -> None:
    """Write all pages."""
    for name, write in PAGES.items():
        (REFERENCE / name).write_text(write(), encoding="utf-8")


if __name__ == "__main__":
    main()
