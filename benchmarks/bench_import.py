"""What ``import agentgauge`` costs beside ``import prometheus_client``: CPU over a bare interpreter."""

from __future__ import annotations

import os
import random
import subprocess
import sys

from harness import check_budgets, print_table, wants_json, write_json

STATEMENTS = {"bare": "pass", "prometheus_client": "import prometheus_client", "agentgauge": "import agentgauge"}
N_ROUNDS = 15


def cpu_ms(statement: str) -> float:
    """Return the CPU milliseconds of an interpreter that runs one statement."""
    process = subprocess.Popen([sys.executable, "-c", statement])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{statement!r} failed")
    return (usage.ru_utime + usage.ru_stime) * 1000


def main() -> int:
    """Print the table and return 1 on a regression."""
    best = dict.fromkeys(STATEMENTS, float("inf"))
    for _ in range(N_ROUNDS):
        for name in random.sample(sorted(STATEMENTS), len(STATEMENTS)):
            best[name] = min(best[name], cpu_ms(STATEMENTS[name]))
    added = {name: best[name] - best["bare"] for name in STATEMENTS if name != "bare"}
    ratios = {"agentgauge / prometheus_client": added["agentgauge"] / added["prometheus_client"]}
    if wants_json():
        return write_json("import", ratios)
    rows = [[name, ms, ms / added["prometheus_client"]] for name, ms in added.items()]
    print_table("import, CPU ms over a bare interpreter", ["", "ms", "x"], rows)
    return check_budgets("import", ratios)


if __name__ == "__main__":
    sys.exit(main())
