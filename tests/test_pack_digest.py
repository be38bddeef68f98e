"""The hash of a pack's file: of one block its own, of more that of their digests."""

from __future__ import annotations

import hashlib

import pytest

from webrt.pack.digest import BLOCK_BYTES, FileHash, file_hash


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES])
def test_a_file_of_one_block_has_its_own_hash(size: int) -> None:
    data = bytes(size)
    assert file_hash(data) == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", [BLOCK_BYTES + 1, 2 * BLOCK_BYTES, 5 * BLOCK_BYTES // 2])
@pytest.mark.parametrize("step", [999_983, 3 << 20])
def test_a_larger_file_has_that_of_its_blocks(size: int, step: int) -> None:
    data = memoryview(b"0123456789" * (size // 10 + 1))[:size]
    blocks = [data[at : at + BLOCK_BYTES] for at in range(0, size, BLOCK_BYTES)]
    digests = b"".join(hashlib.sha256(block).digest() for block in blocks)
    found = FileHash()
    for at in range(0, size, step):
        found.update(data[at : at + step])
    assert found.hexdigest() == file_hash(data) == hashlib.sha256(digests).hexdigest()
