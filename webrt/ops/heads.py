"""Attention as ONNX spells it: heads, masks, windows and caches around `webrt.Attention`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.ops.attention import MASKED
from webrt.ops.compose import Make, composite
from webrt.ops.registry import Attr
from webrt.ops.site import Site, compare, hold_equal

WITH_BIAS, AFTER_SOFTMAX = 2, 3
"""What the fourth output of Attention may hold; 0 and 1: scores before and after the soft cap."""


@dataclass(slots=True)
class Masks:
    """What scores are subject to: `allowed` (bools) that must all hold, `added` numbers.

    With `may_empty`, a row of which nothing is allowed gives zeros.
    """

    allowed: list[Value] = field(default_factory=list)
    added: Value | None = None
    may_empty: bool = False

    def all_allowed(self, make: Make) -> Value | None:
        """One bool a score, of the masks that are bools."""
        result: Value | None = None
        for one in self.allowed:
            result = one if result is None else make("And", result, one)
        return result

    def one(self, make: Make) -> Value | None:
        """The mask that `webrt.Attention` takes."""
        allowed = self.all_allowed(make)
        if self.added is None or allowed is None:
            return allowed if self.added is None else self.added
        return make("Where", allowed, self.added, make.number(-math.inf, self.added))

    def some_allowed(self, make: Make) -> Value | None:
        """Whether a row has a score that isn't masked; None where that is sure."""
        if not self.may_empty:
            return None
        parts = list(self.allowed)
        if self.added is not None:
            parts.append(make("Not", make("IsInf", self.added, detect_positive=0)))
        every = Masks(parts).all_allowed(make)
        if every is None:
            return None
        return make("ReduceMax", every, make.integers(-1), keepdims=1)


def split_heads(make: Make, x: Value, heads: int) -> Value:
    """[B, S, heads·D] as [B, heads, S, D]."""
    batch, length, width = x.shape
    split = make.reshape(x, batch, length, heads, dims.floor_div(width, heads))
    return make.transpose(split, 0, 2, 1, 3)


def join_heads(make: Make, x: Value) -> Value:
    """[B, heads, S, D] as [B, S, heads·D]."""
    batch, heads, length, width = x.shape
    return make.reshape(make.transpose(x, 0, 2, 1, 3), batch, length, heads * width)


def attend(
    site: Site,
    make: Make,
    query: Value,
    key: Value,
    value: Value,
    masks: Masks,
    scale: float | None = None,
    softcap: float = 0.0,
    sink: Value | None = None,
) -> Value:
    """[B, H, Q, D], [B, K, T, D], [B, K, T, E] -> [B, H, Q, E]; H / K query heads share a key's.

    A sink is a number for each head, or one for all.
    """
    query, scale = with_scale(make, query, scale)
    mask = masks.one(make)
    if _as_many(site, query, key):
        result = make(
            "Attention", query, key, value, mask, sink, domain="webrt", scale=scale,
            softcap=softcap,
        )  # fmt: skip
    else:
        group, kept = group_size(site, query, key), key.shape[1]
        batch, heads, rows, width = query.shape
        spread = [make.reshape(x, x.shape[0], kept, 1, *x.shape[2:]) for x in (key, value)]
        if sink is not None and dims.product(sink.shape) != 1:
            sink = make.reshape(sink, kept, group)
        result = make(
            "Attention", make.reshape(query, batch, kept, group, rows, width), *spread,
            _grouped(make, mask, kept, group), sink, domain="webrt", scale=scale, softcap=softcap,
        )  # fmt: skip
        result = make.reshape(result, batch, heads, rows, value.shape[-1])
    some = masks.some_allowed(make)
    return result if some is None else make("Where", some, result, make.number(0, result))


def with_scale(make: Make, query: Value, scale: float | None) -> tuple[Value, float]:
    """The scale, 1 / √D where none is given; of a dynamic width, the query takes it."""
    width = query.shape[-1]
    if scale is not None:
        return query, scale
    if isinstance(width, int):
        return query, 1 / math.sqrt(width)
    root = make("Sqrt", make.cast(make.scalar(width), DType.F32))
    return make("Div", query, make.cast(root, query.dtype)), 1.0


