"""Where workers must wait for one another: the vectors shared with the page, and any program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webrt.runtime.waits import Range, waits

VECTORS = json.loads((Path(__file__).parent / "vectors" / "waits.json").read_text())
RANGES = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 8)).map(lambda r: (r[0], r[0] + r[1])), max_size=3
)


@pytest.mark.parametrize("case", VECTORS, ids=lambda c: c["name"])
def test_vectors(case: dict[str, list[list[list[Range]]]]) -> None:
    steps = [(reads, writes) for reads, writes in case["steps"]]
    assert waits(steps) == case["waits"]


def meet(some: list[Range], others: list[Range]) -> bool:
    return any(set(range(*a)) & set(range(*b)) for a in some for b in others)


@given(st.lists(st.tuples(RANGES, RANGES), max_size=8))
def test_steps_that_touch_the_same_bytes_are_kept_apart(
    steps: list[tuple[list[Range], list[Range]]],
) -> None:
    """Between a step and an earlier one that it depends on, somebody waits; nobody needs less."""
    marks = waits(steps)
    for later, (reads, writes) in enumerate(steps):
        depends = False
        for earlier, (read, written) in enumerate(steps[:later]):
            if meet(reads, written) or meet(writes, written) or meet(writes, read):
                assert any(marks[earlier + 1 : later + 1])
                depends = depends or not any(marks[earlier + 1 : later])
        assert marks[later] is depends
