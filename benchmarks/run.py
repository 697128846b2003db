"""Run the benchmarks one after another: all of them, or those whose names are given.

Each is a script of its own that prints a table of ratios and exits non-zero only on a twofold regression against
``budgets.toml``; this runs them in fresh processes so that none warms the next one's caches. Behind them come the long
runs, of which ``./dev test`` has bounded ones: there a difference or a loss is a failure.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
LONG = ("fuzz_promql", "crash_store", "crash_server", "soak_store")


def main(names: list[str]) -> int:
    """Run the named benchmarks and return how many failed."""
    known = {path.stem.removeprefix("bench_"): [str(path)] for path in sorted(HERE.glob("bench_*.py"))}
    known |= {name: ["-m", f"benchmarks.{name}"] for name in LONG}
    if unknown := [name for name in names if name not in known]:
        print(f"no benchmark named {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    failed = [name for name in names or known if not passes(name, known[name])]
    print(f"\n{len(names or known) - len(failed)} passed, {len(failed)} failed" + "".join(f"\n  {f}" for f in failed))
    return bool(failed)


def passes(name: str, line: list[str]) -> bool:
    """Run one benchmark in a fresh process, its output passed through."""
    print(f"\n=== {name} ===", flush=True)
    return subprocess.run([sys.executable, *line], cwd=HERE.parent, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
