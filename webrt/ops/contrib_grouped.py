"""GroupQueryAttention: queries that share keys, over a cache that each sample fills by itself."""

from __future__ import annotations

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.ops.compose import Make, composite
from webrt.ops.contrib import MICROSOFT, rms_norm
from webrt.ops.heads import Masks, add_windows, attend, join_heads, split_heads
from webrt.ops.registry import Attr
from webrt.ops.rotary import rotate
from webrt.ops.site import Site, same_dim

PAST, LENGTHS, TOTAL = 3, 5, 6
"""Inputs of GroupQueryAttention."""


@composite(
    "GroupQueryAttention", Attr("num_heads"), Attr("kv_num_heads"), Attr("scale", 0.0),
    Attr("softcap", 0.0), Attr("do_rotary", 0), Attr("rotary_interleaved", 0),
    Attr("local_window_size", -1), Attr("smooth_softmax", 0), Attr("qk_output", 0),
    Attr("causal", 1), Attr("qk_norm_epsilon", 1e-6), Attr("sliding_window_cache", 0),
    Attr("kv_cache_bit_width", 0), Attr("k_quant_type", "NONE"), Attr("v_quant_type", "NONE"),
    domain=MICROSOFT,
)  # fmt: skip
def group_query_attention(site: Site, make: Make) -> tuple[Value, ...]:
    """New keys and values go into the cache behind what each sample holds already."""
    _refuse(site)
    heads, kept = site.positive("num_heads"), site.positive("kv_num_heads")
    sink = site.optional(11)
    if sink is None and site.integer("smooth_softmax"):
        sink = make.number(0, site.input(0))
    query, key, value = grouped(site, make, heads, kept)
    if site.optional(14) is not None and site.optional(15) is not None:
        epsilon = site.number("qk_norm_epsilon")
        query = rms_norm(make, query, site.input(14), epsilon)
        key = rms_norm(make, key, site.input(15), epsilon)
    batch, _, rows, _ = query.shape
    columns = _columns(site, rows)
    held = make.cast(make.reshape(site.input(LENGTHS), batch), DType.I32)
    last, most = (make.cast(make.scalar(d), DType.I32) for d in (rows - 1, columns))
    before = make("Clip", make("Sub", held, last), make.number(0, held), most)  # padded prompts
    before = make.cast(before, DType.I64)
    if site.integer("do_rotary"):
        query, key = turned(site, make, query, key, before, (7, 8), site.optional(9))
    key, value = (
        _cached(make, site.optional(j), x, before, columns)
        for j, x in ((PAST, key), (PAST + 1, value))
    )
    masks = Masks()
    causal, window = bool(site.integer("causal")), site.integer("local_window_size")
    add_windows(make, masks, rows, columns, before, causal, window - 1 if window > 0 else -1)
    if not causal:
        own = make.reshape(make.cast(held, DType.I64), batch, 1, 1, 1)
        masks.allowed.append(make("LessOrEqual", make.range(columns), own))
    masks.added = _widened(make, site.optional(10), columns)
    scale = site.number("scale") or None
    result = attend(site, make, query, key, value, masks, scale, site.number("softcap"), sink)
    return join_heads(make, result), key, value


def _refuse(site: Site) -> None:
    """Raise for what GroupQueryAttention has in other runtimes alone."""
    if site.outputs > 3:
        raise site.unsupported("its scores as an output aren't run")
    kinds = {site.text("k_quant_type"), site.text("v_quant_type")}
    if kinds != {"NONE"} or site.optional(12) is not None or site.optional(13) is not None:
        raise site.unsupported("a cache of integers isn't run")
    if site.integer("sliding_window_cache"):
        raise site.unsupported("a cache of the window alone isn't run")
    if (site.optional(14) is None) != (site.optional(15) is None):
        raise site.shape_error("q_norm_weight and k_norm_weight together", "one of them")


def grouped(site: Site, make: Make, heads: int, kept: int) -> tuple[Value, Value, Value]:
    """Queries, keys and values with heads, from three inputs or one that holds all."""
    query, key, value = site.input(0), site.optional(1), site.optional(2)
    site.ranked(0, 3)
    if key is None or value is None:
        width = dims.floor_div(query.shape[2], heads + 2 * kept)
        ends = [0, heads * width, (heads + kept) * width, (heads + 2 * kept) * width]
        parts = [make.part(query, 2, ends[j], ends[j + 1]) for j in range(3)]
        query, key, value = parts
    return (
        split_heads(make, query, heads), split_heads(make, key, kept),
        split_heads(make, value, kept),
    )  # fmt: skip


def turned(
    site: Site, make: Make, query: Value, key: Value, before: Value, tables: tuple[int, int],
    at: Value | None = None,
) -> tuple[Value, Value]:  # fmt: skip
    """Queries and keys turned by their positions: `at`, or those behind what a sample holds."""
    batch, _, rows, _ = query.shape
    if at is None:
        own = make.reshape(make.range(rows), 1, rows)
        at = make("Add", own, make.reshape(before, batch, 1))
    cos, sin = (site.input(j) for j in tables)
    together = bool(site.integer("rotary_interleaved"))
    return rotate(make, query, cos, sin, at, together, 1), rotate(
        make, key, cos, sin, at, together, 1
    )


