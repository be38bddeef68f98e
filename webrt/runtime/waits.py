"""Which steps of a program must wait for the steps before them.

Workers take a program's steps without waiting for one another, but for the steps marked here.
`tests/vectors/waits.json` holds this file and `web/waits.js` to the same answers.
"""

from __future__ import annotations

from collections.abc import Sequence

Range = tuple[int, int]
"""The first byte of memory and the end."""


def waits(steps: Sequence[tuple[Sequence[Range], Sequence[Range]]]) -> list[bool]:
    """For each step, given as what it reads and what it writes, whether it waits for all before.

    It does where it reads what a step since the last wait writes, or writes what one since then
    reads or writes.
    """
    marks: list[bool] = []
    read: list[Range] = []
    written: list[Range] = []
    for reads, writes in steps:
        must = _overlap(reads, written) or _overlap(writes, written) or _overlap(writes, read)
        if must:
            read, written = [], []
        read += reads
        written += writes
        marks.append(must)
    return marks


def _overlap(some: Sequence[Range], others: Sequence[Range]) -> bool:
    return any(a[0] < b[1] and b[0] < a[1] for a in some for b in others)
