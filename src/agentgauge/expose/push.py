"""One push: what a run counted, as a ``PUT`` that a Pushgateway and our server both take.

Its id and its times travel with it, so it may be sent again: our server adds it once, a Pushgateway replaces it by
itself. On the standard library alone; TLS is loaded only for ``https``.

Source: https://github.com/prometheus/pushgateway#api.
"""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias
from urllib.parse import quote, urlsplit

from agentgauge.errors import ConfigError
from agentgauge.expose.negotiation import TEXT

Outcome: TypeAlias = Literal["sent", "refused", "unanswered"]
"""refused: the server will never take it; unanswered: it may, later."""

_AGAIN = {408, 425, 429}


@dataclass(frozen=True, slots=True)
class Push:
    """A push, ready to be sent; ``url`` is the whole address, without credentials."""

    id: str
    url: str
    authorization: str
    start_ms: int
    end_ms: int
    text: str

    def to_json(self) -> str:
        """Write it as JSON."""
        return json.dumps(asdict(self))


def push_from_json(text: str) -> Push:
    """Read what ``to_json`` wrote; raises ValueError or TypeError for anything else."""
    return Push(**json.loads(text))


def push_address(url: str, job: str, grouping: Mapping[str, str]) -> tuple[str, str]:
    """Return the whole address of a group, and the Authorization header of credentials in the URL.

    Raises:
        ConfigError: not a http(s) URL, or a label that cannot stand in the address.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(f"push_url {url!r} is not http://HOST:PORT or https://…; for example http://127.0.0.1:9091")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    where = f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "") + parts.path.rstrip("/")
    authorization = ""
    if parts.username is not None:
        authorization = "Basic " + base64.b64encode(f"{parts.username}:{parts.password or ''}".encode()).decode()
    segments = []
    for name, value in {"job": job, **grouping}.items():
        if not name.isidentifier() or not name.isascii() or name.startswith("__") or not value:
            raise ConfigError(f"grouping {name!r}={value!r}: a label name and a value that is not empty are needed")
        # A slash would end the value, whether escaped or not: such values travel as base64.
        plain = "/" not in value
        coded = quote(value, safe="") if plain else base64.urlsafe_b64encode(value.encode()).decode()
        segments.append(f"{name}{'' if plain else '@base64'}/{coded}")
    return f"{where}/metrics/{'/'.join(segments)}", authorization


def send(push: Push, timeout_s: float) -> tuple[Outcome, str]:
    """Send it; return what came of it, and why. Never raises for what a network or a server does."""
    parts = urlsplit(push.url)
    make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = make(parts.hostname or "", parts.port, timeout=timeout_s)
    headers = {
        "Content-Type": TEXT,
        "X-Agentgauge-Push": push.id,
        "X-Agentgauge-Start-Ms": str(push.start_ms),
        "X-Agentgauge-End-Ms": str(push.end_ms),
    }
    if push.authorization:
        headers["Authorization"] = push.authorization
    try:
        connection.request("PUT", parts.path, push.text.encode(), headers)
        answer = connection.getresponse()
        reason = answer.read(500).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return "unanswered", f"{parts.netloc}: {error or type(error).__name__}"
    finally:
        connection.close()
    if answer.status < 300:
        return "sent", ""
    said = f"{parts.netloc} answered {answer.status}: {reason}"
    return ("refused" if 400 <= answer.status < 500 and answer.status not in _AGAIN else "unanswered"), said
