"""CPU that measuring adds to the official ``ollama`` client, per call and per streamed chunk, beside its peers.

Each tool runs in a process and an environment of its own (``.bench/``, made on first use) with the same client version,
against a stub of prebuilt bytes. Every round asks every process in random order; what a tool adds is its time minus
that of the bare client in the same round, and the median over the rounds is reported. The parts of agentgauge that can
be timed in process are far below the noise of whole processes, so the ratio is an upper bound.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import venv
from contextlib import ExitStack
from pathlib import Path

from harness import check_budgets, print_table

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "benchmarks" / "ollama"
OLLAMA = "ollama==0.6.3"
TOOLS = {
    "bare": [OLLAMA],
    "agentgauge": [OLLAMA, "-e", str(ROOT)],
    "opentelemetry": [
        OLLAMA,
        "opentelemetry-instrumentation-ollama==0.62.4",
        "opentelemetry-sdk",
        "opentelemetry-exporter-otlp-proto-http",
    ],
    "openlit": [
        OLLAMA,
        "openlit==1.45.0",
        "opentelemetry-instrumentation==0.62b1",
        "opentelemetry-sdk==1.41.1",
        "--pre",
    ],
}
N_CHUNKS = 200


def environment(tool: str) -> Path:
    """Return the Python of a tool's environment, made when it is missing."""
    folder = ROOT / ".bench" / tool
    python = folder / "bin" / "python"
    stamp = folder / ".installed"
    wanted = " ".join(TOOLS[tool])
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {tool} into {folder.relative_to(ROOT)} (once)", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *TOOLS[tool]], check=True)
        stamp.write_text(wanted)
    return python


class Worker:
    """A tool's process: asked for CPU microseconds per call of a kind."""

    def __init__(self, tool: str, port: str, stack: ExitStack) -> None:
        command = [str(environment(tool)), str(HERE / "client.py"), tool, port]
        pipe = subprocess.PIPE
        self._process = stack.enter_context(
            subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
        )
        stack.callback(self._process.kill)
        while (line := self._line()) != "ready":
            if not line and self._process.poll() is not None:
                raise SystemExit(f"{tool} did not start; try: {' '.join(command)}")

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def ask(self, kind: str, n: int) -> float:
        """Return CPU microseconds per call."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{kind} {n}\n")
        self._process.stdin.flush()
        while True:
            try:
                return float(self._line())
            except ValueError:
                continue  # something the tool printed


def measure(n_rounds: int) -> dict[str, dict[str, float]]:
    """Return what each tool adds: tool -> kind -> CPU microseconds per call or per chunk."""
    with ExitStack() as stack:
        stub = stack.enter_context(
            subprocess.Popen([sys.executable, str(HERE / "stub.py")], stdout=subprocess.PIPE, text=True)
        )
        stack.callback(stub.kill)
        assert stub.stdout is not None
        port = stub.stdout.readline().strip()
        workers = {tool: Worker(tool, port, stack) for tool in TOOLS}
        added: dict[str, dict[str, list[float]]] = {t: {"call": [], "stream": []} for t in TOOLS if t != "bare"}
        for _ in range(n_rounds):
            for kind, n in (("call", 60), ("stream", 15)):
                times = {tool: workers[tool].ask(kind, n) for tool in random.sample(list(TOOLS), len(TOOLS))}
                for tool, row in added.items():
                    row[kind].append(times[tool] - times["bare"])
    result = {}
    for tool, rows in added.items():
        call_us = statistics.median(rows["call"])
        per_chunk_us = (statistics.median(rows["stream"]) - max(call_us, 0.0)) / N_CHUNKS
        result[tool] = {"call": call_us, "chunk": per_chunk_us}
    return result


def main() -> int:
    """Print the table and return whether a ratio regressed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    added = measure(options.rounds)
    ours = added["agentgauge"]
    ratios = {
        "call / opentelemetry": ours["call"] / added["opentelemetry"]["call"],
        "chunk / opentelemetry": ours["chunk"] / added["opentelemetry"]["chunk"],
        "call / openlit": ours["call"] / added["openlit"]["call"],
        "chunk / openlit": ours["chunk"] / added["openlit"]["chunk"],
    }
    if options.json:
        print(json.dumps({"added_us": added, "ratios": ratios}))
    else:
        print_table(
            "CPU added, us", ["tool", "per call", "per chunk"], [[t, r["call"], r["chunk"]] for t, r in added.items()]
        )
        print_table("ratios", ["ours / theirs", "ratio"], [[k, v] for k, v in ratios.items()])
    return check_budgets("ollama", ratios)


if __name__ == "__main__":
    sys.exit(main())
