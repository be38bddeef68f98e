"""Attention without softmax: a state of keys by values, updated token by token."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.ops.compose import Make, composite
from webrt.ops.contrib import MICROSOFT
from webrt.ops.flow import Slices, repeat, unrolled
from webrt.ops.recurrent import SHORT
from webrt.ops.registry import Attr
from webrt.ops.site import Site, hold_shape, same_dim, shape_text

RULES = {"linear": (False, False), "gated": (True, False), "delta": (False, True),
         "gated_delta": (True, True)}  # fmt: skip
"""Whether the state decays, and whether what it holds of a key already is taken off."""

_LINEAR = (
    Attr("q_num_heads"), Attr("kv_num_heads"), Attr("scale", 0.0),
    Attr("update_rule", "gated_delta"), Attr("chunk_size", 64),
)  # fmt: skip


@composite("LinearAttention", *_LINEAR, since=27)
def linear_attention(site: Site, make: Make) -> tuple[Value, ...]:
    """Inputs: query, key, value, past state, decay (a logarithm), update rate."""
    return _linear(site, make)


@composite("LinearAttention", *_LINEAR, Attr("state_window", 0), domain=MICROSOFT)
def linear_attention_of_microsoft(site: Site, make: Make) -> tuple[Value, ...]:
    """The same; there may be more heads of keys than of queries."""
    if site.integer("state_window"):
        raise site.unsupported("a window of states isn't run")
    return _linear(site, make)


def _linear(site: Site, make: Make) -> tuple[Value, ...]:
    heads, kept = site.positive("q_num_heads"), site.positive("kv_num_heads")
    if max(heads, kept) % min(heads, kept):
        raise site.shape_error("heads that are a multiple of the others", f"{heads}, {kept}")
    rule = site.text("update_rule")
    if rule not in RULES:
        raise site.unsupported(f"the update rule {rule!r} isn't run")
    decays, corrects = RULES[rule]
    query, key, value = (_split(site, make, j, h) for j, h in enumerate((heads, kept, kept)))
    batch, length, _, width = query.shape
    scale = site.number("scale")
    if not scale:
        if not isinstance(width, int):
            raise site.unsupported("a width of heads that isn't known")
        scale = 1 / math.sqrt(width)
    query = make("Mul", query, make.number(scale, query))
    groups = max(heads // kept, 1)
    if heads < kept:  # each head of queries serves many of keys
        wide = make.integers(batch, length, heads, kept // heads, width)
        query = make("Expand", make.reshape(query, batch, length, heads, 1, width), wide)
    query = make.reshape(query, batch, length, kept, groups, width)
    slices = [Slices(v, 1) for v in (query, key, value)]
    if decays:
        slices.append(Slices(make("Exp", _gate(site, make, 4, kept)), 1))
    if corrects:
        slices.append(Slices(_gate(site, make, 5, kept), 1))
    state = _state(site, make, (batch, kept, width, value.shape[3]))

    def body(
        inner: Make, now: Sequence[Value], parts: Sequence[Value]
    ) -> tuple[Sequence[Value], Sequence[Value]]:
        return _turn(inner, now[0], parts, decays, corrects)

    shape = (length, batch, kept, groups, value.shape[3])
    if isinstance(length, int) and length <= SHORT:
        (state,), (column,) = unrolled(make, length, [state], slices, body)
        rows = [make.reshape(v, 1, *v.shape) for v in column]
        result = make("Concat", *rows, axis=0) if len(rows) > 1 else rows[0]
    else:
        (state,), (ring,) = repeat(make, length, [state], slices, body)
        result = make("FromRing", ring, make.integers(*shape), domain="webrt")
    result = make.transpose(result, 1, 0, 2, 3, 4)
    flat = make.reshape(result, batch, length, kept * groups * shape[-1])
    past, given = site.optional(3), site.input(0).dtype
    return make.cast(flat, given), make.cast(state, given if past is None else past.dtype)


def _turn(
    make: Make, state: Value, parts: Sequence[Value], decays: bool, corrects: bool
) -> tuple[list[Value], list[Value]]:
    """One token: the next state [B, H, D, E], and what it gives its queries [B, H, G, E]."""
    query, key, value, *gates = parts
    batch, heads, width = key.shape
    row = make.reshape(key, batch, heads, 1, width)
    column = make.reshape(key, batch, heads, width, 1)
    added = make.reshape(value, batch, heads, 1, value.shape[2])
    if decays:
        state = make("Mul", state, make.reshape(gates[0], *gates[0].shape, 1))
    if corrects:
        rate = make.reshape(gates[-1], *gates[-1].shape, 1)
        added = make("Mul", rate, make("Sub", added, make("MatMul", row, state)))
    state = make("Add", state, make("Mul", column, added))
    return [state], [make("MatMul", query, state)]


def _split(site: Site, make: Make, position: int, heads: int) -> Value:
    """[B, T, heads·D] as [B, T, heads, D], in f32."""
    batch, length, width = site.ranked(position, 3)
    each = dims.floor_div(width, heads)
    if same_dim(each * heads, width) is not True:
        raise site.shape_error(f"a multiple of {heads} columns", str(width))
    x = make.cast(site.input(position), DType.F32)
    return make.reshape(x, batch, length, heads, each)


def _gate(site: Site, make: Make, position: int, heads: int) -> Value:
    """[B, T, H, 1], [B, T, H, D] or [B, T, 1, 1] of what is given flat."""
    batch, length, width = site.ranked(position, 3)
    count = 1 if same_dim(width, 1) is True else heads
    each = dims.floor_div(width, count)
    if same_dim(each * count, width) is not True:
        found = shape_text(site.input(position).shape)
        raise site.shape_error(f"gates of {heads} heads", found)
    return make.reshape(make.cast(site.input(position), DType.F32), batch, length, count, each)


def _state(site: Site, make: Make, shape: tuple[Dim, ...]) -> Value:
    """The past's, or zeros."""
    past = site.optional(3)
    if past is None:
        return make("Expand", make.constant(np.zeros((), np.float32)), make.integers(*shape))
    hold_shape(site, 3, shape)
    return make.cast(past, DType.F32)


@composite("LinearAttentionGate", domain=MICROSOFT)
def linear_attention_gate(site: Site, make: Make) -> tuple[Value, ...]:
    """decay_scale · softplus(a + dt_bias), and the sigmoid of b."""
    x = make.cast(site.input(0), DType.F32)
    biased = make("Add", x, make.cast(site.input(1), DType.F32))
    decay = make("Mul", make.cast(site.input(2), DType.F32), make("Softplus", biased))
    decay = make.cast(decay, site.input(0).dtype)
    rate = site.optional(3)
    if rate is None:
        if site.outputs > 1:
            raise site.shape_error("an input 3", "none")
        return (decay,)
    return decay, make("Sigmoid", rate)
