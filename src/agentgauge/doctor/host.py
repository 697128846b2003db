"""Checks of this machine: what runs, from where, with which versions, and whether there is room. Pure."""

from __future__ import annotations

from agentgauge.doctor.facts import Facts, Host
from agentgauge.doctor.finding import Judgement, bad, counted, listed, ok, unknown, warn
from agentgauge.doctor.versions import TESTED, compare

MIN_PYTHON = (3, 10)
SERVER_PYTHON = (3, 11)
LOW_DISK_BYTES = 1 << 30
LOW_DISK_SHARE = 0.05
FULL_DISK_BYTES = 64 << 20
_HINT = "python -m pip install -U 'agentgauge[all]'"


def python(facts: Facts) -> Judgement:
    """Is this Python new enough?"""
    host = facts.host
    looked_at, shown = host.executable, ".".join(map(str, host.python))
    if host.python[:2] < MIN_PYTHON:
        return bad(looked_at, f"Python {shown} is too old: recording needs 3.10, the server 3.11", "python3 --version")
    if host.python[:2] < SERVER_PYTHON:
        return warn(looked_at, f"Python {shown} can record; the server needs 3.11 or newer", "python3.11 -m venv .venv")
    return ok(looked_at, f"Python {shown}")


def binary(facts: Facts) -> Judgement:
    """Is the agentgauge that runs the one that was installed here, and the first on the search path?"""
    host = facts.host
    looked_at = host.package_path
    if host.distribution_version and host.distribution_version != host.package_version:
        return bad(
            looked_at,
            f"the code is version {host.package_version}, the installed package says {host.distribution_version}: "
            "two copies are mixed",
            f"{host.executable} -m pip install --force-reinstall agentgauge",
        )
    if not host.commands:
        return ok(looked_at, f"version {host.package_version}; no command agentgauge on PATH, run as a module")
    first = host.commands[0]
    if not _inside(first, host.prefix):
        return warn(
            looked_at,
            f"typing agentgauge runs {first}, which does not belong to {host.prefix}, where this code runs",
            f"{host.executable} -m agentgauge doctor",
        )
    others = f"; also on PATH: {listed(host.commands[1:])}" if len(host.commands) > 1 else ""
    return ok(looked_at, f"version {host.package_version}, command {first}{others}")


def environment(facts: Facts) -> Judgement:
    """Is the environment that is activated the one that runs?"""
    host = facts.host
    looked_at = f"VIRTUAL_ENV and {host.prefix}"
    if host.virtual_env and not _same(host.virtual_env, host.prefix):
        return warn(
            looked_at,
            f"the environment {host.virtual_env} is activated, but {host.prefix} is what runs: packages installed in "
            "one are not seen in the other",
            f"{host.virtual_env}/bin/python -m agentgauge doctor",
        )
    return ok(looked_at, f"runs from {host.prefix}{_agents_text(host)}")


def packages(facts: Facts) -> Judgement:
    """Are the installed libraries of versions that are tested?"""
    libraries = facts.host.libraries
    looked_at = f"packages of {facts.host.prefix}"
    if "prometheus_client" not in libraries:
        return bad(looked_at, "prometheus_client is not installed", f"{facts.host.executable} -m {_HINT[10:]}")
    verdicts = {name: compare(version, TESTED[name]) for name, version in libraries.items() if name in TESTED}
    old = [name for name, verdict in verdicts.items() if verdict == "old"]
    new = [name for name, verdict in verdicts.items() if verdict == "new"]
    if old or new:
        wrong = [
            f"{name} {libraries[name]} is {'older' if name in old else 'newer'} than tested "
            f"({TESTED[name].low} to below {TESTED[name].below})"
            for name in (*old, *new)
        ]
        return (bad if old else warn)(looked_at, listed(wrong), _install((*old, *new), facts.host.executable))
    return ok(looked_at, ", ".join(f"{name} {version}" for name, version in sorted(libraries.items())))


