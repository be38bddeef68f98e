"""The sha256 of a pack's file, in blocks: a player hashes the first ones while others arrive.

Of a file of at most a block it is the file's own, as `sha256sum` prints it; of a larger one that of
its blocks' digests, one after the other. In the page: `web/sha256.js`.
"""

from __future__ import annotations

import hashlib

BLOCK_BYTES = 1 << 19


class FileHash:
    """The sha256 of what is given to `update`, part by part."""

    def __init__(self) -> None:
        self._digests = b""
        self._block = hashlib.sha256()
        self._room = BLOCK_BYTES

    def update(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while len(view):
            if not self._room:
                self._digests += self._block.digest()
                self._block, self._room = hashlib.sha256(), BLOCK_BYTES
            part = view[: self._room]
            self._block.update(part)
            self._room -= len(part)
            view = view[len(part) :]

    def hexdigest(self) -> str:
        if not self._digests:
            return self._block.hexdigest()
        return hashlib.sha256(self._digests + self._block.digest()).hexdigest()


def file_hash(data: bytes | memoryview) -> str:
    """The sha256 of a pack's file that holds `data`, in hex."""
    found = FileHash()
    found.update(data)
    return found.hexdigest()
