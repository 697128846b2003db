"""Settings: text to values, each refused with its name and an example."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgauge.errors import ConfigError
from agentgauge.server.config import (
    Config,
    checked_interval_s,
    default_db,
    parse_duration_ms,
    parse_listen,
    parse_size_bytes,
    server_url,
)


@pytest.mark.parametrize(
    ("text", "ms"), [("5s", 5000), ("1h30m", 5_400_000), ("250ms", 250), ("15d", 1_296_000_000), ("0.5", 500)]
)
def test_durations_are_prometheus_or_seconds(text: str, ms: int) -> None:
    """Both forms of the HTTP API are taken."""
    assert parse_duration_ms(text, "--x") == ms


@pytest.mark.parametrize("text", ["", "0", "-1", "5", "nan", "inf", "1x", "m5", "0s", "9999999999999y"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """The message names the setting; a bare number of seconds is a duration."""
    if text == "5":
        assert parse_duration_ms(text, "--x") == 5000
        return
    with pytest.raises(ConfigError, match="--x"):
        parse_duration_ms(text, "--x")


@given(st.text(max_size=20))
def test_no_text_breaks_the_parsers(text: str) -> None:
    """Any text gives a value or a ConfigError."""
    for parse in (
        lambda: parse_duration_ms(text, "a"),
        lambda: parse_size_bytes(text, "a"),
        lambda: parse_listen(text),
    ):
        with suppress(ConfigError):
            parse()


def test_addresses() -> None:
    """Host and port in every usual form; the URL is one that a browser opens."""
    assert parse_listen("9095") == ("127.0.0.1", 9095)
    assert parse_listen(":9095") == ("0.0.0.0", 9095)
    assert parse_listen("[::1]:1") == ("::1", 1)
    assert Config(host="0.0.0.0", port=1).url == "http://127.0.0.1:1"
    assert Config(host="::1", port=1).url == "http://[::1]:1"
    assert server_url({}) == "http://127.0.0.1:9095"
    assert server_url({"AGENTGAUGE_LISTEN": "7"}) == "http://127.0.0.1:7"
    for wrong in ("", "x", "h:99999", "h:-1", "h:٣"):
        with pytest.raises(ConfigError):
            parse_listen(wrong)


def test_sizes_intervals_and_the_data_file() -> None:
    """Units are powers of 1024; an interval has bounds; the file lies in the user's data folder."""
    assert [parse_size_bytes(text, "x") for text in ("0", "1KB", "2GiB", "1.5M")] == [0, 1024, 2 << 30, 1_572_864]
    assert checked_interval_s("500ms") == 0.5
    for wrong in ("10ms", "2h"):
        with pytest.raises(ConfigError):
            checked_interval_s(wrong)
    assert default_db({"XDG_DATA_HOME": "/d"}) == Path("/d/agentgauge/metrics.db")
    assert default_db({"HOME": "/h"}) == Path("/h/.local/share/agentgauge/metrics.db")