def disk(facts: Facts) -> Judgement:
    """Is there room for the data?"""
    seen = facts.host.disk
    if seen is None:
        return unknown("the data's disk", "it cannot be seen from here; the data may be in memory or elsewhere")
    free = f"{seen.free_bytes / (1 << 30):.1f} GiB of {seen.total_bytes / (1 << 30):.0f} GiB free"
    mend = "agentgauge serve --retention-size 2GB   # or: agentgauge db --help"
    if seen.free_bytes < FULL_DISK_BYTES:
        return bad(seen.path, f"the disk is full ({free}): nothing more can be stored", mend)
    if seen.free_bytes < LOW_DISK_BYTES and seen.free_bytes < LOW_DISK_SHARE * seen.total_bytes:
        return warn(seen.path, f"the disk is nearly full: {free}", mend)
    return ok(seen.path, free)


def discovery(facts: Facts) -> Judgement:
    """Do the discovery files belong to processes that live?"""
    seen = facts.host.announced
    looked_at = seen.folder or "discovery folder"
    if seen.broken:
        path, problem = next(iter(seen.broken.items()))
        return warn(
            looked_at, listed(f"{path}: {why}" for path, why in seen.broken.items()), f"rm '{path}'  # {problem}"
        )
    if seen.stale:
        n_stale, n_files = len(seen.stale), counted(len(seen.stale) + len(seen.alive), "file")
        one = n_stale == 1
        are = "is stale, of a process that is gone" if one else "are stale, of processes that are gone"
        return warn(
            looked_at,
            f"{n_stale} of {n_files} {are}; "
            f"a Prometheus that reads this folder shows {'it' if one else 'them'} as down",
            f"rm {' '.join(map(_quoted, seen.stale[:5]))}",
        )
    if not seen.alive:
        return ok(looked_at, "no file: no agent runs here now")
    return ok(looked_at, f"{counted(len(seen.alive), 'file')}, of processes that live")


def port(facts: Facts) -> Judgement:
    """Who listens on the metrics port, and does it answer with metrics?"""
    host = facts.host
    looked_at = f"127.0.0.1:{host.port}"
    answer, listener = host.port_answer, host.listener
    if answer.kind == "nothing" and listener is None:
        return ok(looked_at, "nobody listens: the next agent that starts takes it")
    who = f"{listener.name} (pid {listener.pid})" if listener else "a process of another user"
    what = _what(answer.kind, answer.status, answer.n_bytes)
    is_ours = listener is not None and listener.pid in host.announced.pids
    is_scraped = any(_port_of(target.url) == host.port and target.health == "up" for target in facts.targets or ())
    if is_ours or is_scraped or answer.kind == "agentgauge":
        return ok(looked_at, f"held by {who}, which answers with {what}")
    mend = f"ss -ltnp 'sport = :{host.port}'"
    if answer.kind == "metrics":
        mend = f"agentgauge serve --target 127.0.0.1:{host.port}   # or give each process a port of its own"
    return warn(
        looked_at,
        f"held by {who}, which answers with {what} and is none of the agents known here: an agent that pins this port "
        "fails, others take the next free one",
        mend,
    )


def _agents_text(host: Host) -> str:
    environments = sorted({agent.virtual_env or agent.executable for agent in host.agents} - {""})
    return f"; agents run from {listed(environments)}" if environments else ""


def _install(names: tuple[str, ...], executable: str) -> str:
    wanted = " ".join(f"'{TESTED[name].pip}>={TESTED[name].low},<{TESTED[name].below}'" for name in names)
    return f"{executable} -m pip install {wanted}"


def _what(kind: str, status: int, n_bytes: int) -> str:
    return {
        "agentgauge": "agentgauge's metrics",
        "metrics": f"metrics ({n_bytes:,} bytes)",
        "html": "a web page, not metrics",
        "nothing": "nothing",
    }.get(kind, f"HTTP {status}" if status else "no HTTP")


def _port_of(url: str) -> int:
    host_port = url.partition("://")[2].partition("/")[0]
    digits = host_port.rpartition(":")[2]
    return int(digits) if digits.isdigit() else 0


def _inside(path: str, prefix: str) -> bool:
    return path.startswith(prefix.rstrip("/") + "/")


def _same(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")


def _quoted(path: str) -> str:
    return f"'{path}'"
