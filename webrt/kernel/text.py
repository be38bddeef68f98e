"""The text form of scalar expressions, read first by maintainers; `parse_expr(print_expr(x)) ==
x`."""

from __future__ import annotations

from webrt.dtypes import DType
from webrt.kernel.expr import Call, Const, Expr, Index, Load, Ref

_INFIX = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
    "eq": "==", "ne": "!=", "and": "&", "or": "|", "xor": "^",
}  # fmt: skip


def print_expr(expr: Expr) -> str:
    """One line; operands are `x0`, `x1` …, a four-lane value carries `:4`."""
    match expr:
        case Const(value, dtype):
            text = repr(value)
            return text if dtype in (DType.F32, DType.I32, DType.BOOL) else f"{dtype}({text})"
        case Index(dim):
            return f"int({dim})"
        case Load(memory, offset, dtype, lanes):
            name = memory if isinstance(memory, str) else f"x{memory}"
            return f"{name}.{dtype}{'x4' if lanes == 4 else ''}[{offset}]"
        case Ref(name, dtype, lanes):
            return f"{name}.{dtype}{'x4' if lanes == 4 else ''}"
        case Call(op, args, dtype, _):
            texts = [print_expr(a) for a in args]
            if op in _INFIX:
                return f"({texts[0]} {_INFIX[op]} {texts[1]})"
            return f"{dtype if op == 'cast' else op}({', '.join(texts)})"
