"""An allocator of addresses: first fit in a list of free ranges, which grow together again."""

from __future__ import annotations

from bisect import insort


class HeapFullError(Exception):
    """No room is left below the limit."""


class Heap:
    """Ranges of the addresses `start` … `limit`, aligned as `start` is to `alignment` bytes.

    `end` is the end of the last range in use, `peak` the largest `end` there ever was: what lies
    beyond it was never handed out.
    """

    def __init__(self, start: int, limit: int, alignment: int = 256) -> None:
        self._limit = limit
        self._alignment = alignment
        self._sizes: dict[int, int] = {}
        self._free: list[tuple[int, int]] = []  # start and end, by address, never adjacent
        self.end = start
        self.peak = start

    def allocate(self, size: int) -> int:
        """The address of `size` bytes; raises HeapFullError."""
        size = -(-max(size, 1) // self._alignment) * self._alignment
        for index, (start, end) in enumerate(self._free):
            if end - start >= size:
                self._free[index : index + 1] = [(start + size, end)] if end - start > size else []
                self._sizes[start] = size
                return start
        if self.end + size > self._limit:
            raise HeapFullError
        start = self.end
        self.end = start + size
        self.peak = max(self.peak, self.end)
        self._sizes[start] = size
        return start

    def free(self, address: int) -> None:
        """Give back what `allocate` returned."""
        start, end = address, address + self._sizes.pop(address)
        for other in [r for r in self._free if r[1] == start or r[0] == end]:
            self._free.remove(other)
            start, end = min(start, other[0]), max(end, other[1])
        if end == self.end:
            self.end = start
        else:
            insort(self._free, (start, end))
