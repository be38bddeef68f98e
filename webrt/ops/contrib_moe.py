"""Mixtures of experts as ONNX Runtime has them, of numbers and of integers in blocks."""

from __future__ import annotations

import numpy as np

from webrt import dims
from webrt.graph.ir import Value
from webrt.ops.compose import Make, composite
from webrt.ops.contrib import MICROSOFT
from webrt.ops.contrib_quantised import blocks_of
from webrt.ops.registry import Attr
from webrt.ops.site import Site

_SWITCH = np.array([0, 1], np.float32)

_EXPERTS = (
    Attr("k", 1), Attr("activation_type", "relu"), Attr("normalize_routing_weights", 0),
    Attr("use_sparse_mixer", 0), Attr("activation_alpha", 1.0), Attr("activation_beta", 0.0),
    Attr("swiglu_fusion", 0), Attr("swiglu_limit"),
)  # fmt: skip


@composite("MoE", *_EXPERTS, domain=MICROSOFT)
def moe(site: Site, make: Make) -> tuple[Value, ...]:
    """A mixture of the best k experts of each token; all are computed, the others count nothing."""
    weights = [site.input(2), site.input(4), site.optional(6)]
    return (experts(site, make, weights, [site.optional(j) for j in (3, 5, 7)], None),)


def experts(
    site: Site,
    make: Make,
    weights: list[Value | None],
    biases: list[Value | None],
    mixing: Value | None,
) -> Value:
    """The mixture, of weights [experts, out, in]; `mixing` are the weights of experts, if given."""
    x, router = site.input(0), site.input(1)
    if site.integer("use_sparse_mixer"):
        raise site.unsupported("a sparse mixer isn't run")
    tokens = make.reshape(x, 1, dims.product(x.shape[:-1]), x.shape[-1])
    share = _shares(site, make, router, mixing)  # [tokens, experts]

    def product(value: Value, position: int) -> Value:
        weight, bias = weights[position], biases[position]
        assert weight is not None
        made = make("MatMul", value, make.transpose(weight, 0, 2, 1))
        if bias is None:
            return made
        return make("Add", made, make.reshape(bias, bias.shape[0], 1, bias.shape[1]))

    first = product(tokens, 0)
    hidden = _activated(site, make, first, None if weights[2] is None else product(tokens, 2))
    each = product(hidden, 1)
    by_expert = make.transpose(share, 1, 0)
    scaled = make("Mul", each, make.reshape(by_expert, *by_expert.shape, 1))
    return make.reshape(make("ReduceSum", scaled, make.integers(0), keepdims=0), *x.shape)


def _shares(site: Site, make: Make, router: Value, mixing: Value | None) -> Value:
    """How much of each expert a token takes: 0 for all but the best k."""
    count, k = router.shape[1], site.positive("k")
    if not isinstance(count, int) or k > count:
        raise site.shape_error(f"at least {k} experts", str(count))
    scores = make("Softmax", router, axis=-1)
    _, best = make.several(2, "TopK", router, make.integers(k), axis=-1)
    chosen = make("OneHot", best, make.scalar(count), make.constant(_SWITCH), axis=-1)
    chosen = make("ReduceMax", chosen, make.integers(1), keepdims=0)
    share = make("Mul", scores if mixing is None else mixing, make.cast(chosen, scores.dtype))
    if site.integer("normalize_routing_weights"):
        total = make("ReduceSum", share, make.integers(-1), keepdims=1)
        share = make("Div", share, total)
    return share


def _activated(site: Site, make: Make, first: Value, gate: Value | None) -> Value:
    kind = site.text("activation_type")
    if kind == "swiglu":
        return _swiglu(site, make, first, gate)
    names = {"relu": "Relu", "gelu": "Gelu", "silu": "Swish", "identity": "Identity"}
    if kind not in names:
        raise site.unsupported(f"the activation {kind!r} isn't run")
    made = first if kind == "identity" else make(names[kind], first)
    return made if gate is None else make("Mul", made, gate)


def _swiglu(site: Site, make: Make, first: Value, second: Value | None) -> Value:
    """G · sigmoid(alpha · G) · (L + beta), of one product that holds both, or of two."""
    axis, width = 2, first.shape[2]
    fused = site.integer("swiglu_fusion")
    if fused == 1:
        half = dims.floor_div(width, 2)
        pairs = make.reshape(first, *first.shape[:2], half, 2)
        first, second = (make("Gather", pairs, make.scalar(j), axis=3) for j in (0, 1))
    elif fused == 2:
        half = dims.floor_div(width, 2)
        first, second = make.part(first, axis, 0, half), make.part(first, axis, half, width)
    if second is None:
        raise site.shape_error("a third product, or swiglu_fusion", "neither")
    limit = site.attributes.get("swiglu_limit")
    if isinstance(limit, int | float) and limit < 3e38:
        most, least = make.number(limit, first), make.number(-limit, first)
        first, second = make("Min", first, most), make("Clip", second, least, most)
    gate = make("Swish", first, alpha=site.number("activation_alpha"))
    return make("Mul", gate, make("Add", second, make.number(site.number("activation_beta"), gate)))


@composite(
    "QMoE", *_EXPERTS, Attr("expert_weight_bits", 4), Attr("block_size", 0),
    Attr("quant_type", "int"), Attr("accuracy_level", 0), Attr("weights_prepacked", -1),
    *(Attr(f"fc{j}_expert_weight_bits", 0) for j in (1, 2, 3)), domain=MICROSOFT,
)  # fmt: skip
def quantised_moe(site: Site, make: Make) -> tuple[Value, ...]:
    """MoE of weights of 2, 4 or 8 bits, each with a scale a row or a block."""
    if site.text("quant_type") != "int" or site.integer("weights_prepacked") == 1:
        raise site.unsupported("weights other than plain integers aren't run")
    bits, block = site.integer("expert_weight_bits"), site.integer("block_size")
    if any(v is not None for v in site.inputs[15:]):
        raise site.unsupported("scales of what is multiplied aren't run")
    weights: list[Value | None] = []
    for number, position in enumerate((2, 5, 8)):
        if site.optional(position) is None:
            weights.append(None)
            continue
        scales = site.optional(position + 1)
        if scales is None:
            raise site.shape_error(f"scales as input {position + 1}", "none")
        own = site.integer(f"fc{number + 1}_expert_weight_bits")
        width = own if own > 0 else bits
        weights.append(blocks_of(site, make, position, scales, 11 + number, width, block))
    biases = [site.optional(j) for j in (4, 7, 10)]
    return (experts(site, make, weights, biases, site.optional(14)),)
