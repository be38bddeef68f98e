"""Sizes that only a run tells: what it reads for an operator that needs to know an input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.errors import UnsupportedOpError
from webrt.frontend.sequences import Attributes
from webrt.graph.ir import Node, Value
from webrt.ops.compose import Make
from webrt.ops.contrib_grouped import LENGTHS, PAST, TOTAL, growth

READ = {
    "AffineGrid": (1,), "BlackmanWindow": (0,), "CenterCropPad": (1,), "ConstantOfShape": (0,),
    "Expand": (1,), "GroupQueryAttention": (TOTAL,), "HammingWindow": (0,), "HannWindow": (0,),
    "OneHot": (1,), "Pad": (1,), "Range": (0, 1, 2), "Reshape": (1,), "Resize": (2, 3),
    "Slice": (1, 2), "Tile": (1,), "TopK": (1,),
}  # fmt: skip
"""Inputs that a run may read to know its sizes; what is negative there ends it."""


class Reader(Protocol):
    """What the builder of a graph gives."""

    nodes: list[Node]
    read: dict[Value | tuple[object, ...], Value]
    assumed: list[tuple[Dim, Dim]]

    def known(self, value: Value, elements: Sequence[Dim | None] = (), least: int = 0) -> Value: ...

    def elements(self, value: Value) -> tuple[Dim | None, ...]: ...

    def parts(self, value: Value) -> list[Value]: ...


def know(
    reader: Reader, name: str, op: str, position: int, inputs: list[Value | None],
    attributes: Attributes,
) -> None:  # fmt: skip
    """Make an input that READ lists known, in `inputs`; UnsupportedOpError where that can't be."""
    value = inputs[position]
    assert value is not None
    if op == "Reshape":
        zero = bool(attributes.get("allowzero"))
        inputs[position] = _target(reader, name, inputs, value, zero)
    elif op == "GroupQueryAttention":
        inputs[position] = _total(reader, name, inputs, value)
    elif op == "Range" and value.dtype.is_float and position == 1:
        inputs[1] = _limit(reader, name, inputs)
    elif op == "Resize" and position == 2:
        _scaled(reader, name, inputs, attributes)
    elif op == "Resize":  # an image has a pixel: what lies behind knows that its sizes aren't 0
        inputs[position] = reader.known(value, least=1)
    else:
        inputs[position] = reader.known(value)


def check_read(reader: Reader, op: str, source: Value, made: Value, attributes: Attributes) -> None:
    """What a run holds sizes to that it has read."""
    if op == "Reshape":
        reader.assumed.append((dims.product(made.shape), dims.product(source.shape)))
    elif op == "TopK":
        axis = attributes.get("axis", -1)
        assert isinstance(axis, int)
        least = dims.dim_min(made.shape[axis], source.shape[axis])
        reader.assumed.append((least, made.shape[axis]))


def _target(
    reader: Reader, name: str, inputs: Sequence[Value | None], shape: Value, allow_zero: bool
) -> Value:
    """A Reshape's target, read from a run: 0 taken for a dim, -1 for what is left."""
    make = Make(f"{name}/target")
    source = inputs[0]
    if source is None or len(shape.shape) != 1 or not isinstance(shape.shape[0], int):
        raise UnsupportedOpError(f"{shape.name!r} holds sizes that aren't run")
    count = shape.shape[0]
    own = [*source.shape, *[1] * count][:count]
    wanted = make.cast(shape, DType.I32)
    zero, one, rest = (make.number(n, wanted) for n in (0, 1, -1))
    if not allow_zero:
        copied = make.cast(make.integers(*own), DType.I32)
        wanted = make("Where", make("Equal", wanted, zero), copied, wanted)
    left = make("Equal", wanted, rest)
    others = make("ReduceProd", make("Where", left, one, wanted), keepdims=0)
    total = make.cast(make.scalar(dims.product(source.shape)), DType.I32)
    quotient = make("Div", total, make("Max", others, one))
    wanted = make("Where", left, quotient, wanted)
    reader.nodes += make.nodes
    elements = [None if e == -1 else e for e in reader.elements(shape)]
    if not allow_zero:
        elements = [d if e == 0 else e for e, d in zip(elements, own, strict=True)]
    return reader.known(wanted, elements)


def _total(reader: Reader, name: str, inputs: Sequence[Value | None], total: Value) -> Value:
    """A total length that a run reads, taken for what a cache grows to: once for all layers."""
    query, past, lengths = (inputs[j] for j in (0, PAST, LENGTHS))
    assert query is not None
    assert past is not None
    assert lengths is not None
    key = (total, lengths, query.shape[:2], past.shape[2])
    if key not in reader.read:
        make = Make(f"{name}/total")
        more = growth(make, query, past, lengths, total)
        reader.nodes += make.nodes
        reader.read[key] = reader.known(more)
    (grown,) = reader.read[key].content or (0,)
    return Value(total.name, total.dtype, total.shape, None, (past.shape[2] + grown,))


def _limit(reader: Reader, name: str, inputs: Sequence[Value | None]) -> Value:
    """Where a range of floats ends that starts at a whole number and takes whole steps."""
    start, value, step = inputs
    assert value is not None
    first, by = (
        float(v.data.reshape(-1)[0]) if v is not None and v.data is not None else 0.5
        for v in (start, step)
    )
    if not (first.is_integer() and by.is_integer()):
        raise UnsupportedOpError(f"{value.name!r} ends a range that isn't of whole numbers")
    make = Make(f"{name}/count")
    parts = make("Div", make("Sub", value, start), step)
    count = make("Max", make.cast(make("Ceil", parts), DType.I64), make.scalar(0))
    reader.nodes += make.nodes
    (found,) = reader.known(count).content or (0,)
    return Value(value.name, value.dtype, value.shape, None, (int(first) + int(by) * found,))


def _scaled(reader: Reader, name: str, inputs: list[Value | None], attributes: Attributes) -> None:
    """Give a Resize the sizes that its scales come to, and leave out axes that stay."""
    image, scales = inputs[0], inputs[2]
    assert image is not None
    assert scales is not None
    given = attributes.get("axes") or tuple(range(len(image.shape)))
    assert isinstance(given, tuple)
    axes = [int(a) for a in given]
    if scales.shape != (len(axes),):
        raise UnsupportedOpError(f"{scales.name!r} holds scales that aren't run")
    moving = list(range(len(axes)))
    # A region (tf_crop_and_resize) has bounds for each of them.
    if attributes.get("coordinate_transformation_mode") != "tf_crop_and_resize":
        first = 0
        for part in reader.parts(scales):
            count = dims.product(part.shape)
            if not isinstance(count, int):
                break
            if part.data is not None:
                same = np.flatnonzero(part.data == 1) + first
                moving = [j for j in moving if j not in same]
            first += count
    make = Make(f"{name}/sizes")
    if len(moving) < len(axes):
        scales = make("Gather", scales, make.integers(*moving), axis=0)
    extents = make.integers(*(image.shape[axes[j]] for j in moving))
    wanted = make("Floor", make("Mul", make.cast(extents, DType.F32), scales))
    wanted = make.cast(wanted, DType.I64)
    reader.nodes += make.nodes
    inputs[2:] = [scales, reader.known(wanted, least=1)]
    attributes["axes"] = tuple(axes[j] for j in moving)
