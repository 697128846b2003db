"""Every exception that agentgauge raises on purpose.

::

    AgentgaugeError
    ├── ConfigError            a setting, flag or environment variable is wrong
    ├── PortInUse              the pinned metrics port is taken
    ├── NotInstalled           an optional library is missing or too old
    ├── ParseError             exposition text, with its line
    ├── QueryError
    │   ├── BadQuery           the text is not PromQL, or a parameter is wrong (HTTP 400)
    │   ├── ExecutionError     the query is PromQL but cannot be answered (422)
    │   │   └── NotSupported   stable PromQL that the embedded engine leaves out
    │   ├── QueryTimeout       the query ran out of time (503)
    │   └── QueryCanceled      the asker went away (499)
    ├── StoreError
    │   ├── StoreLocked        another process writes to this file
    │   ├── StoreCorrupt       the file, or a part of it, cannot be read
    │   ├── StoreFull          the disk is full
    │   └── StoreReadOnly      the file, or its folder, cannot be written to
    └── BackendError           a Prometheus-compatible server did not answer, or not well

Recording never lets any of these reach the host: see ``record/guard.py``.
"""

from __future__ import annotations


class AgentgaugeError(Exception):
    """Root of all exceptions of this package."""


class ConfigError(AgentgaugeError):
    """Report a setting that is unknown, of the wrong type or out of range."""


class PortInUse(AgentgaugeError):
    """Report that the metrics port is taken and no search was allowed.

    Attributes:
        host: the address that was asked for.
        port: the port that is taken.
    """

    def __init__(self, host: str, port: int, message: str) -> None:
        super().__init__(message)
        self.host = host
        self.port = port


class NotInstalled(AgentgaugeError):
    """Report a library that a feature needs and that is missing or too old.

    Attributes:
        library: its name on PyPI.
    """

    def __init__(self, library: str, message: str) -> None:
        super().__init__(message)
        self.library = library


class ParseError(AgentgaugeError):
    """Report exposition text that is not what its format allows.

    Attributes:
        line: 1-based number of the offending line; 0 when it concerns the whole text.
    """

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.line = line


class QueryError(AgentgaugeError):
    """Root of what can go wrong with a query; ``error_type`` is the HTTP API's word for it."""

    error_type = "internal"


class BadQuery(QueryError):
    """Report text that is not PromQL, or a parameter that cannot be used."""

    error_type = "bad_data"


class ExecutionError(QueryError):
    """Report a valid query that cannot be answered from this data or within the limits."""

    error_type = "execution"


class NotSupported(ExecutionError):
    """Report PromQL that Prometheus answers and the embedded engine does not."""


class QueryTimeout(QueryError):
    """Report a query that ran out of time while waiting or evaluating."""

    error_type = "timeout"


class QueryCanceled(QueryError):
    """Report a query whose asker went away."""

    error_type = "canceled"


class StoreError(AgentgaugeError):
    """Root of what can go wrong with the store's file."""


class StoreLocked(StoreError):
    """Report that another process writes to this file.

    Attributes:
        pid: the process that holds it; 0 when unknown.
    """

    def __init__(self, message: str, pid: int = 0) -> None:
        super().__init__(message)
        self.pid = pid


class StoreCorrupt(StoreError):
    """Report a file, or a part of it, that cannot be read."""


class StoreReadOnly(StoreError):
    """Report that the file, or the folder it is in, cannot be written to; what it holds can still be read."""


class StoreFull(StoreError):
    """Report a disk without room for the next row."""


class BackendError(AgentgaugeError):
    """Report a Prometheus-compatible server that did not answer, or not well.

    Attributes:
        url: the server's address.
    """

    def __init__(self, url: str, message: str) -> None:
        super().__init__(message)
        self.url = url
