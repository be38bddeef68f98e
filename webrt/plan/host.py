"""What host steps there are: how many tensors each reads and writes, which symbols it binds.

`runtime/host.py` computes them, and so does `web/host.js`; `tests/vectors/host.json` holds both to
the same results.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostOp:
    """`reads` and `writes` are counts (least, most); `binds` too, of symbols."""

    reads: tuple[int, int]
    writes: tuple[int, int]
    binds: tuple[int, int]
    options: tuple[str, ...] = ()


MAX_VALUES = 64
"""Elements of an integer tensor that become symbols."""

HOST_OPS: dict[str, HostOp] = {
    "values": HostOp((1, 1), (0, 0), (1, MAX_VALUES)),
    "nonzero": HostOp((1, 1), (1, 1), (1, 1)),
    "unique": HostOp((1, 1), (3, 3), (1, 1), ("axis", "sorted")),
    "nms": HostOp((2, 5), (1, 1), (1, 1), ("center",)),
}
