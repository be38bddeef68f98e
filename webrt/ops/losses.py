"""Losses over classes: NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss."""

from __future__ import annotations

from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.ops.compose import Make, composite
from webrt.ops.registry import Attr
from webrt.ops.site import Site, shape_text

_ATTRIBUTES = (Attr("ignore_index"), Attr("reduction", "mean"))


@composite("NegativeLogLikelihoodLoss", *_ATTRIBUTES, since=12)
def negative_log_likelihood(site: Site, make: Make) -> tuple[Value, ...]:
    """Of log-probabilities [N, C, d…] and classes [N, d…]."""
    return (_loss(site, make, site.input(0)),)


@composite("SoftmaxCrossEntropyLoss", *_ATTRIBUTES, since=12)
def softmax_cross_entropy(site: Site, make: Make) -> tuple[Value, ...]:
    """The same of scores; the log-probabilities are the second output."""
    site.ranked(0, 2, 64)
    logarithms = make("LogSoftmax", site.input(0), axis=1)
    return _loss(site, make, logarithms), logarithms


def _loss(site: Site, make: Make, logarithms: Value) -> Value:
    shape = site.ranked(0, 2, 64)
    target, weights = site.input(1), site.optional(2)
    if len(target.shape) != len(shape) - 1:
        raise site.shape_error(f"{len(shape) - 1} dims of classes", shape_text(target.shape))
    counted: Value | None = None
    classes = make.cast(target, DType.I64)
    if "ignore_index" in site.attributes:
        ignored = make("Equal", classes, make.scalar(site.integer("ignore_index")))
        counted = make("Not", ignored)
        classes = make("Where", counted, classes, make.scalar(0))
    axis = make.integers(1)
    picked = make("GatherElements", logarithms, make("Unsqueeze", classes, axis), axis=1)
    loss = make("Neg", make("Squeeze", picked, axis))
    weight: Value | None = None
    if weights is not None:
        weight = make("Gather", weights, classes, axis=0)
    if counted is not None:
        zero, one = make.number(0, loss), make.number(1, loss)
        weight = make("Where", counted, one if weight is None else weight, zero)
    if weight is not None:
        loss = make("Mul", loss, weight)
    match site.text("reduction"):
        case "none":
            return loss
        case "sum":
            return make("ReduceSum", loss, keepdims=0)
        case "mean" if weight is None:
            return make("ReduceMean", loss, keepdims=0)
        case "mean":
            total = make("ReduceSum", loss, keepdims=0)
            return make("Div", total, make("ReduceSum", weight, keepdims=0))
    raise site.unsupported(f"reduction {site.text('reduction')!r}: expected none, sum or mean")
