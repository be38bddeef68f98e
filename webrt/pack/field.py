"""One value of a manifest together with its path, so that every check can name what it refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from webrt import dims
from webrt.dims import Dim
from webrt.errors import PackError

MAX_INTEGER = (1 << 53) - 1
"""The largest integer that every JSON reader keeps exactly."""
MAX_DIM_DEPTH = 40
MAX_DIM_NODES = 1024


@dataclass(frozen=True, slots=True)
class Field:
    """`value` stands at `path` of `file`; each method returns it checked or raises PackError."""

    value: object
    path: str
    file: str

    def fail(self, message: str) -> PackError:
        place = f"{self.file}: {self.path}" if self.path else self.file
        return PackError(f"{place}: {message}")

    def expected(self, what: str) -> PackError:
        return self.fail(f"expected {what}, found {_show(self.value)}")

    def member(self, name: str) -> Field:
        if not isinstance(self.value, dict):
            raise self.expected("an object")
        path = f"{self.path}.{name}" if self.path else name
        if name not in self.value:
            raise Field(None, path, self.file).fail("is missing")
        return Field(self.value[name], path, self.file)

    def has(self, name: str) -> bool:
        return isinstance(self.value, dict) and name in self.value

    def items(self, least: int = 0, most: int = 1 << 20) -> list[Field]:
        if not isinstance(self.value, list):
            raise self.expected("a list")
        if not least <= len(self.value) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            raise self.fail(f"expected {wanted} items, found {len(self.value)}")
        return [Field(v, f"{self.path}[{i}]", self.file) for i, v in enumerate(self.value)]

    def integer(self, low: int = 0, high: int = MAX_INTEGER) -> int:
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            raise self.expected("an integer")
        if not low <= self.value <= high:
            raise self.expected(f"an integer from {low} to {high}")
        return self.value

    def boolean(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.expected("true or false")
        return self.value

    def text(self, most: int, least: int = 0) -> str:
        if not isinstance(self.value, str):
            raise self.expected("a string")
        if not least <= len(self.value) <= most:
            raise self.fail(
                f"expected a string of {least} to {most} characters, found {len(self.value)}"
            )
        if not self.value.isascii() and any("\ud800" <= c <= "\udfff" for c in self.value):
            raise self.fail("holds half a character")
        if "\0" in self.value:
            raise self.fail("holds a NUL character")
        return self.value

    def choice(self, *choices: str) -> str:
        if not (isinstance(self.value, str) and self.value in choices):
            raise self.expected(f"one of {', '.join(choices)}")
        return self.value

    def json_object(self) -> dict[str, object]:
        """A small object of plain values, kept as it is."""
        if not isinstance(self.value, dict):
            raise self.expected("an object")
        if sum(1 for _ in _nodes(self.value, 0, self)) > MAX_DIM_NODES:
            raise self.fail(f"expected at most {MAX_DIM_NODES} values")
        return {str(k): v for k, v in self.value.items()}

    def dim(self, symbols: frozenset[str]) -> Dim:
        """A Dim over `symbols`: an int, a symbol, or a sum of products of atoms."""
        return _DimReader(self, symbols).read(self.value, "", 0)


class _DimReader:
    """Builds a Dim from JSON within bounds: a short text must not take all memory."""

    def __init__(self, field: Field, symbols: frozenset[str]) -> None:
        self.field = field
        self.symbols = symbols
        self.nodes = 0

    def read(self, node: object, parent: str, depth: int) -> Dim:
        self.nodes += 1
        if self.nodes > MAX_DIM_NODES or depth > MAX_DIM_DEPTH:
            raise self.field.fail("is a dim of too many parts")
        if isinstance(node, str):
            if node not in self.symbols:
                raise self.field.fail(f"names {_show(node)}, which is no symbol of the model")
            return dims.symbol(node)
        if not isinstance(node, list):
            place = Field(node, self.field.path, self.field.file)
            return place.integer(-MAX_INTEGER)
        if len(node) < 3 or node[0] not in ("+", "*", "//", "%", "min", "max"):
            raise self.field.expected("a dim")
        op = str(node[0])
        if (op == "+" and parent in ("+", "*")) or (op == "*" and parent == "*"):
            raise self.field.fail("expected a sum of products of atoms")
        operands = [self.read(part, op, depth + 1) for part in node[1:]]
        if op in ("+", "*"):
            return self.fold(op, operands)
        if len(operands) != 2:
            raise self.field.expected("a dim")
        return self.operation(op, operands[0], operands[1])

    def fold(self, op: str, operands: list[Dim]) -> Dim:
        result = operands[0]
        for operand in operands[1:]:
            if op == "*" and _terms(result) * _terms(operand) > MAX_DIM_NODES:
                raise self.field.fail("is a dim of too many parts")
            result = result + operand if op == "+" else result * operand
        return result

    def operation(self, op: str, left: Dim, right: Dim) -> Dim:
        if op == "min":
            return dims.dim_min(left, right)
        if op == "max":
            return dims.dim_max(left, right)
        if isinstance(right, int) and right <= 0:
            raise self.field.fail(f"divides by {right}")
        return dims.floor_div(left, right) if op == "//" else dims.modulo(left, right)


def _terms(dim: Dim) -> int:
    return 1 if isinstance(dim, int) else len(dim.terms)


def _show(value: object) -> str:
    """The value in a message: short whatever it is."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_INTEGER:
        return "an integer beyond 2^53"
    names = {None: "null", True: "true", False: "false"}
    text = names[value] if value is None or isinstance(value, bool) else ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _nodes(value: object, depth: int, field: Field) -> Iterator[object]:
    if depth > MAX_DIM_DEPTH:
        raise field.fail(f"is nested deeper than {MAX_DIM_DEPTH}")
    yield value
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _nodes(part, depth + 1, field)
