"""The text form of dims and scalar expressions.

    1.5  -3  true  5_u32  inf_f16      literals: f32, i32, bool, and others with their type
    int(i0*384 + r0)                   a symbolic integer
    x1.f32[i0*384 + r0]                a load of operand 1 (x1.f32x4[…]: of four lanes)
    parts.f32[lane0]                   a load of workgroup memory
    p0.f32  sum.f32x4                  a named value
    a + b*c < d & e                    | ^ & then comparisons, then + - then * /; to the left
    max(a, b)  select(c, a, b)         other operations by name
    f16(x)                             a cast

Within a dim `(a // b)`, `(a % b)`, `min(a, b)` and `max(a, b)` are atoms, and so is `[x0.i32[i0]]`,
a value that is loaded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel.expr import (
    Call,
    Const,
    Expr,
    Index,
    Load,
    Ref,
    Value,
    children,
    lanes_of,
    own_dims,
)
from webrt.kernel.operations import (
    ARITHMETIC,
    BITS,
    BITWISE,
    COMPARISON,
    LOGICAL,
    OPS,
    PAIRS,
    UNARY,
    UNARY_FLOAT,
)
from webrt.kernel.text_tokens import TYPES, Tokens

INFIX = {
    "or": ("|", 1), "xor": ("^", 2), "and": ("&", 3),
    "lt": ("<", 4), "le": ("<=", 4), "gt": (">", 4), "ge": (">=", 4), "eq": ("==", 4),
    "ne": ("!=", 4), "add": ("+", 5), "sub": ("-", 5), "mul": ("*", 6), "div": ("/", 6),
}  # fmt: skip
"""Sign and precedence of the operations that are written between their operands."""

_SIGNS = {sign: (op, level) for op, (sign, level) in INFIX.items()}
_OPERAND = re.compile(r"x(0|[1-9][0-9]{0,3})")

MAX_TERMS = 256
"""The most terms of a sum, factors of a product or operations of one level that are parsed."""

MAX_HEIGHT = 300
"""The highest expression that is parsed, so that recursion over it is safe."""

_UNTYPED = (DType.F32, DType.I32, DType.BOOL)


def print_expr(expr: Expr) -> str:
    """One line, with the brackets that it needs."""
    return _print(expr, 0)


def _print(expr: Expr, level: int) -> str:
    """`expr` as an operand of an operation of precedence `level`."""
    match expr:
        case Const(value, dtype):
            return _print_const(value, dtype)
        case Index(dim):
            return f"int({dim})"
        case Load(memory, offset, dtype, lanes):
            name = memory if isinstance(memory, str) else f"x{memory}"
            return f"{name}.{_typed(dtype, lanes)}[{offset}]"
        case Ref(name, dtype, lanes):
            return f"{name}.{_typed(dtype, lanes)}"
        case Call(op, (left, right), _, _) if op in INFIX:
            sign, own = INFIX[op]
            first = own + 1 if own == 4 else own  # a < b < c would mislead
            text = f"{_print(left, first)} {sign} {_print(right, own + 1)}"
            return f"({text})" if own < level else text
        case Call(op, args, dtype, _):
            name = str(dtype) if op == "cast" else op
            return f"{name}({', '.join(_print(a, 0) for a in args)})"


def _print_const(value: float | int | bool, dtype: DType) -> str:
    if dtype is DType.BOOL:
        return "true" if value else "false"
    text = repr(float(value)) if dtype.is_float else repr(int(value))
    return text if dtype in _UNTYPED else f"{text}_{dtype}"


def _typed(dtype: DType, lanes: int) -> str:
    return str(dtype) if lanes == 1 else f"{dtype}x{lanes}"


def parse_expr(text: str) -> Expr:
    """The inverse of `print_expr`; raises ValueError for anything else, ill-typed text included."""
    with parsing():
        tokens = Tokens(text)
        expr = read_expr(tokens)
        tokens.end()
        check_height(expr)
    return expr


def parse_dim(text: str) -> Dim:
    """The inverse of `str` of a dim, loaded values included; raises ValueError."""
    with parsing():
        tokens = Tokens(text)
        dim = read_dim(tokens)
        tokens.end()
        check_height(Index(dim))
    return dim


@contextmanager
def parsing() -> Iterator[None]:
    """Text that nests deeper than the interpreter's stack is a ValueError like any other."""
    try:
        yield
    except RecursionError:
        raise ValueError("nested too deep") from None


