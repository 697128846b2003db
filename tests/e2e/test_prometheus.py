"""A real Prometheus beside us: it finds the same agents by the same folder, and answers the same.

The samples that it scraped from the demo's agents go into our engine with their own times, so that both evaluate the
same data: what remains is the meaning of PromQL.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.loopback import free_port

from agentgauge.backends.http import HttpBackend
from agentgauge.database import Database
from agentgauge.errors import BackendError
from agentgauge.model.clock import SystemClock
from agentgauge.model.sample import Sample
from agentgauge.model.series import Result
from agentgauge.promql.engine import Options

QUERIES = (
    "topk(5, sum(rate(agent_tool_calls_total[5m])) by (tool_name))",
    'sum(rate(agent_tool_calls_total{status="error"}[5m])) by (agent)'
    " / sum(rate(agent_tool_calls_total[5m])) by (agent)",
    "histogram_quantile(0.95, sum(rate(agent_llm_latency_seconds_bucket[5m])) by (le))",
)

CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: agents
    file_sd_configs:
      - files: ['{folder}/*.json']
        refresh_interval: 1s
"""

pytestmark = pytest.mark.peer


@pytest.fixture
def prometheus(tmp_path: Path, program: Callable[[str], str]) -> Iterator[str]:
    """A Prometheus that scrapes whatever announces itself in the folder, beside a running demo."""
    folder = tmp_path / "targets"
    folder.mkdir()
    (tmp_path / "prometheus.yml").write_text(CONFIG.format(folder=folder))
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [
        program("prometheus"),
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
    ]
    command += [f"--web.listen-address=127.0.0.1:{port}"]
    environ = {**os.environ, "AGENTGAUGE_DISCOVERY_DIR": str(folder)}
    demo = [sys.executable, "-m", "agentgauge", "demo", "--listen", "127.0.0.1:0", "--for", "120s"]
    quiet = subprocess.DEVNULL
    with (
        subprocess.Popen(demo, stdout=quiet, stderr=quiet, env=environ) as agents,
        subprocess.Popen(command, stdout=quiet, stderr=quiet) as server,
    ):
        yield url
        agents.terminate()
        server.terminate()


async def rows(backend: HttpBackend, query: str) -> Result | None:
    """Return the result of an instant query, None while the server is not there yet."""
    try:
        return await backend.query(query)
    except BackendError:
        return None


async def until_scraped(backend: HttpBackend) -> None:
    """Wait until Prometheus holds a dozen scrapes with an error among them."""
    end_ns = SystemClock.monotonic_ns() + 60 * 10**9
    query = 'min(count_over_time(agent_tasks_total[5m])) >= 12 and sum(agent_tool_calls_total{status="error"}) > 0'
    while (result := await rows(backend, query)) is None or not result.steps.labels:
        assert SystemClock.monotonic_ns() < end_ns, "Prometheus did not find and scrape the demo's agents in 60 s"
        await asyncio.to_thread(threading.Event().wait, 0.2)


async def test_the_three_queries_answer_alike(prometheus: str) -> None:
    """Over the same scraped samples, the contract's queries give the same values to 1e-9 at the same times."""
    backend = HttpBackend(prometheus)
    try:
        await until_scraped(backend)
        raw = await backend.query('{__name__=~"agent_tool_calls_total|agent_llm_latency_seconds_bucket"}[5m]')
        assert raw.samples is not None
        with Database.in_memory(options=Options(semantics="2.x")) as database:  # that of the installed one
            block = raw.samples
            for i, labels in enumerate(block.labels):
                span = slice(block.offsets[i], block.offsets[i + 1])
                times, values = block.t_ms[span].tolist(), block.values[span].tolist()
                database.store.append([Sample(labels, t_ms, v) for t_ms, v in zip(times, values, strict=True)])
            # Up to where every target has answered: a slower one's scrape of that moment may still come in.
            end_ms = int(block.t_ms[block.offsets[1:] - 1].min())
            for query in QUERIES:
                theirs = await backend.query_range(query, end_ms - 6_000, end_ms, 1_500)
                ours = database.query_range(query, end_ms - 6_000, end_ms, 1_500)
                assert theirs.steps.labels, query
                assert ours.steps.labels == theirs.steps.labels
                assert ours.steps.present.tolist() == theirs.steps.present.tolist()
                present = ours.steps.present
                assert ours.steps.values[present] == pytest.approx(theirs.steps.values[present], rel=1e-9, nan_ok=True)
    finally:
        await backend.close()