def _as_many(site: Site, query: Value, key: Value) -> bool:
    """Whether each query head has a key head of its own; a run holds dynamic ones to that."""
    heads, kept = query.shape[1], key.shape[1]
    if isinstance(heads, int) and isinstance(kept, int):
        return heads == kept
    hold_equal(site, site.shape_error(f"{heads} key heads", str(kept)), heads, kept)
    return True


def group_size(site: Site, query: Value, key: Value) -> int:
    heads, kept = query.shape[1], key.shape[1]
    if not isinstance(heads, int) or not isinstance(kept, int) or heads % kept:
        raise site.shape_error("query heads that are a multiple of key heads", f"{heads}, {kept}")
    return heads // kept


def _grouped(make: Make, mask: Value | None, kept: Dim, group: int) -> Value | None:
    """The mask with its heads, if it has any, in groups."""
    if mask is None or len(mask.shape) < 3:
        return mask
    *batch, heads, rows, columns = mask.shape
    pair = (1, 1) if heads == 1 else (kept, group)
    return make.reshape(mask, *batch, *pair, rows, columns)


def positions(make: Make, rows: Dim, offset: Dim | Value) -> Value:
    """Where queries stand among keys: [Q, 1], or [B, 1, Q, 1] for an offset of each sample."""
    own = make.reshape(make.range(rows), rows, 1)
    if isinstance(offset, Value):
        batch = offset.shape[0]
        wide = make.cast(make.reshape(offset, batch, 1, 1, 1), DType.I64)
        return make("Add", own, wide)
    return own if offset == 0 else make("Add", own, make.scalar(offset))


def add_windows(
    make: Make, masks: Masks, rows: Dim, columns: Dim, offset: Dim | Value,
    causal: bool, left: int = -1, right: int = -1,
) -> None:  # fmt: skip
    """Allow key j for the query at p: j ≤ p where causal, p - left ≤ j ≤ p + right."""
    if not causal and left < 0 and right < 0:
        return
    at = positions(make, rows, offset)
    keys = make.range(columns)
    last = 0 if causal and right != 0 else right
    if causal or right >= 0:
        last = min(last, right) if right >= 0 else last
        end = at if last == 0 else make("Add", at, make.scalar(last))
        masks.allowed.append(make("LessOrEqual", keys, end))
    if left >= 0:
        start = at if left == 0 else make("Sub", at, make.scalar(left))
        masks.allowed.append(make("GreaterOrEqual", keys, start))


def _padded_mask(make: Make, mask: Value, columns: Dim) -> Value:
    """A mask that ends before the keys do masks the rest."""
    found = mask.shape[-1]
    sign = compare(columns, found)
    both = dims.lone_symbol(columns) and dims.lone_symbol(found)
    if sign == 0 or sign == -1 or (sign is None and both):
        return mask  # equal; too long, which the broadcast refuses; or to be taken for equal
    rank = len(mask.shape)
    pads = make.integers(*[0] * (2 * rank - 1), columns - found)
    if mask.dtype is DType.BOOL:
        return make("Pad", mask, pads, make.constant(np.asarray(False)))
    return make("Pad", mask, pads, make.number(-math.inf, mask))


_ATTENTION = (
    Attr("is_causal", 0), Attr("kv_num_heads"), Attr("q_num_heads"),
    Attr("qk_matmul_output_mode", 0), Attr("scale"), Attr("softcap", 0.0),
    Attr("softmax_precision"), Attr("left_window_size", -1, since=25),
    Attr("right_window_size", -1, since=25),
)  # fmt: skip


