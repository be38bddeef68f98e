"""webrt.Attention: what a pass makes of the attention pattern, in any exporter's spelling."""

from __future__ import annotations

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel import expr as ex
from webrt.kernel.expr import Ref, call, f32
from webrt.kernel.problem import Attention as AttentionProblem
from webrt.ops.emit import F32_MAX, Emitter, flat, spread
from webrt.ops.registry import Attr, operator
from webrt.ops.site import Inferred, Site, Tensor, broadcast, hold_equal, same_dim, shape_text

MASKED = -F32_MAX
"""What a masked score becomes: at most -3e38, which the problem reads as masked out."""


@operator("Attention", Attr("scale", 1.0), Attr("softcap", 0.0), domain="webrt")
class Attention:
    """softmax(cap(scale · query · keyᵀ) + mask) · value; a bool mask keeps where it is true.

    query [B…, Q, D], key [B…, T, D], value [B…, T, E] -> [B…, Q, E]; key and value may have batch
    dims of 1, and the mask broadcasts to [B…, Q, T]. A softcap of c > 0: cap(x) = c·tanh(x / c).
    A sink, of a shape that broadcasts to [B…], is one more score, whose value is 0.
    """

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        query, key, value = (site.input(j) for j in range(3))
        shapes = ", ".join(shape_text(v.shape) for v in (query, key, value))
        error = site.shape_error("[B…, Q, D], [B…, T, D], [B…, T, E]", shapes)
        batch = query.shape[:-2]
        if not len(query.shape) == len(key.shape) == len(value.shape):
            raise error
        pairs = [(query.shape[-1], key.shape[-1]), (key.shape[-2], value.shape[-2])]
        for other in (key, value):
            both = zip(batch, other.shape[:-2], strict=True)
            pairs += [(a, b) for a, b in both if b != 1]
        for a, b in pairs:
            hold_equal(site, error, a, b)
        mask = site.optional(3)
        if mask is not None:
            scores = (*batch, query.shape[-2], key.shape[-2])
            both = zip(broadcast(site, mask.shape, scores), scores, strict=False)
            # Lengths by different names were held to be equal when the graph was made.
            wider = any(a != b and (b == 1 or same_dim(a, b) is False) for a, b in both)
            if len(mask.shape) > len(scores) or wider:
                raise site.shape_error(
                    f"a mask that broadcasts to {shape_text(scores)}", shape_text(mask.shape)
                )
        sink = site.optional(4)
        if sink is not None and broadcast(site, sink.shape, batch) != batch:
            raise site.shape_error(
                f"a sink that broadcasts to {shape_text(batch)}", shape_text(sink.shape)
            )
        return (Inferred(query.dtype, (*query.shape[:-1], value.shape[-1])),)

    @staticmethod
    def reference(
        site: Site, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None,
        sink: Tensor | None = None,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        score = np.matmul(query, np.swapaxes(key, -1, -2)) * np.float32(site.number("scale"))
        softcap = np.float32(site.number("softcap"))
        if softcap > 0:
            score = softcap * np.tanh(score / softcap)
        if mask is not None:
            score = np.where(mask, score, MASKED) if mask.dtype == bool else score + mask
        most = score.max(axis=-1, keepdims=True)
        if sink is not None:
            most = np.maximum(most, sink[..., None, None])
        weight = np.exp(score - most)
        total = weight.sum(axis=-1, keepdims=True)
        if sink is not None:
            total = total + np.exp(sink[..., None, None] - most)
        return (np.matmul(weight / total, value),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        query, key, value = (site.input(j) for j in range(3))
        batch = query.shape[:-2]
        b: tuple[Dim, ...] = tuple(dims.symbol(f"b{j}") for j in range(len(batch)))
        q, t, d, e = (dims.symbol(name) for name in "qtde")
        operands = emit.operands()
        x = operands.load(query, flat((*b, q, d), query.shape))
        sink, columns = site.optional(4), key.shape[-2]
        row = t if sink is None else dims.dim_min(t, columns - 1)
        y = operands.load(key, _offset(b, (row, d), key.shape))
        z = operands.load(value, _offset(b, (row, e), value.shape))
        score: ex.Expr = Ref("score", DType.F32)
        if site.number("scale") != 1:
            score = call("mul", score, f32(site.number("scale")))
        softcap = site.number("softcap")
        if softcap > 0:
            bent = call("tanh", call("mul", score, f32(1 / softcap)))
            score = call("mul", bent, f32(softcap))
        mask = site.optional(3)
        if mask is not None:
            term = operands.load(mask, spread((*b, q, row), mask.shape))
            if mask.dtype is DType.BOOL:
                score = ex.select(term, score, f32(MASKED))
            else:
                score = call("add", score, term)
        if sink is not None:
            is_key = call("lt", ex.as_index(t), ex.as_index(columns))
            score = ex.select(is_key, score, operands.at(sink, b))
            z = ex.select(is_key, z, f32(0))
            columns = columns + 1
        output = emit.outputs[0]
        stored = emit.stored(output, flat((*b, q, e), output.shape), Ref("acc", DType.F32))
        problem = AttentionProblem(
            batch, query.shape[-2], columns, query.shape[-1], value.shape[-1],
            operands.declared(), x, y, z, score, (stored,),
        )  # fmt: skip
        emit.problem(problem, operands, emit.outputs)


def _offset(batch: tuple[Dim, ...], inner: tuple[Dim, Dim], shape: tuple[Dim, ...]) -> Dim:
    """Of an element whose matrix may serve many of the batch; its rows and columns are its own."""
    own = [0 if extent == 1 else at for at, extent in zip(batch, shape, strict=False)]
    return flat((*own, *inner), shape)
