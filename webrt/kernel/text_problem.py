"""The text form of problems: one line an operand, a pass, an expression or an output.

    reduce
      over i0 < s0, i1 < 12
      row r0 < s1
      in x0: f32[s0*s1*12]
      p0 = max of x0.f32[…]
      p1 = sum of exp(x0.f32[…] - p0.f32)
      each x1: f32[s0*s1*12] at i0*s1*12 + … = …

`in` is an operand (`constant`: a weight; `from -255 to 255` behind it: its span), `out` an output,
`each` one that is stored for every element of a row. A `contract` has lines `a` and `b`, an
`attention` has `query`, `key`, `value`, `score`, a `fold` has `start`, `stop`, `first`, `step`.
"""

from __future__ import annotations

from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel.check import check_problem
from webrt.kernel.expr import Expr, Index
from webrt.kernel.problem import (
    Attention,
    Contract,
    Fold,
    Map,
    Operand,
    Output,
    Pass,
    Problem,
    Reduce,
    expressions,
    extents,
)
from webrt.kernel.text_expr import check_height, parsing, print_expr, read_dim, read_expr
from webrt.kernel.text_tokens import Tokens

MAX_PROBLEM_TEXT = 1 << 16
"""The longest problem that is parsed: packs are untrusted, and no model's comes near."""

_PARTS = {
    "contract": ("a", "b"),
    "attention": ("query", "key", "value", "score"),
    "fold": ("start", "stop", "first", "step"),
}
_FIXED = {"contract": ("m", "n", "k"), "attention": ("q", "t", "d", "e"), "fold": ("t",)}


def print_problem(problem: Problem) -> str:
    """Several lines, ending with a newline; `parse_problem` is the inverse."""
    family = type(problem).__name__.lower()
    space = extents(problem)
    over = ", ".join(f"{n} < {d}" for n, d in space.items() if family != "reduce" or n[0] != "r")
    lines = [family, f"  over {over}".rstrip()]
    if isinstance(problem, Reduce):
        lines.append(f"  row {', '.join(f'{n} < {d}' for n, d in space.items() if n[0] == 'r')}")
    for j, operand in enumerate(problem.operands):
        constant = "constant " if operand.constant else ""
        span = "" if operand.span is None else " from {} to {}".format(*operand.span)
        lines.append(f"  in x{j}: {constant}{operand.dtype}[{operand.size}]{span}")
    match problem:
        case Reduce(passes=passes):
            for j, one in enumerate(passes):
                lines.append(f"  p{j} = {one.combine} of {print_expr(one.expr)}")
        case Contract() | Attention() | Fold():
            for part, expr in zip(_PARTS[family], expressions(problem), strict=False):
                lines.append(f"  {part} = {print_expr(expr)}")
    for j, output in enumerate(problem.outputs, len(problem.operands)):
        kind = "each" if output.each else "out"
        place = f"x{j}: {output.dtype}[{output.size}] at {output.offset}"
        lines.append(f"  {kind} {place} = {print_expr(output.expr)}")
    return "\n".join(line.rstrip() for line in lines) + "\n"


def parse_problem(text: str) -> Problem:
    """The problem that `text` prints; raises ValueError, also where it means nothing."""
    if len(text) > MAX_PROBLEM_TEXT:
        raise ValueError(f"a problem of {len(text)} characters is too long")
    with parsing():
        reader = _Reader()
        lines = [line for line in text.split("\n") if line.strip()]
        if not lines or lines[0] not in ("map", "reduce", *_PARTS):
            raise ValueError(f"not a problem: {text[:40]!r}")
        for line in lines[1:]:
            reader.line(Tokens(line))
        problem = reader.problem(lines[0])
    check_problem(problem)
    return problem


