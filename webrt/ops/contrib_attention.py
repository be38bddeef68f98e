"""Attention as ONNX Runtime spells it: fused projections, padding masks, caches in place."""

from __future__ import annotations

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.ops.compose import Make, composite
from webrt.ops.heads import (
    Masks,
    add_windows,
    attend,
    join_heads,
    split_heads,
)
from webrt.ops.registry import Attr
from webrt.ops.rotary import check_width, rotate
from webrt.ops.site import Site, same_dim, shape_text

MICROSOFT = "com.microsoft"


def _scale(site: Site) -> float | None:
    """The attribute, where it is given and isn't 0."""
    value = site.attributes.get("scale", 0.0)
    return float(value) if isinstance(value, int | float) and value else None


def _flag(site: Site, name: str) -> bool:
    return bool(site.attributes.get(name, 0))


def _padding(
    site: Site, make: Make, masks: Masks, given: Value | None, batch: Dim, columns: Dim
) -> None:
    """What a mask of keys allows: [B] lengths, or [B, T], [B, Q, T], [B, 1, Q, T] of 0 and 1."""
    if given is None:
        return
    shape = given.shape
    if len(shape) == 1:
        if same_dim(shape[0], batch) is not True:
            raise site.unsupported(f"a mask of {shape_text(shape)} isn't run")
        lengths = make.cast(make.reshape(given, batch, 1, 1, 1), DType.I64)
        masks.allowed.append(make("Less", make.range(columns), lengths))
        return
    flags = make.cast(given, DType.BOOL)
    if len(shape) == 2:
        flags = make.reshape(flags, shape[0], 1, 1, shape[1])
    elif len(shape) == 3:
        flags = make.reshape(flags, shape[0], 1, *shape[1:])
    low = site.number("mask_filter_value")
    added = make("Where", flags, _float(make, 0.0), _float(make, low))
    masks.added = added if masks.added is None else make("Add", masks.added, added)


def _float(make: Make, value: float) -> Value:
    return make.constant(np.asarray(value, np.float32))


def _biased(make: Make, masks: Masks, bias: Value | None) -> None:
    if bias is not None:
        masks.added = bias if masks.added is None else make("Add", masks.added, bias)


def _with_past(make: Make, past: Value | None, new: Value) -> Value:
    return new if past is None else make("Concat", past, new, axis=2)


_MASKED = Attr("mask_filter_value", -10000.0)


@composite(
    "Attention", Attr("num_heads"), Attr("unidirectional", 0), Attr("qkv_hidden_sizes"),
    Attr("scale", 0.0), _MASKED, Attr("do_rotary", 0), Attr("past_present_share_buffer", 0),
    Attr("rotary_embedding_dim", 0), domain=MICROSOFT,
)  # fmt: skip
def attention(site: Site, make: Make) -> tuple[Value, ...]:
    """One product projects to queries, keys and values: input, weights, bias, mask, past, bias."""
    x, weights = site.input(0), site.input(1)
    mask, past, added = (site.optional(j) for j in (3, 4, 5))
    return attention_of(site, make, x, weights, site.optional(2), mask, past, added)


def attention_of(
    site: Site, make: Make, x: Value, weights: Value, bias: Value | None, mask: Value | None,
    past: Value | None, added: Value | None = None,
) -> tuple[Value, ...]:  # fmt: skip
    """The attention of what x is projected to, and the past with it where that is asked for."""
    if _flag(site, "do_rotary") or _flag(site, "past_present_share_buffer"):
        raise site.unsupported("rotary embeddings or a shared buffer of the past aren't run")
    batch, rows, _ = site.ranked(0, 3)
    heads, width = site.positive("num_heads"), site.ranked(1, 2)[1]
    third = dims.floor_div(width, 3)
    sizes: tuple[Dim, ...] = (third, third, third)
    if site.attributes.get("qkv_hidden_sizes"):
        sizes = site.integers("qkv_hidden_sizes")
    projected = make("MatMul", x, weights)
    if bias is not None:
        projected = make("Add", projected, bias)
    starts: list[Dim] = [0, sizes[0], sizes[0] + sizes[1], width]
    parts = [make.part(projected, 2, starts[j], starts[j + 1]) for j in range(3)]
    query, key, value = (split_heads(make, part, heads) for part in parts)
    pasts: list[Value | None] = [None, None]
    if past is not None:
        pasts = [make("Gather", past, make.scalar(j), axis=0) for j in (0, 1)]
    key, value = (_with_past(make, p, x) for p, x in zip(pasts, (key, value), strict=True))
    masks, columns = Masks(), key.shape[2]
    _padding(site, make, masks, mask, batch, columns)
    _biased(make, masks, added)
    offset: Dim = 0 if pasts[0] is None else pasts[0].shape[2]
    add_windows(make, masks, rows, columns, offset, _flag(site, "unidirectional"))
    result = join_heads(make, attend(site, make, query, key, value, masks, _scale(site)))
    if site.outputs < 2:
        return (result,)
    pair = [make("Unsqueeze", x, make.integers(0)) for x in (key, value)]
    return result, make("Concat", *pair, axis=0)