def check_height(expr: Expr) -> None:
    """Raise ValueError for a tree too high for recursive functions; itself it doesn't recurse."""
    stack: list[tuple[Expr | Dim, int]] = [(expr, 1)]
    while stack:
        part, height = stack.pop()
        if height > MAX_HEIGHT:
            raise ValueError(f"an expression more than {MAX_HEIGHT} high")
        inner: list[Expr | Dim] = []
        if isinstance(part, dims.Symbolic):
            for monomial, _ in part.terms:
                for atom in monomial:
                    inner += [atom.expr] if isinstance(atom, Value) else atom.parts()
        elif not isinstance(part, int):
            inner += [*children(part), *own_dims(part)]
        stack += [(one, height + 1) for one in inner]


# Expressions


def read_expr(tokens: Tokens, level: int = 1) -> Expr:
    with tokens.nested():
        left = _read_operand(tokens)
        for _ in range(MAX_TERMS):
            op, own = _SIGNS.get(tokens.text, ("", 0))
            if tokens.kind != "mark" or own < level:
                return left
            tokens.take()
            left = checked_call(op, (left, read_expr(tokens, own + 1)))
    raise ValueError(f"more than {MAX_TERMS} operations in a row")


def _read_operand(tokens: Tokens) -> Expr:
    if tokens.kind == "number" or tokens.text == "-":
        return _read_const(tokens)
    if tokens.accept("("):
        inner = read_expr(tokens)
        tokens.expect(")")
        return inner
    name = tokens.name()
    if name in ("true", "false"):
        return Const(name == "true", DType.BOOL)
    if tokens.accept("."):
        return _read_reference(tokens, name)
    tokens.expect("(")
    if name == "int":
        index = Index(read_dim(tokens))
        tokens.expect(")")
        return index
    args = [read_expr(tokens)]
    while tokens.accept(","):
        args.append(read_expr(tokens))
    tokens.expect(")")
    if name in TYPES:
        if len(args) != 1:
            raise tokens.error(f"{name}() takes one operand")
        return Call("cast", tuple(args), TYPES[name], lanes_of(args[0]))
    return checked_call(name, tuple(args))


def _read_const(tokens: Tokens) -> Const:
    negative = tokens.accept("-")
    if tokens.kind != "number":
        raise tokens.error("expected a number")
    text, _, suffix = tokens.take().partition("_")
    whole = text.isdigit()
    dtype = TYPES[suffix] if suffix else DType.I32 if whole else DType.F32
    if dtype.is_float:
        number = float(text)
        if math.isinf(number) and text != "inf":
            raise ValueError(f"{text} is too large")
        return Const(-number if negative else number, dtype)
    if not whole or len(text) > 19:
        raise ValueError(f"{text} is no {dtype}")
    value = -int(text) if negative else int(text)
    bits = 8 * dtype.bytes
    low, high = (0, 1 << bits) if str(dtype)[0] == "u" else (-(1 << bits - 1), 1 << bits - 1)
    if not low <= value < high:
        raise ValueError(f"{value} is no {dtype}")
    return Const(value, dtype)


def _read_reference(tokens: Tokens, name: str) -> Expr:
    dtype, lanes = tokens.dtype()
    if not tokens.accept("["):
        return Ref(name, dtype, lanes)
    offset = read_dim(tokens)
    tokens.expect("]")
    return Load(memory_of(name), offset, dtype, lanes)


def memory_of(name: str) -> int | str:
    """What a load or store names: `x3` is binding 3, any other name workgroup memory."""
    operand = _OPERAND.fullmatch(name)
    return int(operand[1]) if operand else name


