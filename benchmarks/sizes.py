"""List the largest modules and functions: each a question whether it still holds one idea. Fails nothing."""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src" / "agentgauge"


def main() -> None:
    """Print the eight largest of each kind."""
    functions, modules = [], []
    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(SOURCE)
        modules.append((text.count("\n"), str(name)))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                functions.append(((node.end_lineno or 0) - node.lineno + 1, f"{name}:{node.name}"))
    for title, rows in (("modules", modules), ("functions", functions)):
        largest = ", ".join(f"{name} {size}" for size, name in sorted(rows, reverse=True)[:8])
        print(f"largest {title}: {largest}")


if __name__ == "__main__":
    main()