@composite(
    "MultiHeadAttention", Attr("num_heads"), Attr("unidirectional", 0), Attr("scale", 0.0),
    _MASKED, domain=MICROSOFT,
)  # fmt: skip
def multi_head_attention(site: Site, make: Make) -> tuple[Value, ...]:
    """Inputs: query, key, value, bias, padding of keys, bias of scores, past key and value.

    Past keys and values count only where the present ones are outputs, as in onnxruntime-web.
    """
    heads = site.positive("num_heads")
    if site.optional(8) is not None or site.optional(9) is not None:
        raise site.unsupported("a shared buffer of the past isn't run")
    query, key, value = _projected(site, make, heads, site.optional(3))
    batch, _, rows, _ = query.shape
    offset: Dim = 0
    if site.outputs > 1 and site.optional(6) is not None and site.optional(7) is not None:
        offset = site.ranked(6, 4)[2]
        key = make("Concat", site.input(6), key, axis=2)
        value = make("Concat", site.input(7), value, axis=2)
    masks, columns = Masks(), key.shape[2]
    _padding(site, make, masks, site.optional(4), batch, columns)
    _biased(make, masks, site.optional(5))
    add_windows(make, masks, rows, columns, offset, _flag(site, "unidirectional"))
    result = attend(site, make, query, key, value, masks, _scale(site))
    return join_heads(make, result), key, value


def _projected(
    site: Site, make: Make, heads: int, bias: Value | None
) -> tuple[Value, Value, Value]:
    """Queries, keys and values with heads, from the shapes that they may come in."""
    query, key, value = site.input(0), site.optional(1), site.optional(2)
    if len(query.shape) == 5:  # [B, S, heads, 3, D]
        q, k, v = (_picked(make, query, j) for j in range(3))
        return q, k, v
    site.ranked(0, 3)
    if key is None:
        raise site.shape_error("a key", "none")
    if bias is not None:
        width = query.shape[2]
        parts = [make.part(bias, 0, width * j, width * (j + 1)) for j in (0, 1)]
        parts.append(make.part(bias, 0, width * 2, bias.shape[0]))
        query = make("Add", query, parts[0])
        if len(key.shape) == 3 and value is not None:
            key, value = make("Add", key, parts[1]), make("Add", value, parts[2])
    query = split_heads(make, query, heads)
    if len(key.shape) == 5:  # [B, S, heads, 2, D]
        return query, _picked(make, key, 0), _picked(make, key, 1)
    if value is None:
        raise site.shape_error("a value", "none")
    if len(key.shape) == 3:
        key, value = (split_heads(make, x, heads) for x in (key, value))
    return query, key, value


def _picked(make: Make, packed: Value, position: int) -> Value:
    """[B, heads, S, D], of [B, S, heads, parts, D]."""
    return make.transpose(make("Gather", packed, make.scalar(position), axis=3), 0, 2, 1, 3)


@composite(
    "DecoderMaskedMultiHeadAttention", Attr("num_heads"), Attr("scale", 0.0), _MASKED,
    Attr("past_present_share_buffer", 0), Attr("output_qk", 0), domain=MICROSOFT,
)  # fmt: skip
def decoder_masked_attention(site: Site, make: Make) -> tuple[Value, ...]:
    """One query: query, key, value, padding, bias of scores, past key and value, … bias."""
    if site.optional(9) is not None or site.outputs > 3:
        raise site.unsupported("beams or its scores as an output aren't run")
    heads = site.positive("num_heads")
    query, key, value = _projected(site, make, heads, site.optional(10))
    past, masks = site.optional(5), Masks()
    batch = query.shape[0]
    if past is not None and _flag(site, "past_present_share_buffer"):
        start = make("Expand", make.cast(site.input(7), DType.I64), make.integers(batch))
        key, value = (
            make("TensorScatter", site.input(j), x, start, axis=2)
            for j, x in ((5, key), (6, value))
        )
        add_windows(make, masks, 1, key.shape[2], start, True)
    elif past is not None:
        key, value = (_with_past(make, site.input(j), x) for j, x in ((5, key), (6, value)))
    _padding(site, make, masks, site.optional(3), batch, key.shape[2])
    _biased(make, masks, site.optional(4))
    result = attend(site, make, query, key, value, masks, _scale(site))
    return join_heads(make, result), key, value


@composite(
    "RotaryEmbedding", Attr("interleaved", 0), Attr("is_packed_batching", 0), Attr("num_heads", 0),
    Attr("rotary_embedding_dim", 0), Attr("scale", 1.0), domain=MICROSOFT,
)  # fmt: skip
def rotary_embedding(site: Site, make: Make) -> tuple[Value, ...]:
    """Input, positions, cos, sin; one position stands for the first row."""
    shape = site.ranked(0, 3, 4)
    if _flag(site, "is_packed_batching") or site.number("scale") != 1:
        raise site.unsupported("packed batches or a scale aren't run")
    check_width(site, site.input(2))
    rows = shape[2] if len(shape) == 4 else shape[1]
    heads: Dim = site.integer("num_heads")
    if not heads and len(shape) == 3:
        heads = dims.floor_div(shape[2], site.ranked(2, 2)[1] * 2)
    if not isinstance(heads, int):
        raise site.unsupported("a number of heads that isn't known")
    at = make.cast(site.input(1), DType.I64)
    if len(at.shape) < 2:
        at = make.reshape(make("Add", make.range(rows), at), 1, rows)
    together = bool(site.integer("interleaved"))
    return (rotate(make, site.input(0), site.input(2), site.input(3), at, together, heads),)
