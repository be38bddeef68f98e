"""Sequences and optionals: lists of values that exist while a model is read, and never in a run.

What a model makes of them must be known when it is read: how long they are, which place is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Union

import numpy as np

from webrt import dims
from webrt.dtypes import DType
from webrt.errors import ShapeError, UnsupportedOpError
from webrt.graph.ir import Attribute, Value
from webrt.ops.compose import Make


@dataclass(frozen=True, slots=True)
class Listed:
    """A sequence of tensors."""

    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Slices:
    """A sequence whose length only a run tells: the parts of a tensor, of lengths in `split`."""

    value: Value
    axis: int
    split: Value | None


@dataclass(frozen=True, slots=True)
class Repeated:
    """Another: the elements of a tensor along an axis, each as often as `repeats` tells."""

    value: Value
    repeats: Value
    axis: int


@dataclass(frozen=True, slots=True)
class Stacked:
    """Another: `first`, then the slices of a tensor along its first axis."""

    first: tuple[Value, ...]
    value: Value


@dataclass(frozen=True, slots=True)
class Maybe:
    """An optional: a tensor, a sequence, or nothing."""

    held: Value | Listed | Slices | Repeated | Stacked | Texts | Columns | None


@dataclass(frozen=True, slots=True)
class Texts:
    """A tensor of strings: `index` holds the place of each among `names`."""

    index: Value
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Columns:
    """A map for each row, as ZipMap makes them: `value` has a column for each of `names`."""

    value: Value
    names: tuple[str | int, ...]


Item = Union[Value, Listed, Slices, Repeated, Stacked, Maybe, Texts, Columns]
Attributes = dict[str, Attribute]
Fold = Callable[["_Call"], Item]


@dataclass(frozen=True, slots=True)
class _Call:
    """One node: its inputs, attributes, and what makes further nodes."""

    op: str
    name: str
    inputs: Sequence[Item | None]
    attributes: Attributes
    make: Make

    def error(self, expected: str, found: str) -> ShapeError:
        return ShapeError(f"node {self.name!r} ({self.op}): expected {expected}, found {found}")

    def sequence(self, position: int = 0) -> tuple[Value, ...]:
        found = self.inputs[position]
        if isinstance(found, Maybe):
            found = found.held
        if isinstance(found, Slices | Repeated | Stacked):
            raise UnsupportedOpError(
                f"node {self.name!r} ({self.op}): a sequence whose length a run decides isn't run"
            )
        if not isinstance(found, Listed):
            raise self.error(f"a sequence as input {position}", "none")
        return found.values

    def tensor(self, position: int) -> Value:
        found = self.inputs[position] if position < len(self.inputs) else None
        if isinstance(found, Maybe):
            found = found.held
        if not isinstance(found, Value):
            raise self.error(f"a tensor as input {position}", "none")
        return found

    def place(self, position: int, length: int, default: int, last: int | None = None) -> int:
        """A position in a sequence, which must be known; negative ones count from its end."""
        last = length - 1 if last is None else last
        if position >= len(self.inputs) or self.inputs[position] is None:
            return default
        value = self.tensor(position)
        if value.data is None or value.data.size != 1:
            raise UnsupportedOpError(
                f"node {self.name!r} ({self.op}): a place in a sequence that depends on data"
                " isn't run"
            )
        place = int(value.data.reshape(-1)[0])
        if not -length <= place <= last:
            raise self.error(f"a place in {-length} … {last}", str(place))
        return place if place >= 0 else place + length

    def integer(self, name: str, default: int) -> int:
        value = self.attributes.get(name, default)
        return value if isinstance(value, int) else default


def _construct(call: _Call) -> Item:
    return Listed(tuple(call.tensor(j) for j in range(len(call.inputs))))


def _at(call: _Call) -> Item:
    grown = call.inputs[0]
    if isinstance(grown, Stacked) and not grown.first:
        return call.make("Gather", grown.value, call.tensor(1), axis=0)
    values = call.sequence()
    return values[call.place(1, len(values), 0)]


def _insert(call: _Call) -> Item:
    values = call.sequence()
    place = call.place(2, len(values), len(values), len(values))
    return Listed((*values[:place], call.tensor(1), *values[place:]))


def _erase(call: _Call) -> Item:
    values = call.sequence()
    place = call.place(1, len(values), len(values) - 1)
    return Listed((*values[:place], *values[place + 1 :]))


def _length(call: _Call) -> Item:
    grown = call.inputs[0]
    if isinstance(grown, Stacked):
        return call.make.scalar(len(grown.first) + grown.value.shape[0])
    return call.make.scalar(len(call.sequence()))


def _split(call: _Call) -> Item:
    x = call.tensor(0)
    axis = call.integer("axis", 0) % max(len(x.shape), 1)
    extent = x.shape[axis]
    if not isinstance(extent, int):
        split = call.tensor(1) if len(call.inputs) > 1 and call.inputs[1] is not None else None
        return Slices(x, axis, split)
    sizes = _sizes(call, extent)
    make, start, parts = call.make, 0, []
    for size in sizes:
        part = make.part(x, axis, start, start + size)
        if len(call.inputs) < 2 and not call.integer("keepdims", 1):
            part = make("Squeeze", part, make.integers(axis))
        parts.append(part)
        start += size
    return Listed(tuple(parts))


def _sizes(call: _Call, extent: int) -> list[int]:
    if len(call.inputs) < 2 or call.inputs[1] is None:
        return [1] * extent
    split = call.tensor(1)
    if split.data is None:
        raise UnsupportedOpError(f"node {call.name!r} ({call.op}): split depends on data")
    if split.shape:
        sizes = [int(s) for s in split.data]
        if sum(sizes) != extent:
            raise call.error(f"parts of {extent} in all", str(sum(sizes)))
        return sizes
    size = int(split.data)
    if size < 1:
        raise call.error("parts of at least 1", str(size))
    return [min(size, extent - start) for start in range(0, extent, size)]


def _concat(call: _Call) -> Item:
    make, axis, new = call.make, call.integer("axis", 0), call.integer("new_axis", 0)
    grown = call.inputs[0]
    values = grown.first if isinstance(grown, Stacked) else call.sequence()
    if new:
        values = tuple(make("Unsqueeze", v, make.integers(axis)) for v in values)
    if isinstance(grown, Stacked):
        rank = len(grown.value.shape) - (0 if new else 1)
        if not -rank <= axis < rank:
            raise call.error(f"an axis in {-rank} … {rank - 1}", str(axis))
        stack = (
            make("Unsqueeze", grown.value, make.integers(axis % rank + 1)) if new else grown.value
        )
        values = (*values, merged(make, stack, axis % rank))
    if not values:
        raise call.error("at least one tensor", "none")
    return make("Concat", *values, axis=axis) if len(values) > 1 else values[0]


def merged(make: Make, stack: Value, axis: int) -> Value:
    """Parts [turns, …, size, …] one behind the other: [… turns · size, …]."""
    order = [*range(1, axis + 1), 0, *range(axis + 1, len(stack.shape))]
    shape = [stack.shape[j] for j in order]
    shape[axis : axis + 2] = [dims.product(tuple(shape[axis : axis + 2]))]
    return make.reshape(make.transpose(stack, *order) if axis else stack, *shape)


def _optional(call: _Call) -> Item:
    held = call.inputs[0] if call.inputs else None
    return held if isinstance(held, Maybe) else Maybe(held)


def _has(call: _Call) -> Item:
    held = call.inputs[0] if call.inputs else None
    found = not (held is None or (isinstance(held, Maybe) and held.held is None))
    return Value(f"{call.name}.has", DType.BOOL, (), np.array(found))


def _get(call: _Call) -> Item:
    held = call.inputs[0] if call.inputs else None
    found = held.held if isinstance(held, Maybe) else held
    if found is None:
        raise call.error("an element", "none")
    return found


FOLDED: dict[str, Fold] = {
    "SequenceEmpty": lambda call: Listed(()),
    "SequenceConstruct": _construct,
    "SequenceAt": _at,
    "SequenceInsert": _insert,
    "SequenceErase": _erase,
    "SequenceLength": _length,
    "SplitToSequence": _split,
    "ConcatFromSequence": _concat,
    "Optional": _optional,
    "OptionalHasElement": _has,
    "OptionalGetElement": _get,
}


def fold(
    op: str, name: str, inputs: Sequence[Item | None], attributes: Attributes, make: Make
) -> Item:
    """What an operator on sequences or optionals gives; the nodes that takes are in `make`."""
    return FOLDED[op](_Call(op, name, inputs, attributes, make))
