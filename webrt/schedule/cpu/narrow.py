"""Contracts whose weights have 8 bits or less: what their `b` is made of, and how panels hold it.

    b = (f32(field) - zero) * scale          a's elements are f32
    b = field - zero                         a's are integers that fit 16 bits

`field` is a few bits of a constant's word; `zero` and `scale` are the same for a column, or for a
column and a block of k. Both panels begin as [b…][n / columns]; a word of theirs holds

    f32       [k / fields][columns]          one column's fields at so many k
    integers  [k / 2][columns / 2]           bytes: two columns' at two k, k innermost
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.dtypes import DType
from webrt.kernel import ranges
from webrt.kernel.expr import (
    Call,
    Const,
    Expr,
    Load,
    Ref,
    Value,
    as_index,
    call,
    cast,
    free_symbols,
    loads,
    own_dims,
    walk,
)
from webrt.kernel.problem import Contract, extents
from webrt.kernel.ranges import Range

WORD = 32
STEP = 16
"""Values of k that every loop over packed rows divides, and so every block."""
FLUSH = 128
"""Values of k after which float sums are brought to scratch, their zero points taken off: sums of
fields above 0 are far larger than those of weights around it, and rounded accordingly."""

FEW = 8
"""Rows from which on float panels are unpacked to scratch, once for all of a unit's rows."""


@dataclass(frozen=True, slots=True)
class Narrow:
    """The parts of b. `block`: of how many k `zero` or `scale` is one, 0 for all of them."""

    load: Load
    field: Expr
    bits: int
    signed: bool
    zero: Expr | None
    scale: Expr | None
    block: int
    integer: bool

    @property
    def fields(self) -> int:
        """Values of k that a word of a panel holds for a column."""
        return 2 if self.integer else WORD // self.bits

    @property
    def width(self) -> int:
        """Bits of a field in a panel."""
        return 8 if self.integer else self.bits

    @property
    def step(self) -> int:
        """Values of k after which float sums go to scratch."""
        return self.block or FLUSH


@lru_cache(maxsize=256)
def narrow(problem: Contract) -> Narrow | None:
    """The parts of b where it is made so and its extents are literals, else None."""
    literal = all(isinstance(e, int) for e in (problem.n, problem.k))
    if not literal or problem.b.dtype not in (DType.F32, DType.I32):
        return None
    integer = problem.b.dtype is DType.I32
    if integer and not ranges.inside(_range_of(problem), ranges.PAIR):
        return None
    found = _parts(problem, integer)
    if found is None or not _is_weight(problem, found):
        return None
    return found


def _range_of(problem: Contract) -> Range:
    """What a's elements are within."""

    def leaf(e: Load | Ref) -> Range | None:
        return problem.operands[e.memory].span if isinstance(e, Load) else None  # type: ignore[index]

    return ranges.of(problem.a, leaf)


def _parts(problem: Contract, integer: bool) -> Narrow | None:
    scales: list[Expr] = []
    zeros: list[Expr] = []
    expr = problem.b
    while True:
        match expr:
            case Call("mul", (left, right), DType.F32):
                first = _has_field(problem, left)
                expr, other = (left, right) if first else (right, left)
                scales.append(other)
                if zeros:
                    return None
            case Call("sub", (left, right)) if left.dtype in (DType.F32, DType.I32):
                expr = left
                zeros.append(cast(right, problem.b.dtype))
            case Call("cast", (inner,)) if inner.dtype in (DType.I32, DType.U32):
                expr = inner
            case Call("shift_right", (_, Const(count))) if WORD - 8 <= count < WORD:
                break
            case _:
                return None
    bits = WORD - int(count)
    found = [e for e in loads(expr) if problem.operands[int(e.memory)].constant]
    least = 2 if integer else 4  # sixteen fields a word: their packer takes too long to be made
    if bits not in (2, 4, 8) or bits < least or len(found) != 1 or len(loads(expr)) != 1:
        return None
    block = _block(problem, [*scales, *zeros])
    if block is None or (block and integer):
        return None
    zero, scale = _folded("add", zeros), _folded("mul", scales)
    signed = expr.dtype is DType.I32
    return Narrow(found[0], expr, bits, signed, zero, scale, block, integer)


