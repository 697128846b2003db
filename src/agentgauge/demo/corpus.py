"""The demo's reading matter: the project's own text, read from the docstrings of its modules.

No data file to ship, and the answers are about something the reader has in front of them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of text that can be found: where it stands and what it says."""

    source: str
    text: str


def passages(root: Path = PACKAGE, n_max: int = 60) -> list[Passage]:
    """Return the first ``n_max`` module and class docstrings below ``root``, in the order of their paths."""
    found: list[Passage] = []
    for path in sorted(root.rglob("*.py")):
        found += _docstrings(path, root)
        if len(found) >= n_max:
            break
    return found[:n_max]


def _docstrings(path: Path, root: Path) -> Iterator[Passage]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    where = path.relative_to(root).with_suffix("").as_posix()
    for node in (tree, *tree.body):
        if isinstance(node, ast.Module | ast.ClassDef) and (text := ast.get_docstring(node)):
            name = where if isinstance(node, ast.Module) else f"{where}.{node.name}"
            yield Passage(name, " ".join(text.split()))