@composite("Attention", *_ATTENTION, since=23)
def attention(site: Site, make: Make) -> tuple[Value, ...]:
    """Self, cross and grouped-query attention, with its own cache or one from outside."""
    flat = len(site.ranked(0, 3, 4)) == 3
    query, key, value = (site.input(j) for j in range(3))
    for j in (1, 2):
        site.ranked(j, len(query.shape))
    if flat:
        query = split_heads(make, query, site.positive("q_num_heads"))
        key, value = (split_heads(make, x, site.positive("kv_num_heads")) for x in (key, value))
    offset: Dim | Value = 0
    past_key, past_value, lengths = (site.optional(j) for j in (4, 5, 6))
    if (past_key is None) != (past_value is None):
        raise site.shape_error("past_key and past_value together", "one of them")
    if past_key is not None and past_value is not None:
        offset = site.ranked(4, 4)[2]
        key = make("Concat", past_key, key, axis=2)
        value = make("Concat", past_value, value, axis=2)
    rows, columns = query.shape[2], key.shape[2]
    masks = Masks()
    if lengths is not None:
        if past_key is not None:
            raise site.shape_error("nonpad_kv_seqlen or a past", "both")
        lengths = make.cast(lengths, DType.I64)
        offset = make("Sub", lengths, make.scalar(rows))
        wide = make.reshape(lengths, lengths.shape[0], 1, 1, 1)
        masks.allowed.append(make("Less", make.range(columns), wide))
        masks.may_empty = True
    given = site.optional(3)
    if given is not None:
        given = _padded_mask(make, given, columns)
        masks.may_empty = True
        if given.dtype is DType.BOOL:
            masks.allowed.append(given)
        else:
            masks.added = given
    left, right = (
        int(site.attributes.get(f"{side}_window_size", -1))  # type: ignore[arg-type]
        for side in ("left", "right")
    )
    if min(left, right) < -1:
        raise site.shape_error("window sizes of at least -1", f"{left} and {right}")
    add_windows(make, masks, rows, columns, offset, bool(site.integer("is_causal")), left, right)
    result, scores = _result(site, make, query, key, value, masks)
    result = join_heads(make, result) if flat else result
    outputs = (result, key, value) if scores is None else (result, key, value, scores)
    return outputs


def _result(
    site: Site, make: Make, query: Value, key: Value, value: Value, masks: Masks
) -> tuple[Value, Value | None]:
    """The attention; where scores are asked for, step by step."""
    scale = float(site.number("scale")) if "scale" in site.attributes else None
    softcap = site.number("softcap")
    if site.outputs < 4:
        return attend(site, make, query, key, value, masks, scale, softcap), None
    query, scale = with_scale(make, query, scale)
    if not _as_many(site, query, key):
        group = group_size(site, query, key)
        key, value = (_repeated(make, x, group) for x in (key, value))
    product = make("MatMul", query, make.transpose(key, 0, 1, 3, 2))
    score = make("Mul", product, make.number(scale, query))
    steps = [score]
    if softcap > 0:
        cap = make.number(softcap, query)
        score = make("Mul", make("Tanh", make("Div", score, cap)), cap)
    steps.append(score)
    if masks.added is not None:
        score = make("Add", score, masks.added)
    allowed = masks.all_allowed(make)
    if allowed is not None:
        zero, never = make.number(0, score), make.number(-math.inf, score)
        score = make("Add", score, make("Where", allowed, zero, never))
    steps.append(score)
    finite = score
    if score.dtype is not DType.F16:
        finite = make("Max", score, make.number(MASKED, score))
    weights = make("Softmax", finite, axis=-1)
    some = masks.some_allowed(make)
    if some is not None:
        weights = make("Where", some, weights, make.number(0, weights))
    steps.append(weights)
    mode = site.integer("qk_matmul_output_mode")
    if not 0 <= mode <= AFTER_SOFTMAX:
        raise site.shape_error("a qk_matmul_output_mode from 0 to 3", str(mode))
    return make("MatMul", weights, value), steps[mode]


def _repeated(make: Make, x: Value, group: int) -> Value:
    """Each head of keys or values so many times, one after the other."""
    batch, heads, rows, width = x.shape
    wide = make(
        "Expand", make.reshape(x, batch, heads, 1, rows, width),
        make.integers(batch, heads, group, rows, width),
    )  # fmt: skip
    return make.reshape(wide, batch, heads * group, rows, width)
