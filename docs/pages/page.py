"""What all generated pages share: a title, the note that they are generated, single blank lines."""

from __future__ import annotations

import re

GENERATED = "<!-- Made by docs/generate.py: edit the table it is made from, then run ./dev docs. -->"


def page(title: str, *lines: str) -> str:
    """Return a page; reStructuredText's double backticks become Markdown's single ones."""
    text = "\n".join([f"# {title}", "", GENERATED, "", *(_plain_code(line) for line in lines)])
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def _plain_code(line: str) -> str:
    return re.sub(r"(?<!`)``([^`]+)``(?!`)", r"`\1`", line)
