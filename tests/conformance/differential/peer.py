"""A real Prometheus with the generated samples, on loopback, ended by its own process id."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

from tests.conformance.differential.samples import Series, open_metrics
from tests.loopback import free_port

READY_WITHIN_S = 60.0


def is_installed() -> bool:
    """Tell whether prometheus and promtool are on this machine."""
    return shutil.which("prometheus") is not None and shutil.which("promtool") is not None


class Prometheus:
    """Runs ``prometheus`` over backfilled blocks while the context is open.

    Without ``series`` the folder already holds ``samples.txt``, OpenMetrics text.
    """

    def __init__(self, folder: Path, series: Sequence[Series] | None = None) -> None:
        self._folder = folder
        self._series = series
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: http.client.HTTPConnection | None = None
        self.port = free_port()

    def __enter__(self) -> Prometheus:
        data = self._folder / "data"
        text = self._folder / "samples.txt"
        if self._series is not None:
            text.write_text(open_metrics(self._series))
        backfill = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(data)]
        subprocess.run(backfill, check=True, capture_output=True)
        config = self._folder / "prometheus.yml"
        config.write_text("global: {scrape_interval: 1h, evaluation_interval: 1m}\n")
        log = (self._folder / "log.txt").open("wb")
        self._process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={data}",
                "--storage.tsdb.retention.time=100y",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--query.max-samples=50000000",
                "--enable-feature=promql-at-modifier,promql-negative-offset",
            ],
            stdout=log,
            stderr=log,
        )
        log.close()
        self._wait_until_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=20)

    def _wait_until_ready(self) -> None:
        deadline = time.perf_counter() + READY_WITHIN_S
        while time.perf_counter() < deadline:
            assert self._process is not None
            assert self._process.poll() is None, (self._folder / "log.txt").read_text()[-2000:]
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                connection.request("GET", "/-/ready")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                time.sleep(0.05)
            finally:
                connection.close()
        raise TimeoutError("prometheus did not become ready")

    def query(self, text: str, t_ms: int) -> dict[str, Any]:
        """Ask for an instant query; return the envelope."""
        return self._post("/api/v1/query", {"query": text, "time": f"{t_ms / 1000:.3f}"})

    def query_range(self, text: str, start_ms: int, end_ms: int, step_ms: int) -> dict[str, Any]:
        """Ask for a range query; return the envelope."""
        times = {"start": f"{start_ms / 1000:.3f}", "end": f"{end_ms / 1000:.3f}", "step": f"{step_ms / 1000:.3f}"}
        return self._post("/api/v1/query_range", {"query": text, **times})

    def _post(self, path: str, form: dict[str, str]) -> dict[str, Any]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        self._connection.request("POST", path, urlencode(form), headers)
        answer: dict[str, Any] = json.loads(self._connection.getresponse().read())
        return answer
