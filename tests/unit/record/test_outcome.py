"""Promises of ``record/outcome.py``."""

from __future__ import annotations

import asyncio
import concurrent.futures
import socket

import httpx
import pytest

from agentgauge.record.outcome import ending, error_type


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TimeoutError(), "timeout"),
        (asyncio.TimeoutError(), "timeout"),
        (socket.timeout(), "timeout"),  # noqa: UP041 -- the old name is what is tested
        (concurrent.futures.TimeoutError(), "timeout"),
        (httpx.ReadTimeout("slow"), "timeout"),
        (asyncio.CancelledError(), "cancelled"),
        (concurrent.futures.CancelledError(), "cancelled"),
        (GeneratorExit(), "cancelled"),
        (KeyboardInterrupt(), "cancelled"),
        (ValueError("secret"), "failed"),
        (SystemExit(1), "failed"),
    ],
)
def test_ending(error: BaseException, expected: str) -> None:
    """Every exception is a timeout, a cancellation or a failure."""
    assert ending(error) == expected


def test_error_type_is_a_class_name() -> None:
    """An error type never holds the message."""
    assert error_type(ValueError("secret")) == "ValueError"
