"""The allocator of a wasm memory: no two ranges meet, what is free is found again."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webrt.runtime.heap import Heap, HeapFullError

START, LIMIT = 1 << 16, (1 << 16) + 64 * 256


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5000)), max_size=60))
def test_ranges_never_meet(orders: list[tuple[bool, int]]) -> None:
    heap = Heap(START, LIMIT)
    held: dict[int, int] = {}
    for is_free, number in orders:
        if is_free and held:
            address = sorted(held)[number % len(held)]
            heap.free(address)
            del held[address]
            continue
        try:
            address = heap.allocate(number)
        except HeapFullError:
            ends = sorted([(START, START), *((a, a + s) for a, s in held.items()), (LIMIT, LIMIT)])
            gaps = [b[0] - -(-a[1] // 256) * 256 for a, b in itertools.pairwise(ends)]
            assert max(gaps) < max(number, 1)
            continue
        assert address >= START
        assert address + number <= LIMIT
        assert address % 256 == 0
        assert all(
            address + max(number, 1) <= a or a + max(s, 1) <= address for a, s in held.items()
        )
        held[address] = number
        assert heap.end >= address + number
        assert heap.peak >= heap.end
    for address in held:
        heap.free(address)
    assert heap.end == START
    assert heap.allocate(64 * 256) == START


def test_the_first_gap_that_fits() -> None:
    heap = Heap(START, LIMIT)
    first, second, third, fourth = (heap.allocate(256 * n) for n in (4, 1, 2, 1))
    heap.free(first)
    heap.free(third)
    assert heap.allocate(300) == first
    assert heap.allocate(500) == first + 512
    assert heap.allocate(512) == third
    heap.free(fourth)
    assert heap.end == third + 512
    assert second == first + 1024


def test_full() -> None:
    heap = Heap(START, LIMIT)
    with pytest.raises(HeapFullError):
        heap.allocate(64 * 256 + 1)
    address = heap.allocate(64 * 256)
    with pytest.raises(HeapFullError):
        heap.allocate(0)
    heap.free(address)
    assert heap.end == START
    assert heap.peak == LIMIT
