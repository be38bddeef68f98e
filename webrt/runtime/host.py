"""What the host computes in the middle of a run: results whose sizes depend on data.

`web/host.js` is this file in JavaScript; `tests/vectors/host.json` holds both to the same results.
Float arithmetic is that of 64 bits in both.
"""

from __future__ import annotations

import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webrt.dtypes import DType
from webrt.errors import PackError, ShapeError
from webrt.runtime.device import HOST_TO_STORAGE

Options = Mapping[str, int | float]
_Corners = tuple[float, float, float, float]
"""A box: its least and largest coordinates, top, left, bottom, right."""


@dataclass(frozen=True, slots=True)
class Given:
    """A tensor as the device stores it: `dtype` is f32, f16, i32 or u32."""

    dtype: DType
    shape: tuple[int, ...]
    data: memoryview

    @property
    def elements(self) -> list[Any]:
        """The elements in row-major order."""
        if not self.data.nbytes:
            return []
        code: Any = HOST_TO_STORAGE[self.dtype]  # typing knows memoryviews of literal formats only
        if self.dtype is DType.F16:
            import struct

            return list(struct.unpack(f"<{self.data.nbytes // 2}e", self.data))
        return list(self.data.cast("B").cast(code))


@dataclass(frozen=True, slots=True)
class Results:
    """The tensors that a host step writes, and the sizes that its symbols stand for."""

    arrays: tuple[Given, ...]
    sizes: tuple[int, ...]


def compute(op: str, options: Options, inputs: Sequence[Given], node: str) -> Results:
    """Run a host step on what it read. Raises ShapeError for data that make no sense to it."""
    try:
        return _OPS[op](options, *inputs)
    except ShapeError as error:
        raise ShapeError(f"{node}: {error}") from error
    except (LookupError, ValueError, ArithmeticError, TypeError, RuntimeError) as error:
        raise PackError(f"{node}: {op} of what doesn't fit it ({error}); pack again") from error


def _integers(values: Sequence[int], *shape: int) -> Given:
    return Given(DType.I32, shape, memoryview(array.array("i", values)).cast("B"))


def _values(options: Options, tensor: Given) -> Results:
    for value in tensor.elements:
        if value < 0:
            raise ShapeError(f"a size or place is {value}, expected 0 or more")
    return Results((), tuple(int(v) for v in tensor.elements))


def _strides(shape: Sequence[int]) -> list[int]:
    steps = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        steps[axis] = steps[axis + 1] * shape[axis + 1]
    return steps


def _nonzero(options: Options, tensor: Given) -> Results:
    """ONNX's NonZero: the places of what isn't zero, [rank, count]."""
    places = [j for j, v in enumerate(tensor.elements) if v != 0]
    shape = tensor.shape or (1,)
    steps = _strides(shape)
    rows = [(p // step) % size for step, size in zip(steps, shape, strict=True) for p in places]
    rank = len(tensor.shape)
    return Results((_integers(rows if rank else [], rank, len(places)),), (len(places),))


def _unique(options: Options, tensor: Given) -> Results:
    """First places of the different slices, the number of each slice among them, and counts."""
    axis = int(options["axis"])
    rows = _slices(tensor, axis)
    groups: dict[Any, list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(row, []).append(place)
    order = sorted(groups) if options["sorted"] else list(groups)
    number = {row: j for j, row in enumerate(order)}
    first = [groups[row][0] for row in order]
    inverse = [number[row] for row in rows]
    counts = [len(groups[row]) for row in order]
    many = len(order)
    return Results(
        (
            _integers(first, many),
            _integers(inverse, len(rows)),
            _integers(counts, many),
        ),
        (many,),
    )


def _slices(tensor: Given, axis: int) -> list[Any]:
    """The slices along an axis, as what can be compared; -1: the elements."""
    elements = tensor.elements
    if axis < 0:
        return elements
    size = tensor.shape[axis]
    step = _strides(tensor.shape)[axis]
    return [
        tuple(v for place, v in enumerate(elements) if place // step % size == j)
        for j in range(size)
    ]


def _nms(options: Options, boxes: Given, scores: Given, *limits: Given) -> Results:
    """ONNX's NonMaxSuppression: rows of (batch, class, box), best scores of a class first.

    The limits `most`, `iou` and `score` are options, or else further tensors, in this order.
    """
    batches, classes, count = scores.shape
    read = iter(limits)
    most, covered, limit = (
        options[k] if k in options else next(read).elements[0] for k in ("most", "iou", "score")
    )
    corners = _corners(boxes.elements, bool(options["center"]))
    values = scores.elements
    found: list[int] = []
    for batch in range(batches):
        for kind in range(classes):
            base = (batch * classes + kind) * count
            order = sorted(
                (j for j in range(count) if values[base + j] > limit),
                key=lambda j: (-values[base + j], j),
            )
            kept: list[_Corners] = []
            for box in order:
                if len(kept) >= most:
                    break
                own = corners[batch * count + box]
                if not _is_covered(own, kept, covered):
                    kept.append(own)
                    found += (batch, kind, box)
    return Results((_integers(found, len(found) // 3, 3),), (len(found) // 3,))


def _corners(flat: Sequence[float], center: bool) -> list[_Corners]:
    boxes = []
    for j in range(0, len(flat), 4):
        a, b, c, d = flat[j : j + 4]
        if center:  # x, y, width, height
            a, b, c, d = b - d / 2, a - c / 2, b + d / 2, a + c / 2
        boxes.append((min(a, c), min(b, d), max(a, c), max(b, d)))
    return boxes


def _is_covered(own: _Corners, kept: Sequence[_Corners], most: float) -> bool:
    """Whether one of those that are kept overlaps a box by more than `most`."""
    if not most >= 0:
        return bool(kept)
    top, left, bottom, right = own
    for other in kept:  # thousands look at a thousand: those apart are told by comparisons alone
        if other[2] < top or other[0] > bottom or other[3] < left or other[1] > right:
            continue
        if not _overlap(own, other) <= most:
            return True
    return False


def _overlap(one: _Corners, other: _Corners) -> float:
    """Intersection over union; 0 where either has no area."""
    height = min(one[2], other[2]) - max(one[0], other[0])
    width = min(one[3], other[3]) - max(one[1], other[1])
    if height <= 0 or width <= 0:
        return 0.0
    inside = height * width
    area, others = ((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other))
    return inside / (area + others - inside)


_OPS: dict[str, Callable[..., Results]] = {
    "values": _values,
    "nonzero": _nonzero,
    "unique": _unique,
    "nms": _nms,
}
