"""Which format a scraper gets."""

from __future__ import annotations

import pytest

from agentgauge.expose.negotiation import OPEN_METRICS, TEXT, TEXT_1, accepts_gzip, format_from_accept

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROTOBUF_FIRST = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6," + PROMETHEUS_2
)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/html,*/*;q=0.8", TEXT),
        (PROMETHEUS_2, OPEN_METRICS),
        (PROTOBUF_FIRST, OPEN_METRICS),
        (PROMETHEUS_3, f"{OPEN_METRICS}; escaping=underscores"),
        ("application/openmetrics-text;q=0.5, text/plain;q=0.9", TEXT),
        ("text/plain;version=1.0.0", TEXT_1),
        ("application/openmetrics-text;version=9.9", TEXT),
        ("application/openmetrics-text;q=nonsense", TEXT),
        ("application/openmetrics-text;q=0", TEXT),
        (";;;,,,=", TEXT),
    ],
)
def test_the_highest_weight_that_we_offer_wins(accept, content_type):
    """The weights count, unknown versions and nonsense do not."""
    assert format_from_accept(accept).content_type == content_type


@pytest.mark.parametrize(
    ("accept_encoding", "taken"),
    [("", False), ("gzip", True), ("deflate, gzip;q=0.5", True), ("gzip;q=0", False), ("*", True), ("br", False)],
)
def test_gzip_only_where_taken(accept_encoding, taken):
    """A weight of zero means no."""
    assert accepts_gzip(accept_encoding) is taken
