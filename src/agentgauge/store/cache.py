"""Decoded chunks that were used lately, bounded by bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict

from agentgauge.store.chunk import DenseChunk, RaggedChunk

Decoded = DenseChunk | RaggedChunk


class ChunkCache:
    """Chunk id → decoded chunk, least recently used out first. Ids are never given twice. Thread-safe."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.size_bytes = 0
        self._chunks: OrderedDict[int, Decoded] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, chunk_id: int) -> Decoded | None:
        """Return a chunk if it is here."""
        with self._lock:
            found = self._chunks.get(chunk_id)
            if found is not None:
                self._chunks.move_to_end(chunk_id)
            return found

    def put(self, chunk_id: int, chunk: Decoded) -> None:
        """Keep a chunk; one that would push out more than a quarter of the rest is not kept."""
        size = chunk.size_bytes()
        if size * 4 > self.max_bytes:
            return
        with self._lock:
            if chunk_id in self._chunks:
                return
            self._chunks[chunk_id] = chunk
            self.size_bytes += size
            while self.size_bytes > self.max_bytes:
                _, old = self._chunks.popitem(last=False)
                self.size_bytes -= old.size_bytes()
