"""A one-dimensional array that grows at its end in amortised constant time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Growing:
    """Numbers of one type; ``view()`` is what is there now.

    A view stays valid for its reader: growing may move to a new buffer, never shrinks one. Elements may be changed in
    place through it.
    """

    __slots__ = ("_buffer", "_n")

    def __init__(self, dtype: Any, initial: NDArray[Any] | None = None) -> None:
        self._buffer: NDArray[Any] = np.empty(0, dtype) if initial is None else np.array(initial, dtype)
        self._n = len(self._buffer)

    def __len__(self) -> int:
        return self._n

    def view(self) -> NDArray[Any]:
        """Return the elements, without a copy."""
        return self._buffer[: self._n]

    def append(self, value: int) -> None:
        """Add one element."""
        self._reserve(self._n + 1)
        self._buffer[self._n] = value
        self._n += 1

    def extend(self, values: Any) -> None:
        """Add many elements."""
        self._reserve(self._n + len(values))
        self._buffer[self._n : self._n + len(values)] = values
        self._n += len(values)

    def _reserve(self, n: int) -> None:
        if n > len(self._buffer):
            grown = np.empty(max(n, len(self._buffer) * 5 // 4, 8), self._buffer.dtype)
            grown[: self._n] = self._buffer[: self._n]
            self._buffer = grown
