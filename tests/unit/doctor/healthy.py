"""The facts of a system on which everything is right; tests break one thing at a time."""

from __future__ import annotations

from agentgauge.doctor.facts import (
    Announced,
    Answer,
    Disk,
    Facts,
    Host,
    Listener,
    LoadedModel,
    Ollama,
    Rows,
    Server,
    TargetFact,
    Track,
)

NOW_MS = 1_800_000_000_000
INSTANCE = "127.0.0.1:8001"
GIB = 1 << 30


def host() -> Host:
    """Return a machine with one announced agent on port 8001."""
    return Host(
        python=(3, 11, 7),
        executable="/venv/bin/python",
        prefix="/venv",
        virtual_env="/venv",
        package_path="/venv/lib/agentgauge",
        package_version="0.1.0",
        distribution_version="0.1.0",
        commands=["/venv/bin/agentgauge"],
        libraries={"prometheus_client": "0.26.0", "ollama": "0.6.3", "openai": "3.54.0"},
        disk=Disk("/data", 70 * GIB, 250 * GIB),
        announced=Announced("/run/targets", ["/run/targets/77-8001.json"], pids=frozenset({77})),
        port=8001,
        listener=Listener(77, "python3"),
        port_answer=Answer("agentgauge", 200, 1000, 0.0),
    )


def target(url: str = f"http://{INSTANCE}/metrics", instance: str = INSTANCE) -> TargetFact:
    """Return a target that is up."""
    answer = Answer("agentgauge", 200, 1000, 0.0)
    return TargetFact(url, "agentgauge", instance, "up", "", NOW_MS - 2000, 5.0, 77, answer)


def up(times: list[int] | None = None, values: list[float] | None = None) -> Track:
    """Return samples of ``up`` every five seconds until now."""
    stamps = times if times is not None else [NOW_MS - 5000 * i for i in range(100, -1, -1)]
    return {"instance": INSTANCE}, stamps, values if values is not None else [1.0] * len(stamps)


def histogram(metric: str, counts: dict[str, float]) -> Rows:
    """Return the buckets of a histogram, cumulative."""
    return [({"__name__": f"{metric}_bucket", "le": le}, value) for le, value in counts.items()]


def values() -> dict[str, Rows]:
    """Return what queries answer when all is well."""
    here = {"instance": INSTANCE}
    nothing: dict[str, Rows] = dict.fromkeys(
        ("dropped", "errors", "folded", "foreign", "nested", "other_counters", "resets", "tokenless", "truncated",
         "connection_errors", "widest", "overflow", "buckets_before"),
        (),
    )  # fmt: skip
    return {
        **nothing,
        "accounting": [({}, 0.0)],
        "buckets": histogram("agent_llm_latency_seconds", {"1.0": 50, "2.0": 96, "5.0": 100, "10.0": 100, "+Inf": 100}),
        "build": [({**here, "version": "0.1.0", "python": "3.11.7"}, 1.0)],
        "calls": [({}, 100.0)],
        "lag": [(here, 0.01)],
        "libraries": [({**here, "library": "ollama", "version": "0.6.3"}, 1.0)],
        "models": [({"model": "qwen3:8b"}, 1.0)],
        "overhead": [(here, 0.0004)],
        "queries": [({}, 0.05)],
        "series": [(here, 900.0)],
        "series_limit": [(here, 20_000.0)],
        "server_cpu": [(here, 0.03)],
        "server_memory": [(here, 9e7)],
        "up": [(here, 1.0)],
    }


def facts() -> Facts:
    """Return the facts of a healthy system."""
    load: Track = ({"model": "qwen3:8b", "phase": "load"}, [NOW_MS - 5000, NOW_MS], [2.1, 2.101])
    ollama = Ollama("http://127.0.0.1:11434", True, "", "0.33.3", ["qwen3:8b"], [LoadedModel("qwen3:8b", 1.0, 8192)])
    return Facts(
        NOW_MS,
        host(),
        Server("http://127.0.0.1:9095", "", 0.02, 0.0),
        [target()],
        values(),
        {"ups": [up()], "load": [load]},
        (),
        ollama,
    )
