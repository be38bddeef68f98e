"""Dims as text and as JSON, both ways."""

from __future__ import annotations

import ast
from typing import Union

from webrt.dims.algebra import (
    OPERATIONS,
    Dim,
    Operation,
    Symbol,
    floor_div,
    modulo,
    symbol,
)

Json = Union[int, str, list["Json"]]
"""A dim as JSON, see `to_json`."""


def parse(text: str) -> Dim:
    """The inverse of `str`; raises ValueError for anything else than dims arithmetic."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise ValueError(f"not a dim: {text!r}") from error
    return _from_ast(tree.body)


def _from_ast(node: ast.expr) -> Dim:
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            return value
        case ast.Name(id=name):
            return symbol(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_from_ast(operand)
        case ast.BinOp(left=left, op=operator, right=right):
            a, b = _from_ast(left), _from_ast(right)
            match operator:
                case ast.Add():
                    return a + b
                case ast.Sub():
                    return a - b
                case ast.Mult():
                    return a * b
                case ast.FloorDiv():
                    return floor_div(a, b)
                case ast.Mod():
                    return modulo(a, b)
        case ast.Call(func=ast.Name(id=("min" | "max") as name), args=[left, right]):
            return OPERATIONS[name](_from_ast(left), _from_ast(right))
    raise ValueError(f"not a dim: {ast.unparse(node)!r}")


def to_json(dim: Dim) -> Json:
    """Prefix form: an int, a symbol's name, or `[op, operand, …]` with op of `+ * // % min max`."""
    if isinstance(dim, int):
        return dim
    terms: list[Json] = []
    for atoms, coefficient in dim.terms:
        factors: list[Json] = [] if coefficient == 1 and atoms else [coefficient]
        for atom in atoms:
            if isinstance(atom, Symbol):
                factors.append(atom.name)
            elif isinstance(atom, Operation):
                factors.append([atom.op, to_json(atom.left), to_json(atom.right)])
            else:
                raise ValueError(f"{atom} has no JSON form")
        terms.append(factors[0] if len(factors) == 1 else ["*", *factors])
    return terms[0] if len(terms) == 1 else ["+", *terms]


def from_json(data: object) -> Dim:
    """The inverse of `to_json`; raises ValueError for malformed data."""
    if isinstance(data, int) and not isinstance(data, bool):
        return data
    if isinstance(data, str):
        if not data.isidentifier():
            raise ValueError(f"not a symbol: {data!r}")
        return symbol(data)
    if isinstance(data, list) and len(data) >= 3 and isinstance(data[0], str):
        operands = [from_json(part) for part in data[1:]]
        if data[0] in ("+", "*"):
            result = operands[0]
            for operand in operands[1:]:
                result = result + operand if data[0] == "+" else result * operand
            return result
        if data[0] in OPERATIONS and len(operands) == 2:
            return OPERATIONS[data[0]](operands[0], operands[1])
    raise ValueError(f"not a dim: {data!r}")
