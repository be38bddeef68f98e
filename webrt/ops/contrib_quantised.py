"""ONNX Runtime's operators over weights in blocks and over quantised attention."""

from __future__ import annotations

import numpy as np

from webrt import dims
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.ops.compose import Make, composite
from webrt.ops.nbits import fields
from webrt.ops.quantise import dequantised
from webrt.ops.registry import Attr
from webrt.ops.site import Site, shape_text

MICROSOFT = "com.microsoft"


def _unpacked(site: Site, make: Make, position: int, bits: int, columns: int) -> Value:
    """A constant of bytes that hold several numbers, the first in the lowest bits, as uint8."""
    data = site.constant(position, "its weight" if position == 0 else "its zero point")
    numbers = fields(np.ascontiguousarray(data).reshape(-1), bits)
    rows = numbers.reshape(*data.shape[:-1], -1)[..., :columns]
    return make.constant(np.ascontiguousarray(rows))


@composite(
    "GatherBlockQuantized", Attr("bits", 4), Attr("block_size", 128), Attr("gather_axis", 0),
    Attr("quantize_axis", 1), domain=MICROSOFT,
)  # fmt: skip
def gather_block_quantized(site: Site, make: Make) -> tuple[Value, ...]:
    """Rows of a table of blocks: data, indices, scales, zero points; `bits` is 0 for int4."""
    data, indices, scales, zero = site.input(0), site.input(1), site.input(2), site.optional(3)
    rank = len(data.shape)
    gather = site.axis(site.integer("gather_axis"), rank)
    blocked = site.axis(site.integer("quantize_axis"), rank)
    if gather == blocked:
        raise site.unsupported("gathering along the axis of the blocks isn't run")
    bits, block = site.integer("bits"), site.positive("block_size")
    if data.dtype is DType.U8 and bits:
        if bits not in (2, 4, 8) or blocked != rank - 1:
            raise site.shape_error("2, 4 or 8 bits, in blocks along the last axis", str(bits))
        width = dims.evaluate(data.shape[-1], {}) * 8 // bits
        data = _unpacked(site, make, 0, bits, width)
        if zero is not None:
            zero = _unpacked(site, make, 3, bits, dims.evaluate(scales.shape[-1], {}))
        else:
            zero = make.constant(np.asarray(1 << bits - 1, np.uint8))
    whole = (*data.shape[:blocked], dims.ceil_div(data.shape[blocked], block),
             *data.shape[blocked + 1 :])  # fmt: skip
    if scales.shape != whole:
        raise site.shape_error(f"scales of {shape_text(whole)}", shape_text(scales.shape))
    parts = [make("Gather", x, indices, axis=gather) for x in (data, scales)]
    if zero is not None:
        if not zero.shape:
            zero = make("Expand", zero, make.integers(*whole))
        parts.append(make("Gather", zero, indices, axis=gather))
    axis = blocked + (len(indices.shape) - 1 if gather < blocked else 0)
    return (dequantised(make, *parts, axis=axis, block_size=block),)
