"""Positions and states: biases by distance, rotations, causal convolutions."""

from __future__ import annotations

import math

import numpy as np

from webrt import dims
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.ops.compose import Make, composite
from webrt.ops.contrib import MICROSOFT
from webrt.ops.registry import Attr
from webrt.ops.rotary import rotate
from webrt.ops.site import Site, hold_equal, shape_text


@composite("GemmaRotaryEmbedding", domain=MICROSOFT)
def gemma_rotary_embedding(site: Site, make: Make) -> tuple[Value, ...]:
    """Of angles, queries, queries turned by 90 degrees, keys, keys turned."""
    angle = make("Unsqueeze", site.input(0), make.integers(1))
    cos, sin = (make.cast(make(op, angle), site.input(1).dtype) for op in ("Cos", "Sin"))
    first, second = (
        make("Add", make("Mul", site.input(j), cos), make("Mul", site.input(j + 1), sin))
        for j in (1, 3)
    )
    return first, second


@composite(
    "RelativePositionBias", Attr("is_bidirectional", 0), Attr("max_distance"), domain=MICROSOFT
)
def relative_position_bias(site: Site, make: Make) -> tuple[Value, ...]:
    """T5's bias of scores, [1, heads, Q, T]; the table lies in columns: [heads, buckets]."""
    buckets, heads = site.ranked(0, 2)
    if not isinstance(buckets, int):
        raise site.unsupported("a number of buckets that isn't known")
    rows, columns = site.scalar(1, "query_length"), site.scalar(2, "key_length")
    both, total = bool(site.integer("is_bidirectional")), buckets
    own = make.reshape(make.range(rows), rows, 1)
    distance = make("Sub", make.range(columns), own)
    if both:
        total //= 2
        far = make("Abs", distance)
    else:
        far = make("Max", make("Neg", distance), make.scalar(0))
    exact = total // 2
    ratio = make("Div", make.cast(far, DType.F32), make.constant(np.array([exact], np.float32)))
    steps = (total - exact) / math.log(site.positive("max_distance") / exact)
    log = make("Log", make("Max", ratio, make.constant(np.ones(1, np.float32))))
    large = make.cast(make("Mul", log, make.constant(np.array([steps], np.float32))), DType.I64)
    large = make("Min", make("Add", large, make.scalar(exact)), make.scalar(total - 1))
    bucket = make("Where", make("Less", far, make.scalar(exact)), far, large)
    if both:
        after = make.cast(make("Greater", distance, make.scalar(0)), DType.I64)
        bucket = make("Add", bucket, make("Mul", after, make.scalar(total)))
    table = make.reshape(site.input(0), heads, buckets)
    return (make("Unsqueeze", make("Gather", table, bucket, axis=1), make.integers(0)),)


@composite("GatedRelativePositionBias", Attr("num_heads"), domain=MICROSOFT)
def gated_relative_position_bias(site: Site, make: Make) -> tuple[Value, ...]:
    """WavLM's: rel_pos times gates that the queries give."""
    if site.optional(6) is not None:
        raise site.unsupported("packed tokens aren't run")
    batch, rows, width = site.ranked(0, 3)
    heads = site.positive("num_heads")
    query = make("Add", site.input(0), site.input(1))
    split = make.reshape(query, batch, rows, heads, dims.floor_div(width, heads))
    split = make.transpose(split, 0, 2, 1, 3)
    both = make("Add", make("MatMul", split, site.input(3)), site.input(4))
    half = dims.floor_div(both.shape[-1], 2)
    sums = make("ReduceSum", make.reshape(both, batch, heads, rows, 2, half), make.integers(-1),
                keepdims=0)  # fmt: skip
    gates = make("Sigmoid", sums)
    update, reset = (make.part(gates, 3, j, j + 1) for j in (0, 1))
    one, two = make.number(1, gates), make.number(2, gates)
    inner = make("Sub", make("Mul", reset, site.input(5)), one)
    gate = make("Add", make("Mul", update, inner), two)
    return (make("Mul", gate, site.input(2)),)


