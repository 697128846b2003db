"""One measured process: a tool on, the official client under it. Reads ``KIND n`` lines, answers CPU us per call.

Runs in an environment of its own per tool, so it imports nothing of the benchmark.
"""

from __future__ import annotations

import gc
import os
import resource
import sys

TOOL, PORT = sys.argv[1], int(sys.argv[2])
SINK = f"http://127.0.0.1:{PORT}"


def switch_on() -> None:
    """Switch the tool on as its manual says, its exports sent to the stub."""
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = SINK
    if TOOL == "agentgauge":
        import agentgauge

        agentgauge.instrument()
    elif TOOL == "opentelemetry":
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.ollama import OllamaInstrumentor
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{SINK}/v1/traces")))
        trace.set_tracer_provider(provider)
        OllamaInstrumentor().instrument()
    elif TOOL == "openlit":
        import openlit

        openlit.init(otlp_endpoint=SINK)


switch_on()
import ollama  # noqa: E402  # after the switch: some tools patch at import

client = ollama.Client(host=f"http://127.0.0.1:{PORT}")
MESSAGES = [{"role": "system", "content": "You are terse."}, {"role": "user", "content": "Say hello to the world."}]


def call() -> None:
    """One call that is not streamed."""
    client.chat("m", MESSAGES)


def stream() -> None:
    """One call of 200 chunks."""
    for _ in client.chat("m", MESSAGES, stream=True):
        pass


def cpu_s() -> float:
    """CPU seconds of this process, all its threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def settle() -> None:
    """Work off what waits, so that each kind pays for its own."""
    if TOOL == "agentgauge":
        from agentgauge.record.api import default_recorder

        default_recorder().ledger.catch_up()


KINDS = {"call": call, "stream": stream}
for kind in KINDS.values():
    for _ in range(5):
        kind()
print("ready", flush=True)
for line in sys.stdin:
    name, n = line.split()
    gc.collect()
    start_s = cpu_s()
    for _ in range(int(n)):
        KINDS[name]()
    settle()
    print((cpu_s() - start_s) / int(n) * 1e6, flush=True)
