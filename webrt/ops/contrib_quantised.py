"""ONNX Runtime's operators over weights in blocks and over quantised attention."""

from __future__ import annotations

import numpy as np

from webrt import dims
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.ops.compose import Make, composite
from webrt.ops.contrib import MICROSOFT, embedded
from webrt.ops.contrib_attention import attention_of
from webrt.ops.nbits import fields
from webrt.ops.qlinear import plain
from webrt.ops.quantise import dequantised
from webrt.ops.registry import Attr
from webrt.ops.site import Site, Tensor, shape_text


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


def blocks_of(
    site: Site, make: Make, position: int, scales: Value, zero: int, bits: int, block: int
) -> Value:
    """A constant [A, N, bytes] of numbers in blocks along the last axis, or in whole rows."""
    if bits not in (2, 4, 8):
        raise site.unsupported(f"weights of {bits} bits: 2, 4 and 8 are run")
    data = site.constant(position, "its weight")
    columns = data.shape[-1] * 8 // bits
    numbers = _unpacked(site, make, position, bits, columns)
    block = block if block > 0 else columns
    count = -(-columns // block)
    step = make.reshape(scales, *data.shape[:-1], count)
    point = make.constant(np.full((*data.shape[:-1], count), 1 << bits - 1, np.uint8))
    if site.optional(zero) is not None:
        if count == 1:  # the points of all rows share bytes
            flat = fields(
                site.constant(zero, "its zero point").reshape(len(data), -1).ravel(), bits
            )
            rows = flat.reshape(len(data), -1)[:, : data.shape[1]]
            point = make.constant(np.ascontiguousarray(rows).reshape(*data.shape[:-1], 1))
        else:
            point = _unpacked(site, make, zero, bits, count)
    return dequantised(make, numbers, step, point, axis=len(data.shape) - 1, block_size=block)


# bitsandbytes' numbers of 4 bits: https://arxiv.org/abs/2305.14314, appendix E, and its FP4.
FP4 = (0.0, 5.208333333e-03, 2 / 3, 1.0, 1 / 3, 0.5, 1 / 6, 0.25)
NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0,
)  # fmt: skip


@composite(
    "MatMulBnb4", Attr("K"), Attr("N"), Attr("block_size"), Attr("quant_type"),
    Attr("training_mode", 0), Attr("transB", 1), domain=MICROSOFT,
)  # fmt: skip
def matmul_bnb4(site: Site, make: Make) -> tuple[Value, ...]:
    """A · B, B of 4 bits, of which each chooses one of 16 numbers; scales of blocks of B."""
    k, n, block = site.positive("K"), site.positive("N"), site.positive("block_size")
    raw: Tensor = site.constant(1, "its weight").reshape(-1)
    blocks = -(-n * k // block)
    if raw.dtype != np.uint8 or raw.size < -(-n * k // 2):
        raise site.shape_error(f"{-(-n * k // 2)} bytes of weights", str(raw.size))
    if dims.product(site.input(2).shape) != blocks:
        raise site.shape_error(f"{blocks} scales", shape_text(site.input(2).shape))
    codes = np.stack([raw >> 4, raw & 15], -1).reshape(-1)[: n * k]  # the high bits come first
    table = NF4 if site.integer("quant_type") == 1 else (*FP4, *(-x for x in FP4))
    chosen = make(
        "Gather", make.constant(np.array(table, np.float32)),
        make.constant(codes.reshape(n, k).astype(np.int32)), axis=0,
    )  # fmt: skip
    scale = make.reshape(make.cast(site.input(2), DType.F32), blocks)
    if k % block:
        own = np.arange(n * k, dtype=np.int32).reshape(n, k) // block
        weight = make("Mul", chosen, make("Gather", scale, make.constant(own), axis=0))
    else:
        parts = make.reshape(chosen, n, k // block, block)
        weight = make("Mul", parts, make.reshape(scale, n, k // block, 1))
        weight = make.reshape(weight, n, k)
    weight = make.cast(weight, site.input(0).dtype)
    if site.integer("transB"):
        weight = make.transpose(weight, 1, 0)
    return (make("MatMul", site.input(0), weight),)


@composite(
    "QAttention", Attr("num_heads"), Attr("unidirectional", 0), Attr("scale", 0.0),
    Attr("mask_filter_value", -10000.0), Attr("do_rotary", 0),
    Attr("past_present_share_buffer", 0), domain=MICROSOFT,
)  # fmt: skip
def quantised_attention(site: Site, make: Make) -> tuple[Value, ...]:
    """Attention of integers: input, weights, bias, their scales, mask, their zero points, past."""
    x, weights = (
        dequantised(
            make, site.input(j), plain(make, site.input(j + 3)), plain(make, site.optional(j + 6)),
            axis=1,
        )
        for j in (0, 1)
    )  # fmt: skip
    return attention_of(
        site, make, x, weights, site.input(2), mask=site.optional(5), past=site.optional(8)
    )


@composite("QEmbedLayerNormalization", Attr("epsilon", 1e-12), domain=MICROSOFT)
def quantised_embed_layer_normalization(site: Site, make: Make) -> tuple[Value, ...]:
    """EmbedLayerNormalization of integers, each tensor with a scale and a zero point."""

    def number(position: int, x: Value) -> Value:
        scale = plain(make, site.input(position + 6))
        return dequantised(make, x, scale, plain(make, site.input(position + 11)))

    def rows(position: int, at: Value) -> Value:
        return number(position, make("Gather", site.input(position), at, axis=0))

    scales = number(5, site.input(5)), number(6, site.input(6))
    return embedded(site, make, rows, scales)[:2]
