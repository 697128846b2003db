"""Which format a scraper gets: OpenMetrics 1.0 or text 0.0.4, by the weights it sends.

Prometheus 2.x asks for OpenMetrics first; 3.x adds ``escaping`` and ``text/plain;version=1.0.0``. All our names are
valid without escaping, so the two text versions are the same bytes.
Source: https://prometheus.io/docs/instrumenting/content_negotiation/ and RFC 9110, section 12.5.1.
"""

from __future__ import annotations

from dataclasses import dataclass

TEXT = "text/plain; version=0.0.4; charset=utf-8"
TEXT_1 = "text/plain; version=1.0.0; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
OPEN_METRICS_0 = "application/openmetrics-text; version=0.0.1; charset=utf-8"

_OFFERS = {
    ("application/openmetrics-text", "1.0.0"): OPEN_METRICS,
    ("application/openmetrics-text", "0.0.1"): OPEN_METRICS_0,
    ("application/openmetrics-text", ""): OPEN_METRICS,
    ("text/plain", "0.0.4"): TEXT,
    ("text/plain", "1.0.0"): TEXT_1,
    ("text/plain", ""): TEXT,
    ("text/*", ""): TEXT,
    ("*/*", ""): TEXT,
}


@dataclass(frozen=True, slots=True)
class Format:
    """What one scraper gets."""

    content_type: str

    @property
    def open_metrics(self) -> bool:
        """Tell whether it is OpenMetrics: exemplars, units, ``# EOF``."""
        return self.content_type.startswith("application/openmetrics-text")


def format_from_accept(accept: str) -> Format:
    """Return the offered format with the highest weight; the first named wins a tie; text when none fits."""
    best, best_weight = TEXT, 0.0
    for part in accept.split(","):
        media, parameters = _parse_media(part)
        offer = _OFFERS.get((media, parameters.get("version", "")))
        weight = _weight(parameters.get("q", "1"))
        if offer is not None and weight > best_weight:
            best, best_weight = offer, weight
            if "escaping" in parameters:
                best = f"{offer}; escaping=underscores"
    return Format(best)


def accepts_gzip(accept_encoding: str) -> bool:
    """Tell whether a client takes gzip."""
    star = False
    for part in accept_encoding.split(","):
        coding, parameters = _parse_media(part)
        if coding == "gzip":
            return _weight(parameters.get("q", "1")) > 0
        star = star or (coding == "*" and _weight(parameters.get("q", "1")) > 0)
    return star


def _parse_media(part: str) -> tuple[str, dict[str, str]]:
    media, *rest = (piece.strip() for piece in part.split(";"))
    parameters = {}
    for piece in rest:
        name, _, value = piece.partition("=")
        parameters[name.strip().lower()] = value.strip().strip('"')
    return media.lower(), parameters


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0