def _has_field(problem: Contract, expr: Expr) -> bool:
    return any(isinstance(e, Call) and e.op == "shift_right" for e in walk(expr))


def _folded(op: str, exprs: list[Expr]) -> Expr | None:
    total: Expr | None = None
    for expr in exprs:
        total = expr if total is None else call(op, total, expr)
    return total


def _is_weight(problem: Contract, found: Narrow) -> bool:
    """Whether b's words are read nowhere else, and by literal indices."""
    space = extents(problem)
    operand = problem.operands[int(found.load.memory)]
    if not isinstance(operand.size, int) or found.load.dtype not in (DType.I32, DType.U32):
        return False
    if any(isinstance(a, Value) for a in dims.atoms_of(found.load.offset)):
        return False
    names = free_symbols(found.field)
    if "m" in names or not all(isinstance(space.get(name), int) for name in names):
        return False
    parts = [e for e in (found.zero, found.scale) if e is not None]
    others = [problem.a, *parts, *(o.expr for o in problem.outputs)]
    return all(e.memory != found.load.memory for expr in others for e in loads(expr))


def _block(problem: Contract, exprs: list[Expr]) -> int | None:
    """Of how many k the expressions are one: 0 for all, None where that isn't told by `k // B`."""
    blocks: set[int] = set()

    def change(atom: dims.Atom) -> Dim | None:
        match atom:
            case dims.Operation("//", left, int(right)) if left == symbol("k"):
                blocks.add(right)
                return 0
        return None

    for expr in exprs:
        for e in walk(expr):
            if "m" in free_symbols(e):
                return None
            for dim in own_dims(e):
                if "k" in dims.free_symbols(dims.rebuild(dim, change)):
                    return None
    if not blocks:
        return 0
    (block, *more) = blocks
    return None if more or block % STEP else block


# Panels


def batches(problem: Contract, found: Narrow) -> list[int]:
    """The numbers of the batch indices that the weights depend on."""
    names = free_symbols(found.field)
    return [j for j in range(len(problem.batch)) if f"b{j}" in names]


def matrix(problem: Contract, found: Narrow) -> Dim:
    """The number of the matrix that a batch index stands for."""
    result: Dim = 0
    for j in batches(problem, found):
        result = result * problem.batch[j] + symbol(f"b{j}")
    return result


def shape(problem: Contract, found: Narrow, columns: int) -> tuple[int, int, int]:
    """Of one matrix: panels, rows of words in a panel, words in a row."""
    assert isinstance(problem.n, int)
    assert isinstance(problem.k, int)
    words = columns // 2 if found.integer else columns
    return -(-problem.n // columns), -(-problem.k // found.fields), words


def panelled(problem: Contract, found: Narrow, columns: int) -> Expr:
    """The field as it is read from panels."""
    panels, rows, words = shape(problem, found, columns)
    k, n = symbol("k"), symbol("n")
    column = dims.modulo(n, columns)
    place = dims.modulo(k, found.fields)
    if found.integer:
        place, column = place + dims.modulo(n, 2) * 2, dims.floor_div(column, 2)
    panel = matrix(problem, found) * panels + dims.floor_div(n, columns)
    offset = (panel * rows + dims.floor_div(k, found.fields)) * words + column
    word = Load(found.load.memory, offset, DType.I32)
    return field(word, place, found.width, found.integer and found.signed)


def field(word: Expr, place: Dim, bits: int, signed: bool) -> Expr:
    """Field number `place` of a word, as i32 or u32."""
    high = call("shift_left", word, as_index(place * -bits + (WORD - bits)))
    if signed:
        return call("shift_right", high, Const(WORD - bits, DType.I32))
    return call("shift_right", call("bits_u32", high), Const(WORD - bits, DType.U32))


def in_narrow_panels(problem: Contract, columns: int) -> Narrow | None:
    """The parts of b where panels of `columns` hold its fields: a problem that was repacked."""
    found = narrow(problem)
    if found is None or found.field != panelled(problem, found, columns):
        return None
    many = dims.product(tuple(problem.batch[j] for j in batches(problem, found)))
    size = dims.product((many, *shape(problem, found, columns)))
    return found if problem.operands[int(found.load.memory)].size == size else None
