"""Snappy's block format, which remote write bodies come in: the one place that knows cramjam."""

from __future__ import annotations

import cramjam

from agentgauge.errors import ParseError

MAX_UNPACKED_BYTES = 128 << 20


def packed(body: bytes) -> bytes:
    """Compress a body."""
    return bytes(cramjam.snappy.compress_raw(body))


def unpacked(body: bytes) -> bytes:
    """Undo it; how long it becomes is checked before anything is unpacked.

    Raises:
        ParseError: the bytes are no snappy block, or one of more than ``MAX_UNPACKED_BYTES``.
    """
    try:
        size = cramjam.snappy.decompress_raw_len(body)
        if size > MAX_UNPACKED_BYTES:
            raise ParseError(f"a request of {size:,} bytes is more than the limit of {MAX_UNPACKED_BYTES:,}")
        return bytes(cramjam.snappy.decompress_raw(body))
    except (cramjam.DecompressionError, ValueError) as error:
        raise ParseError(f"the body is not compressed with snappy: {error}") from None
