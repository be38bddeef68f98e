"""Operators whose results' sizes depend on data: the host computes what it must, and no more."""

from __future__ import annotations

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.errors import ShapeError
from webrt.graph.ir import Node, Value
from webrt.ops.compose import Make, composite
from webrt.ops.emit import Emitter
from webrt.ops.registry import Attr, operator
from webrt.ops.site import Inferred, Site, Tensor, hold_shape
from webrt.runtime import host


class _OnHost:
    """A host step (`passes/flow.py`)."""

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        raise site.unsupported("is inside of what must be one kernel")


@operator("NonZero", since=9)
class NonZero(_OnHost):
    """Places of what isn't zero, a row for each axis."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        rank = len(site.input(0).shape)
        return (Inferred(DType.I64, (rank, site.fresh("count"))),)

    @staticmethod
    def reference(site: Site, x: Tensor) -> tuple[Tensor, ...]:
        rows = np.nonzero(x) if x.ndim else (np.zeros((0, int(x != 0)), np.int64),)
        return (np.array(rows, np.int64).reshape(x.ndim, -1 if x.ndim else int(x != 0)),)


@operator("NonMaxSuppression", Attr("center_point_box", 0), since=10)
class NonMaxSuppression(_OnHost):
    """(batch, class, box) of the boxes that no better one covers."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        boxes, scores = site.ranked(0, 3), site.ranked(1, 3)
        hold_shape(site, 0, (*boxes[:2], 4))
        hold_shape(site, 1, (boxes[0], scores[1], boxes[1]))
        nms_options(site)
        return (Inferred(DType.I64, (site.fresh("count"), 3)),)

    @staticmethod
    def reference(
        site: Site, boxes: Tensor, scores: Tensor, *limits: Tensor | None
    ) -> tuple[Tensor, ...]:
        read = [a for a, v in zip(limits, site.inputs[2:], strict=True) if v and v.data is None]
        given = [
            host.Given(DType.F32, a.shape, _bytes(a.astype(np.float32)))
            for a in (boxes, scores, *read)
            if a is not None
        ]
        made = host.compute("nms", nms_options(site), given, site.name).arrays[0]
        return (np.array(made.elements, np.int64).reshape(made.shape),)


_BEYOND = 3.5e38  # every float32: what stands for infinity in a plan
_LIMITS = (("most", 2, 0.0), ("iou", 3, 0.0), ("score", 4, -_BEYOND))


def nms_options(site: Site) -> dict[str, int | float]:
    """The limits that are known; the host reads the others."""
    found: dict[str, int | float] = {"center": site.integer("center_point_box")}
    for name, position, default in _LIMITS:
        given = site.optional(position)
        if given is None:
            found[name] = default
        elif given.data is not None:
            found[name] = max(-_BEYOND, min(_BEYOND, float(given.data.reshape(-1)[0])))
    return found


def host_reads(node: Node) -> tuple[Value, ...]:
    """The inputs of a host step that the host reads."""
    if node.op != "NonMaxSuppression":
        return tuple(v for v in node.inputs[:1] if v is not None)
    first, limits = node.inputs[:2], node.inputs[2:]
    return tuple(v for v in first if v is not None) + tuple(
        v for v in limits if v is not None and v.data is None
    )


def _bytes(array: Tensor) -> memoryview:
    return memoryview(array.tobytes())


@operator("Different", Attr("axis"), Attr("sorted"), domain="webrt")
class Different(_OnHost):
    """Unique's indices: first places of the different slices, each slice's number, counts."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        x, axis = site.input(0), site.integer("axis")
        many: Dim = dims.product(x.shape) if axis < 0 else x.shape[axis]
        count = site.fresh("count")
        return tuple(Inferred(DType.I64, (d,)) for d in (count, many, count))

    @staticmethod
    def reference(site: Site, x: Tensor) -> tuple[Tensor, ...]:
        options = {k: site.integer(k) for k in ("axis", "sorted")}
        kinds = {"f": (DType.F32, np.float32), "u": (DType.U32, np.uint32)}
        dtype, kind = kinds.get(x.dtype.kind, (DType.I32, np.int32))
        given = host.Given(dtype, x.shape, _bytes(x.astype(kind)))
        made = host.compute("unique", options, [given], site.name).arrays
        return tuple(np.array(a.elements, np.int64) for a in made)


@composite("Unique", Attr("axis"), Attr("sorted", 1), since=11)
def unique(site: Site, make: Make) -> tuple[Value, ...]:
    """The different slices along an axis, or elements."""
    x = site.input(0)
    axis = -1
    if "axis" in site.attributes:
        axis = site.axis(site.integer("axis"), len(x.shape))
    first, inverse, counts = make.several(
        3, "Different", x, domain="webrt", axis=axis, sorted=site.integer("sorted")
    )
    whole = x if axis >= 0 else make.reshape(x, dims.product(x.shape))
    return make("Gather", whole, first, axis=max(axis, 0)), first, inverse, counts


@composite("Compress", Attr("axis"), since=9)
def compress(site: Site, make: Make) -> tuple[Value, ...]:
    """The slices along an axis, or elements, where the condition holds."""
    x, condition = site.input(0), site.input(1)
    site.ranked(1, 1)
    if condition.data is not None:
        kept = make.constant(np.flatnonzero(condition.data))
    else:
        kept = make("Squeeze", make("NonZero", condition), make.integers(0))
    if "axis" not in site.attributes:
        return (make("Gather", make.reshape(x, dims.product(x.shape)), kept),)
    axis = site.axis(site.integer("axis"), len(x.shape))
    extent = x.shape[axis]
    if condition.data is not None and isinstance(extent, int) and kept.data is not None:
        last = int(kept.data.max(initial=0))
        if last >= extent:
            raise ShapeError(
                f"node {site.name!r} (Compress): expected at most {extent} slices, kept {last}"
            )
    return (make("Gather", x, kept, axis=axis),)
