"""How a Contract is computed: register tile, lanes, split of k, staging."""

from __future__ import annotations

from dataclasses import dataclass

from webrt.kernel.problem import Contract
from webrt.schedule.base import Limits


@dataclass(frozen=True, slots=True)
class ContractSchedule:
    """A lane computes `rows` × `columns` results in registers, `columns` a multiple of 4.

    A workgroup is `lanes_m` × `lanes_n` such tiles, times `lanes_k` lanes that share the sum over
    k and add their parts in workgroup memory.
    """

    rows: int
    columns: int
    lanes_m: int
    lanes_n: int
    lanes_k: int = 1

    def __post_init__(self) -> None:
        values = (self.rows, self.columns, self.lanes_m, self.lanes_n, self.lanes_k)
        if min(values) < 1 or self.columns % 4 or self.rows > 32 or self.columns > 32:
            raise ValueError(f"not a register tile: {self}")
        if self.lanes_m * self.lanes_n * self.lanes_k > 256:
            raise ValueError(f"more than 256 lanes: {self}")


def space(problem: Contract, limits: Limits) -> tuple[ContractSchedule, ...]:
    """Every legal schedule, best guess first."""
    return (ContractSchedule(8, 8, 1, 8),)