class _Reader:
    """What the lines of a problem have said so far."""

    def __init__(self) -> None:
        self.indices: list[tuple[str, Dim]] = []
        self.row: list[tuple[str, Dim]] = []
        self.operands: list[Operand] = []
        self.outputs: list[Output] = []
        self.passes: list[Pass] = []
        self.parts: dict[str, Expr] = {}

    def line(self, tokens: Tokens) -> None:
        word = tokens.name()
        match word:
            case "over" | "row" if tokens.kind != "mark":
                (self.row if word == "row" else self.indices).extend(_read_extents(tokens))
            case "in" if not self.outputs:
                self._read_name(tokens)
                constant = tokens.accept("constant")
                dtype, size = _read_tensor(tokens)
                span = _read_span(tokens) if tokens.accept("from") else None
                self.operands.append(Operand(dtype, size, constant, span))
            case "out" | "each":
                self._read_name(tokens)
                dtype, size = _read_tensor(tokens)
                tokens.expect("at")
                offset = read_dim(tokens)
                tokens.expect("=")
                expr = _read_checked(tokens)
                check_height(Index(offset))
                self.outputs.append(Output(dtype, size, offset, expr, word == "each"))
            case _:
                tokens.expect("=")
                if word == f"p{len(self.passes)}":
                    combine = tokens.name()
                    tokens.expect("of")
                    self.passes.append(Pass(combine, _read_checked(tokens)))
                elif word in self.parts or word[1:].isdigit():
                    raise ValueError(f"no line {word} where p{len(self.passes)} may follow")
                else:
                    self.parts[word] = _read_checked(tokens)
        tokens.end()

    def _read_name(self, tokens: Tokens) -> None:
        name = f"x{len(self.operands) + len(self.outputs)}"
        tokens.expect(name)
        tokens.expect(":")

    def problem(self, family: str) -> Problem:
        if tuple(self.parts) != _PARTS.get(family, ()):
            raise ValueError(f"a {family} has no lines {', '.join(self.parts) or 'of its own'}")
        if (self.row or self.passes) and family != "reduce":
            raise ValueError(f"a {family} has no rows")
        operands, outputs = tuple(self.operands), tuple(self.outputs)
        parts = self.parts
        if family == "map":
            return Map(_extents(self.indices, "i", ()), operands, outputs)
        if family == "reduce":
            axes, row = _extents(self.indices, "i", ()), _extents(self.row, "r", ())
            return Reduce(axes, row, operands, tuple(self.passes), outputs)
        fixed = _FIXED[family]
        space = _extents(self.indices, "i" if family == "fold" else "b", fixed)
        batch, rest = space[: len(space) - len(fixed)], space[len(space) - len(fixed) :]
        if family == "contract":
            m, n, k = rest
            return Contract(batch, m, n, k, operands, parts["a"], parts["b"], outputs)
        if family == "fold":
            start, stop, first, step = (parts[p] for p in _PARTS[family])
            return Fold(batch, rest[0], operands, start, stop, first, step, outputs)
        q, t, d, e = rest
        query, key, value, score = (parts[p] for p in _PARTS[family])
        return Attention(batch, q, t, d, e, operands, query, key, value, score, outputs)


def _read_extents(tokens: Tokens) -> list[tuple[str, Dim]]:
    """`i0 < s0, i1 < 12`, or nothing."""
    found: list[tuple[str, Dim]] = []
    while tokens.kind != "end":
        if found:
            tokens.expect(",")
        name = tokens.name()
        tokens.expect("<")
        found.append((name, read_dim(tokens)))
    return found


def _extents(named: list[tuple[str, Dim]], prefix: str, fixed: tuple[str, ...]) -> tuple[Dim, ...]:
    """The extents in `named`, whose names must be prefix0, prefix1 … and then `fixed`."""
    count = len(named) - len(fixed)
    expected = [*(f"{prefix}{j}" for j in range(count)), *fixed]
    if [name for name, _ in named] != expected:
        raise ValueError(f"indices {', '.join(n for n, _ in named)}: expected {prefix}0 … {fixed}")
    return tuple(extent for _, extent in named)


def _read_tensor(tokens: Tokens) -> tuple[DType, Dim]:
    dtype, lanes = tokens.dtype()
    if lanes != 1:
        raise tokens.error("a tensor has elements of one lane")
    tokens.expect("[")
    size = read_dim(tokens)
    tokens.expect("]")
    return dtype, size


def _read_span(tokens: Tokens) -> tuple[int, int]:
    """What follows `from`: `-255 to 255`."""
    low = tokens.integer()
    tokens.expect("to")
    return low, tokens.integer()


def _read_checked(tokens: Tokens) -> Expr:
    expr = read_expr(tokens)
    check_height(expr)
    return expr
