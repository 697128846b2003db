"""A backend by its address."""

from __future__ import annotations

import os
from collections.abc import Mapping

from agentgauge.backends.backend import Backend
from agentgauge.backends.embedded import EmbeddedBackend
from agentgauge.backends.http import HttpBackend
from agentgauge.database import Database
from agentgauge.errors import ConfigError
from agentgauge.promql.engine import Options

HEADERS_VARIABLE = "AGENTGAUGE_BACKEND_HEADERS"
"""Headers for HTTP backends, one per line or comma: ``X-Scope-OrgID: team``; kept out of the process list."""


def backend_from_url(text: str, environ: Mapping[str, str] | None = None, *, options: Options | None = None) -> Backend:
    """Return the backend that an address names.

    ``http://…`` and ``https://…`` are Prometheus-compatible servers, user and password in the URL; ``file:PATH`` or a
    path is a database file, read only, evaluated with ``options``. Closing the backend closes the file.

    Raises:
        ConfigError: the text is no address.
        StoreError: the file cannot be read.
    """
    if text.startswith(("http://", "https://")):
        environ = os.environ if environ is None else environ
        return HttpBackend(text, headers=headers_from_text(environ.get(HEADERS_VARIABLE, "")))
    if "://" in text and not text.startswith("file://"):
        raise ConfigError(f"{text!r}: only http://, https:// and files can be asked")
    path = text.removeprefix("file://").removeprefix("file:")
    if not path:
        raise ConfigError("an empty address; give a URL or the path of a database file")
    return EmbeddedBackend(Database.open(path, options=options, read_only=True), owns_database=True)


def headers_from_text(text: str) -> dict[str, str]:
    """Read ``Name: value`` pairs, separated by newlines or commas.

    Raises:
        ConfigError: a part without a colon.
    """
    headers = {}
    for part in text.replace("\n", ",").split(","):
        name, colon, value = part.partition(":")
        if not part.strip():
            continue
        if not colon or not name.strip():
            raise ConfigError(
                f"{HEADERS_VARIABLE} wants 'Name: value' pairs, not {len(part)} characters without a colon"
            )
        headers[name.strip()] = value.strip()
    return headers