def _columns(site: Site, rows: Dim) -> Dim:
    """How long the cache is: it grows to the total length where it has less room."""
    if site.optional(PAST) is None:
        return rows
    return dims.dim_max(site.ranked(PAST, 4)[2], site.scalar(TOTAL, "total_sequence_length"))


def _cached(make: Make, past: Value | None, new: Value, before: Value, length: Dim) -> Value:
    """The cache with the new rows in it."""
    if past is None:
        return new
    room = past.shape[2]
    if same_dim(length, room) is not True:
        pads = make.integers(0, 0, 0, 0, 0, 0, length - room, 0)
        past = make("Pad", past, pads, make.number(0, past))
    return make("TensorScatter", past, new, before, axis=2)


def _widened(make: Make, bias: Value | None, columns: Dim) -> Value | None:
    """The bias of scores, for all keys of a cache that has room for more than the total length."""
    if bias is None or same_dim(bias.shape[3], columns) is True:
        return bias
    pads = make.integers(0, 0, 0, 0, 0, 0, 0, columns - bias.shape[3])
    return make("Pad", bias, pads, make.number(0, bias))


@composite(
    "SparseAttention", Attr("num_heads"), Attr("kv_num_heads"), Attr("sparse_block_size"),
    Attr("scale", 0.0), Attr("do_rotary", 0), Attr("rotary_interleaved", 0), domain=MICROSOFT,
)  # fmt: skip
def sparse_attention(site: Site, make: Make) -> tuple[Value, ...]:
    """Grouped queries that look at some blocks of keys, over a cache that has room for all."""
    heads, kept = site.positive("num_heads"), site.positive("kv_num_heads")
    query, key, value = grouped(site, make, heads, kept)
    batch, _, rows, _ = query.shape
    columns = site.ranked(PAST, 4)[2]
    whole = make.cast(make.reshape(site.input(8), batch), DType.I32)
    last, most = (make.cast(make.scalar(d), DType.I32) for d in (rows, columns))
    before = make("Clip", make("Sub", whole, last), make.number(0, whole), most)
    before = make.cast(before, DType.I64)
    if site.integer("do_rotary"):
        query, key = turned(site, make, query, key, before, (9, 10))
    key, value = (
        make("TensorScatter", site.input(j), x, before, axis=2)
        for j, x in ((PAST, key), (PAST + 1, value))
    )
    masks = Masks()
    add_windows(make, masks, rows, columns, before, True)
    masks.allowed.append(_blocks(site, make, before, (heads, rows, columns)))
    scale = site.number("scale") or None
    result = attend(site, make, query, key, value, masks, scale)
    return join_heads(make, result), key, value


def _blocks(site: Site, make: Make, before: Value, shape: tuple[int, Dim, Dim]) -> Value:
    """Which keys' blocks the queries' blocks look at: [B, heads, Q, T]."""
    heads, rows, columns = shape
    block = site.positive("sparse_block_size")
    starts = site.constant(5, "its block mask")
    starts = starts.reshape(-1, starts.shape[-1])
    places = site.constant(6, "its block mask").reshape(len(starts), -1)
    layouts, count = len(starts), starts.shape[1] - 1
    if heads % layouts:
        raise site.shape_error(f"heads that are a multiple of {layouts} layouts", str(heads))
    table = np.zeros((layouts, count, count), bool)
    for layout, row in np.ndindex(layouts, count):
        table[layout, row, places[layout, starts[layout, row] : starts[layout, row + 1]]] = True
    unit = make.scalar(block)
    own = make.reshape(make.range(rows), 1, rows)
    at = make("Add", own, make.reshape(before, before.shape[0], 1))
    seen = make("Gather", make.constant(table), make("Div", at, unit), axis=1)
    seen = make("Gather", seen, make("Div", make.range(columns), unit), axis=3)
    seen = make.transpose(seen, 1, 0, 2, 3)  # heads take the layouts in turns
    if layouts in (1, heads):
        return seen
    return make("Tile", seen, make.integers(1, heads // layouts, 1, 1))


def growth(make: Make, query: Value, past: Value, lengths: Value, total: Value) -> Value:
    """How much longer than its past a cache must be, of lengths that are data: one i32.

    It is -1, which ends a run, where the lengths don't go together: a sample holds more than the
    total, or has fewer rows than are new and this is no prompt.
    """
    whole = make.reshape(make.cast(total, DType.I32), 1)
    rows, room = (make.cast(make.integers(d), DType.I32) for d in (query.shape[1], past.shape[2]))
    zero, one = (make.constant(np.array([j], np.int32)) for j in (0, 1))
    held = make("Add", make.reshape(make.cast(lengths, DType.I32), query.shape[0]), one)
    most = make("ReduceMax", held, make.integers(0), keepdims=1)
    least = make("ReduceMin", held, make.integers(0), keepdims=1)
    prompt = make("And", make("Equal", whole, rows), make("GreaterOrEqual", least, one))
    behind = make("GreaterOrEqual", least, rows)
    fits = make("And", make("LessOrEqual", most, whole), make("Or", prompt, behind))
    more = make("Max", make("Sub", whole, room), zero)
    return make("Where", fits, more, make("Neg", one))
