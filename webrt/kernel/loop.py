"""Loop IR: everything that a kernel does, so that a code generator is only a printer.

A kernel runs `grid` workgroups of `workgroup` lanes. Its symbols are `wg0 wg1 wg2` (the workgroup's
position in the grid), `lane0 lane1 lane2` (the lane's position in the workgroup), the model's
symbols (uniforms) and the names of `Let`s and `For`s: all of them may stand in any Dim of the
body. Register tiles are separate `Var`s with names of their own; there are no arrays but `Shared`
ones. On a CPU a workgroup is a range of the outermost parallel loop, and its lanes are vector
lanes or a serial loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel.expr import Expr

GRID = ("wg0", "wg1", "wg2")
LANES = ("lane0", "lane1", "lane2")


@dataclass(frozen=True, slots=True)
class Binding:
    """One buffer of a kernel: bind-group layout and declarations both come from this tuple.

    `dtype` is a storage type; `lanes` 4 binds it as vec4 (scalar accesses pick a component).
    Operand and output buffers live in one arena, so all but constants are bound read-write.
    """

    name: str
    dtype: DType
    lanes: int
    writable: bool


@dataclass(frozen=True, slots=True)
class Shared:
    """A workgroup array of `length` elements, each of `lanes` lanes."""

    name: str
    dtype: DType
    lanes: int
    length: int


@dataclass(frozen=True, slots=True)
class Let:
    """Name a value. An i32 one-lane `Let` is also a symbol that Dims may use."""

    name: str
    expr: Expr


@dataclass(frozen=True, slots=True)
class Var:
    """Declare a register, with its first value."""

    name: str
    expr: Expr


@dataclass(frozen=True, slots=True)
class Assign:
    """Set a register."""

    name: str
    expr: Expr


@dataclass(frozen=True, slots=True)
class Store:
    """Store 1 or 4 lanes at flat element `offset` of a binding (by position) or a `Shared`."""

    memory: int | str
    offset: Dim
    expr: Expr


@dataclass(frozen=True, slots=True)
class Barrier:
    """Every lane of the workgroup gets here before one goes on; its shared stores are seen."""


@dataclass(frozen=True, slots=True)
class For:
    """A serial loop: `name` = start, start + step, … below stop."""

    name: str
    start: Dim
    stop: Dim
    step: int
    body: tuple[Stmt, ...]


@dataclass(frozen=True, slots=True)
class If:
    """Run `body` where the bool `condition` holds, else `otherwise`."""

    condition: Expr
    body: tuple[Stmt, ...]
    otherwise: tuple[Stmt, ...] = ()


Stmt = Union[Let, Var, Assign, Store, Barrier, For, If]


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel in loop IR. Bindings are the problem's operands, in order, then its outputs."""

    name: str
    bindings: tuple[Binding, ...]
    symbols: tuple[str, ...]
    shared: tuple[Shared, ...]
    workgroup: tuple[int, int, int]
    grid: tuple[Dim, Dim, Dim]
    body: tuple[Stmt, ...]