def checked_call(op: str, args: tuple[Expr, ...]) -> Call:
    """A call with the type that follows from its operands; ValueError where they don't fit."""
    if op not in OPS or op == "cast":
        raise ValueError(f"not an operation: {op!r}")
    arity = 2 if op in ARITHMETIC | COMPARISON | LOGICAL | BITWISE else _ARITY.get(op, 1)
    if len(args) != arity:
        raise ValueError(f"{op} takes {arity} operands, found {len(args)}")
    types = [a.dtype for a in args]
    if op == "select":
        fits = types[0] is DType.BOOL and types[1] is types[2]
    else:
        fits = all(t is types[0] for t in types)
    if op in LOGICAL or op == "not":
        fits = fits and types[0] is DType.BOOL
    elif op in UNARY_FLOAT or op in ("is_nan", "is_inf", "fma"):
        fits = fits and types[0].is_float
    elif op in ARITHMETIC | UNARY or op == "sum4" or op in ("lt", "le", "gt", "ge"):
        fits = fits and types[0] is not DType.BOOL
    elif op in BITWISE:
        fits = fits and types[0] in (DType.I32, DType.U32)
    elif op in BITS:
        fits = fits and types[0] in (DType.F32, DType.I32, DType.U32)
    lanes = max(lanes_of(a) for a in args)
    if op in ("splat", "vec4"):
        fits = fits and lanes == 1
        lanes = 4
    elif op in ("lane0", "lane1", "lane2", "lane3", "sum4"):
        fits = fits and lanes == 4
        lanes = 1
    elif op in PAIRS:
        fits = fits and types[0] is DType.I32 and all(lanes_of(a) == 4 for a in args)
    if not fits:
        found = ", ".join(_typed(a.dtype, lanes_of(a)) for a in args)
        raise ValueError(f"{op} doesn't take {found}")
    boolean = op in COMPARISON or op in ("is_nan", "is_inf")
    kind = BITS.get(op, types[1 if op == "select" else 0])
    return Call(op, args, DType.BOOL if boolean else kind, lanes)


_ARITY = {"select": 3, "fma": 3, "vec4": 4, "pairs": 2, "dot2": 2}


# Dims


def read_dim(tokens: Tokens) -> Dim:
    with tokens.nested():
        return _read_sum(tokens, _read_term(tokens))


def _read_sum(tokens: Tokens, first: Dim) -> Dim:
    """The rest of a sum after its first term; brought to its normal form once."""
    parts = [first]
    for _ in range(MAX_TERMS):
        if tokens.accept("+"):
            parts.append(_read_term(tokens))
        elif tokens.accept("-"):
            parts.append(_read_term(tokens) * -1)
        else:
            return first if len(parts) == 1 else dims.total(parts)
    raise ValueError(f"more than {MAX_TERMS} terms in a dim")


def _read_term(tokens: Tokens) -> Dim:
    """A product, with its sign; at most one factor is a sum, so that nothing is multiplied out."""
    sign = -1 if tokens.accept("-") else 1
    result = _read_factor(tokens)
    for _ in range(16):
        if not tokens.accept("*"):
            return result * sign
        factor = _read_factor(tokens)
        if _is_sum(result) and _is_sum(factor):
            raise tokens.error("a product of sums isn't written so")
        result = result * factor
    raise ValueError("more than 16 factors in a dim")


def _is_sum(dim: Dim) -> bool:
    return not isinstance(dim, int) and len(dim.terms) > 1


def _read_factor(tokens: Tokens) -> Dim:
    if tokens.kind == "number":
        return tokens.integer()
    if tokens.accept("["):
        expr = read_expr(tokens)
        tokens.expect("]")
        if expr.dtype is not DType.I32 or lanes_of(expr) != 1:
            raise tokens.error("a value in a dim is one i32")
        return dims.atom_dim(Value(expr))
    if tokens.accept("("):
        return _read_brackets(tokens)
    name = tokens.name()
    if name not in ("min", "max"):
        return dims.symbol(name)
    tokens.expect("(")
    left = read_dim(tokens)
    tokens.expect(",")
    right = read_dim(tokens)
    tokens.expect(")")
    return dims.atom_dim(dims.Operation(name, left, right))


def _read_brackets(tokens: Tokens) -> Dim:
    """What follows an opening bracket: a division, a modulo or any dim.

    An operation is built as it stands, not simplified, so that it is read as it was printed.
    """
    with tokens.nested():
        left = _read_term(tokens)
        if tokens.text in ("//", "%"):
            op = tokens.take()
            right = (-1 if tokens.accept("-") else 1) * _read_factor(tokens)
            if isinstance(right, int) and right <= 0:
                raise tokens.error(f"{op} by {right}")
            left = dims.atom_dim(dims.Operation(op, left, right))
        else:
            left = _read_sum(tokens, left)
        tokens.expect(")")
        return left
