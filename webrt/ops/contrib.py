"""What ONNX Runtime's own optimiser writes: fused products, activations, normalisations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from webrt import dims
from webrt.dtypes import DType
from webrt.graph.ir import Attribute, Value
from webrt.ops.compose import Make, composite
from webrt.ops.registry import Attr
from webrt.ops.site import Site, hold_shape

MICROSOFT = "com.microsoft"
_ZERO = np.zeros(1, np.int32)


def _swapped(make: Make, x: Value) -> Value:
    """The last two dims exchanged."""
    rank = len(x.shape)
    return make.transpose(x, *range(rank - 2), rank - 1, rank - 2) if rank > 1 else x


@composite(
    "FusedMatMul", Attr("alpha", 1.0), Attr("transA", 0), Attr("transB", 0),
    Attr("transBatchA", 0), Attr("transBatchB", 0), domain=MICROSOFT,
)  # fmt: skip
def fused_matmul(site: Site, make: Make) -> tuple[Value, ...]:
    """A · B · alpha, each of them with its last dims exchanged or not."""
    sides = []
    for j, side in enumerate("AB"):
        x = site.input(j)
        if site.integer(f"transBatch{side}"):
            x = _batch_last(make, x)
        sides.append(_swapped(make, x) if site.integer(f"trans{side}") else x)
    product = make("MatMul", *sides)
    alpha = site.number("alpha")
    return (product if alpha == 1 else make("Mul", product, make.number(alpha, product)),)


def _batch_last(make: Make, x: Value) -> Value:
    """The first dim goes behind the batch dims."""
    rank = len(x.shape)
    return make.transpose(x, *range(1, rank - 1), 0, rank - 1) if rank > 2 else x


def activated(site: Site, make: Make, x: Value) -> Value:
    """The activation that attributes of a fused operator name."""
    name = site.attributes.get("activation", "")
    given = site.attributes.get("activation_params", ())
    numbers = [float(g) for g in given] if isinstance(given, tuple) else []
    named = ("activation_alpha", "activation_beta", "activation_gamma")
    numbers = numbers or [float(site.number(n)) for n in named if n in site.attributes]
    parameters: dict[str, Attribute] = dict(zip(("alpha", "beta", "gamma"), numbers, strict=False))
    match name:
        case "":
            return x
        case "Relu" | "Tanh" | "Sigmoid" | "Softplus" | "Softsign" | "HardSwish":
            return make(str(name), x)
        case "LeakyRelu" | "Elu" | "ThresholdedRelu":
            parameters = {k: v for k, v in parameters.items() if k == "alpha"}
            return make.node(str(name), (x,), parameters)[0]
        case "HardSigmoid":
            parameters.pop("gamma", None)
            return make.node(str(name), (x,), parameters)[0]
        case "Clip" if len(numbers) == 2:
            return make("Clip", x, *(make.number(n, x) for n in numbers))
    raise site.unsupported(f"the activation {name!r} isn't run")


_CONV = (
    Attr("auto_pad", "NOTSET"), Attr("dilations"), Attr("group", 1), Attr("kernel_shape"),
    Attr("pads"), Attr("strides"),
)  # fmt: skip


def _conv(site: Site, make: Make, x: Value, weight: Value, bias: Value | None) -> Value:
    kept = {a.name: site.attributes[a.name] for a in _CONV if a.name in site.attributes}
    return make.node("Conv", (x, weight, bias), kept)[0]


@composite("FusedConv", *_CONV, Attr("activation", ""), Attr("activation_params"), domain=MICROSOFT)
def fused_conv(site: Site, make: Make) -> tuple[Value, ...]:
    """A convolution, plus Z, and an activation."""
    result = _conv(site, make, site.input(0), site.input(1), site.optional(2))
    if site.optional(3) is not None:
        result = make("Add", result, site.input(3))
    return (activated(site, make, result),)


@composite(
    "NhwcFusedConv", *_CONV, Attr("activation", ""), Attr("activation_params"), domain=MICROSOFT
)
def nhwc_fused_conv(site: Site, make: Make) -> tuple[Value, ...]:
    """FusedConv with its channels last; the weight as ever."""
    result = _channels_last(site, make, site.optional(2))
    if site.optional(3) is not None:
        result = make("Add", result, site.input(3))
    return (activated(site, make, result),)


@composite("NhwcConv", *_CONV, domain=MICROSOFT)
def nhwc_conv(site: Site, make: Make) -> tuple[Value, ...]:
    """A convolution with its channels last; the weight as ever."""
    return (_channels_last(site, make, site.optional(2)),)


def _channels_last(site: Site, make: Make, bias: Value | None) -> Value:
    rank = len(site.ranked(0, 3, 5))
    first = make.transpose(site.input(0), 0, rank - 1, *range(1, rank - 1))
    return make.transpose(
        _conv(site, make, first, site.input(1), bias), 0, *range(2, rank), 1
    )  # fmt: skip


@composite(
    "FusedGemm", Attr("alpha", 1.0), Attr("beta", 1.0), Attr("transA", 0), Attr("transB", 0),
    Attr("activation", ""), Attr("activation_alpha"), Attr("activation_beta"),
    Attr("activation_gamma"), domain=MICROSOFT,
)  # fmt: skip
def fused_gemm(site: Site, make: Make) -> tuple[Value, ...]:
    """Gemm and an activation."""
    kept = {n: site.attributes[n] for n in ("alpha", "beta", "transA", "transB")}
    (result,) = make.node("Gemm", (site.input(0), site.input(1), site.optional(2)), kept)
    return (activated(site, make, result),)


# Activations


def _added(make: Make, x: Value, bias: Value | None) -> Value:
    return x if bias is None else make("Add", x, bias)


@composite("Gelu", domain=MICROSOFT)
def gelu(site: Site, make: Make) -> tuple[Value, ...]:
    """With the error function."""
    return (make("Gelu", site.input(0)),)


@composite("BiasGelu", domain=MICROSOFT)
def bias_gelu(site: Site, make: Make) -> tuple[Value, ...]:
    """gelu(x + bias), with the error function."""
    return (make("Gelu", make("Add", site.input(0), site.input(1))),)


@composite("FastGelu", domain=MICROSOFT)
def fast_gelu(site: Site, make: Make) -> tuple[Value, ...]:
    """gelu(x + bias), with the hyperbolic tangent."""
    return (make("Gelu", _added(make, site.input(0), site.optional(1)), approximate="tanh"),)


@composite("QuickGelu", Attr("alpha", 1.702), domain=MICROSOFT)
def quick_gelu(site: Site, make: Make) -> tuple[Value, ...]:
    """Of x: x · sigmoid(alpha · x)."""
    return (make("Swish", site.input(0), alpha=site.number("alpha")),)


@composite("BiasSplitGelu", domain=MICROSOFT)
def bias_split_gelu(site: Site, make: Make) -> tuple[Value, ...]:
    """The first half of each row times the gelu of the second."""
    x = make("Add", site.input(0), site.input(1))
    half = dims.floor_div(x.shape[-1], 2)
    axis = len(x.shape) - 1
    gate = make("Gelu", make.part(x, axis, half, x.shape[-1]))
    return (make("Mul", make.part(x, axis, 0, half), gate),)


@composite("BiasAdd", domain=MICROSOFT)
def bias_add(site: Site, make: Make) -> tuple[Value, ...]:
    """The sum of x, a bias and another x."""
    return (make("Add", make("Add", site.input(0), site.input(1)), site.input(2)),)


# Normalisations


def rms_norm(make: Make, x: Value, scale: Value, epsilon: float, axis: int = -1) -> Value:
    """A row over the root of the mean of its squares."""
    return make("RMSNormalization", x, scale, axis=axis, epsilon=epsilon)


def _normalised(site: Site, make: Make, x: Value, scale: Value, bias: Value | None) -> Value:
    return make("LayerNormalization", x, scale, bias, epsilon=site.number("epsilon"))


def _refuse_statistics(site: Site) -> None:
    if site.outputs in (2, 3):
        raise site.unsupported("its mean and deviation aren't run")


@composite("SkipLayerNormalization", Attr("epsilon", 1e-12), domain=MICROSOFT)
def skip_layer_normalization(site: Site, make: Make) -> tuple[Value, ...]:
    """Of input + skip + bias; that sum is the fourth output."""
    _refuse_statistics(site)
    total = _added(make, make("Add", site.input(0), site.input(1)), site.optional(4))
    result = _normalised(site, make, total, site.input(2), site.optional(3))
    return result, total, total, total  # the second and third are never asked for


@composite("SkipSimplifiedLayerNormalization", Attr("epsilon", 1e-12), domain=MICROSOFT)
def skip_simplified_layer_normalization(site: Site, make: Make) -> tuple[Value, ...]:
    """The same without a mean."""
    _refuse_statistics(site)
    total = _added(make, make("Add", site.input(0), site.input(1)), site.optional(3))
    result = rms_norm(make, total, site.input(2), site.number("epsilon"))
    return result, total, total, total


def _simplified(domain: str) -> None:
    @composite(
        "SimplifiedLayerNormalization", Attr("axis", -1), Attr("epsilon", 1e-5),
        Attr("stash_type", 1), domain=domain,
    )  # fmt: skip
    def expand(site: Site, make: Make) -> tuple[Value, ...]:
        """A row over the root of the mean of its squares."""
        x = site.input(0)
        axis = site.axis(site.integer("axis"), len(x.shape))
        return (rms_norm(make, x, site.input(1), site.number("epsilon"), axis),)


_simplified("")
_simplified(MICROSOFT)


@composite(
    "EmbedLayerNormalization", Attr("epsilon", 1e-12), Attr("mask_index_type", 0),
    domain=MICROSOFT,
)  # fmt: skip
def embed_layer_normalization(site: Site, make: Make) -> tuple[Value, ...]:
    """The sum of a word's, a position's and a segment's embedding; masks are counted."""

    def rows(position: int, at: Value) -> Value:
        return make("Gather", site.input(position), at, axis=0)

    scales = site.input(5), site.input(6)
    return embedded(site, make, rows, scales, site.optional(8))


def embedded(
    site: Site, make: Make, rows: Callable[[int, Value], Value], scales: tuple[Value, Value],
    positions: Value | None = None,
) -> tuple[Value, ...]:  # fmt: skip
    """The normalised sum, the masks' counts, the sum; `rows` looks the tables 2, 3 and 4 up."""
    batch, length = site.ranked(0, 2)
    if positions is None:
        positions = make.range(length)
    total = make("Add", rows(2, site.input(0)), rows(3, positions))
    segments = site.optional(1)
    if segments is not None and site.optional(4) is not None:
        total = make("Add", total, rows(4, segments))
    result = _normalised(site, make, total, *scales)
    mask = site.optional(7)
    if mask is None:
        empty = make("ConstantOfShape", make.integers(batch), value=_ZERO)
        return result, empty, total
    hold_shape(site, 7, site.input(0).shape)
    counts = make("ReduceSum", make.cast(mask, DType.I32), make.integers(1), keepdims=0)
    return result, counts, total
