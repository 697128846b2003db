"""Where the processes of this user say that they can be scraped: one folder, one small file per process.

The files are Prometheus ``file_sd`` JSON, so a real Prometheus pointed at ``<folder>/*.json`` finds the same targets.
Who writes (``expose``) and who reads (``scrape.discovery``) share the path and the labels from here. Labels that start
with ``__`` tell a reader whether the process still lives; they never become labels of a series.
"""

from __future__ import annotations

from collections.abc import Mapping

DIRECTORY_VARIABLE = "AGENTGAUGE_DISCOVERY_DIR"

PID_LABEL = "__agentgauge_pid"
"""Process id of the writer."""

STARTED_LABEL = "__agentgauge_started"
"""Start time of the writer in clock ticks after boot (field 22 of ``/proc/<pid>/stat``); empty where unknown."""

WISHED_LABEL = "__agentgauge_port"
"""The port the writer asked for; processes of one program that ask for the same one are workers of one pool."""

ENDED_FOLDER = "ended"
"""Folder below the discovery folder where a process that ends leaves its last counts, for a server to take in."""


def discovery_directory(environ: Mapping[str, str], uid: int) -> str:
    """Return the folder that this user's processes write themselves into."""
    chosen = environ.get(DIRECTORY_VARIABLE)
    if chosen:
        return chosen
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return f"{runtime}/agentgauge/targets"
    return f"/tmp/agentgauge-{uid}/targets"  # the per-user fallback; the writer makes it with mode 0700


def discovery_file_name(pid: int, port: int) -> str:
    """Return the file name of one process' endpoint."""
    return f"{pid}-{port}.json"


def started_of_stat(stat: str) -> str:
    """Return the start time in the text of ``/proc/<pid>/stat``, the empty string when it is not there.

    The command name may hold blanks and parentheses, so fields count from the last ``)``.
    """
    fields = stat.rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else ""


def state_of_stat(stat: str) -> str:
    """Return the state letter in the text of ``/proc/<pid>/stat`` (``Z`` is a zombie), empty when it is not there."""
    fields = stat.rpartition(")")[2].split()
    return fields[0] if fields else ""
