"""Residual streams that are several branches wide: their norms, mixes and gates."""

from __future__ import annotations

import math

from webrt import dims
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.ops.compose import Make, composite
from webrt.ops.contrib import MICROSOFT, rms_norm
from webrt.ops.registry import Attr
from webrt.ops.site import Site, same_dim, shape_text

_BRANCHES = Attr("num_branches", 0)


def _grouped(site: Site, make: Make, x: Value) -> Value:
    """[…, C, H], of which the last two may be one, in f32."""
    x = make.cast(x, DType.F32)
    branches = site.integer("num_branches")
    if not branches:
        return x
    width = x.shape[-1]
    each = dims.floor_div(width, branches)
    if same_dim(each * branches, width) is not True:
        raise site.shape_error(f"a multiple of {branches} columns", str(width))
    return make.reshape(x, *x.shape[:-1], branches, each)


def _gate(site: Site, make: Make, position: int, streams: Value) -> Value:
    """A number for each branch, or for each of its elements, to multiply the streams by."""
    gate = make.cast(site.input(position), DType.F32)
    rank, wide = len(streams.shape), streams.shape
    if len(gate.shape) == rank:
        return gate
    if len(gate.shape) == rank - 1 and same_dim(gate.shape[-1], wide[-2]) is True:
        return make.reshape(gate, *gate.shape, 1)
    if len(gate.shape) == rank - 1 and same_dim(gate.shape[-1], wide[-2] * wide[-1]) is True:
        return make.reshape(gate, *wide)
    raise site.shape_error(f"gates for {shape_text(wide)}", shape_text(gate.shape))


@composite("BranchwiseRMSNorm", _BRANCHES, Attr("epsilon", 1e-5), domain=MICROSOFT)
def branchwise_rms_norm(site: Site, make: Make) -> tuple[Value, ...]:
    """RMS normalisation of each branch by itself."""
    x = site.input(0)
    wide, scale = _grouped(site, make, x), site.optional(1)
    if scale is None:
        one = make.number(1, wide)
        made = rms_norm(make, wide, make.reshape(one, 1), site.number("epsilon"))
    else:
        gain = make.cast(scale, DType.F32)
        if same_dim(dims.product(gain.shape), wide.shape[-2] * wide.shape[-1]) is True:
            gain = make.reshape(gain, *wide.shape[-2:])
        unit = make.reshape(make.number(1, wide), 1)
        made = make("Mul", rms_norm(make, wide, unit, site.number("epsilon")), gain)
    return (make.cast(make.reshape(made, *x.shape), x.dtype),)


@composite("HyperConnectionPreMix", _BRANCHES, Attr("reduction_scale", 1.0), domain=MICROSOFT)
def hyper_connection_pre_mix(site: Site, make: Make) -> tuple[Value, ...]:
    """The branches' sum, each times its gate."""
    wide = _grouped(site, make, site.input(0))
    product = make("Mul", wide, _gate(site, make, 1, wide))
    total = make("ReduceSum", product, make.integers(-2), keepdims=0)
    total = make("Mul", total, make.number(site.number("reduction_scale"), total))
    return (make.cast(total, site.input(0).dtype),)


@composite("HyperConnectionPostMix", _BRANCHES, domain=MICROSOFT)
def hyper_connection_post_mix(site: Site, make: Make) -> tuple[Value, ...]:
    """The branches mixed by a matrix, and to each the block's output times its gate."""
    x = site.input(0)
    wide, block = _grouped(site, make, x), make.cast(site.input(1), DType.F32)
    added = make.reshape(block, *block.shape[:-1], 1, block.shape[-1])
    added = make("Mul", _gate(site, make, 2, wide), added)
    if site.optional(3) is not None:
        mix = make.cast(site.input(3), DType.F32)
        order = (*range(len(mix.shape) - 2), len(mix.shape) - 1, len(mix.shape) - 2)
        wide = make("MatMul", make.transpose(mix, *order), wide)
    return (make.cast(make.reshape(make("Add", wide, added), *x.shape), x.dtype),)


@composite("EngramGate", Attr("epsilon", 1e-5), domain=MICROSOFT)
def engram_gate(site: Site, make: Make) -> tuple[Value, ...]:
    """A value for all branches, times how well each branch's key and query agree."""
    key, query, value = (make.cast(site.input(j), DType.F32) for j in range(3))
    epsilon, width = site.number("epsilon"), site.ranked(0, 4)[3]
    if not isinstance(width, int):
        raise site.unsupported("a width that isn't known")
    unit = make.reshape(make.number(1, key), 1)

    def normal(x: Value, position: int) -> Value:
        gain = make.cast(site.input(position), DType.F32)
        return make("Mul", rms_norm(make, x, unit, epsilon), gain)

    product = make("Mul", normal(key, 3), normal(query, 4))
    dot = make("ReduceSum", product, make.integers(-1), keepdims=1)
    dot = make("Mul", dot, make.number(1 / math.sqrt(width), dot))
    root = make("Sqrt", make("Max", make("Abs", dot), make.number(1e-6, dot)))
    gate = make("Sigmoid", make("Mul", make("Sign", dot), root))
    batch, rows, _ = site.ranked(2, 3)
    gated = make("Mul", gate, make.reshape(value, batch, rows, 1, value.shape[2]))
    kept = make.cast(gated, site.input(0).dtype)
    if site.outputs < 2:
        return (kept,)
    return kept, make.cast(normal(gated, 5), site.input(0).dtype)