@composite(
    "CausalConvWithState", Attr("activation", "none"), Attr("ndim", 1), Attr("dilation", 1),
    Attr("channels_last", 0), Attr("state_window", 0), domain=MICROSOFT,
)  # fmt: skip
def causal_conv_with_state(site: Site, make: Make) -> tuple[Value, ...]:
    """A convolution of each channel over what came before; its end is the next call's state."""
    if site.integer("ndim") != 1 or site.integer("state_window"):
        raise site.unsupported("more than one dim, or a window of states, isn't run")
    x, weight, last = site.input(0), site.input(1), bool(site.integer("channels_last"))
    channels, _, taps = site.ranked(1, 3)
    site.ranked(0, 3)
    held = (taps - 1) * site.positive("dilation")
    past = site.optional(3)
    if last:
        x = make.transpose(x, 0, 2, 1)
        past = None if past is None else make.transpose(past, 0, 2, 1)
    error = site.shape_error(f"{channels} channels", shape_text(x.shape))
    hold_equal(site, error, x.shape[1], channels)
    if past is None:
        pads = make.integers(0, 0, held, 0, 0, 0)
        whole = make("Pad", x, pads, make.number(0, x))
    else:
        whole = make("Concat", past, x, axis=2)
    made = make.node(
        "Conv", (whole, weight, site.optional(2)),
        {"group": _known(site, channels), "dilations": (site.positive("dilation"),)},
    )[0]  # fmt: skip
    if site.text("activation") in ("silu", "swish"):
        made = make("Swish", made)
    elif site.text("activation") != "none":
        raise site.unsupported(f"the activation {site.text('activation')!r} isn't run")
    state = make.part(whole, 2, x.shape[2], x.shape[2] + held)
    if last:
        made, state = (make.transpose(v, 0, 2, 1) for v in (made, state))
    return made, state


def _known(site: Site, size: dims.Dim) -> int:
    if not isinstance(size, int):
        raise site.unsupported("a number of channels that isn't known")
    return size


@composite(
    "MRotaryEmbedding", Attr("mrope_section"), Attr("mrope_layout", 0), Attr("num_heads", 0),
    Attr("rotary_embedding_dim", 0), Attr("interleaved", 0), Attr("is_packed_batching", 0),
    Attr("scale", 1.0), domain=MICROSOFT,
)  # fmt: skip
def multimodal_rotary_embedding(site: Site, make: Make) -> tuple[Value, ...]:
    """RotaryEmbedding by three positions a token, each of which turns columns of its own."""
    if site.integer("is_packed_batching") or site.number("scale") != 1:
        raise site.unsupported("packed batches or a scale aren't run")
    sections = site.integers("mrope_section")
    half, x = site.ranked(2, 2)[1], site.input(0)
    if len(sections) != 3 or sum(sections) != half:
        raise site.shape_error(f"3 sections of {half} columns together", str(sections))
    owner = np.repeat(np.arange(3), sections)
    if site.integer("mrope_layout") == 1:
        owner = np.zeros(sum(sections), np.int64)
        for which in (1, 2):
            owner[which : sections[which] * 3 : 3] = which
    heads = site.integer("num_heads")
    if not heads and len(x.shape) == 3:
        raise site.unsupported("a number of heads that isn't known")
    tables = []
    for position in (2, 3):
        found = make("Gather", site.input(position), site.input(1), axis=0)  # [3, B, S, half]
        parts = [make("Gather", found, make.scalar(j), axis=0) for j in range(3)]
        made = parts[0]
        for which in (1, 2):
            made = make("Where", make.constant(owner == which), parts[which], made)
        tables.append(made)
    return (rotate(make, x, tables[0], tables[1], None, bool(site.integer("interleaved")), heads),)
