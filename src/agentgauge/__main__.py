"""The console script ``agentgauge``; without the server's libraries it says how to get them."""

from __future__ import annotations

import sys

INSTALL_LINE = "pip install 'agentgauge[server]'"


def main() -> int:
    """Run the command line; return the exit status."""
    if sys.version_info < (3, 11):
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        print(f"agentgauge: the command line needs Python 3.11 or newer, this is {version}.", file=sys.stderr)
        return 1
    try:
        import click  # noqa: F401 - asked for here, so that what is missing is said in one line
    except ImportError:
        print(f"agentgauge: the command line is not installed. Run:\n\n    {INSTALL_LINE}\n", file=sys.stderr)
        return 1
    from agentgauge.cli import run

    return run()


if __name__ == "__main__":
    sys.exit(main())
