"""Operators on quantised numbers: integer products, and float operators between quantisations."""

from __future__ import annotations

from typing import overload

from webrt import dims
from webrt.dtypes import DType
from webrt.graph.ir import Attribute, Value
from webrt.ops.compose import Make, composite
from webrt.ops.quantise import centred, dequantised
from webrt.ops.registry import Attr
from webrt.ops.site import Site

MICROSOFT = "com.microsoft"
_CONV = (
    Attr("auto_pad", "NOTSET"), Attr("dilations"), Attr("group", 1), Attr("kernel_shape"),
    Attr("pads"), Attr("strides"),
)  # fmt: skip


def _single(value: Value | None) -> bool:
    return value is None or dims.product(value.shape) == 1


def _column(make: Make, value: Value | None, below: int = 1) -> Value | None:
    """A vector that goes along rows, or channels with `below` axes under them."""
    if value is None or _single(value) or len(value.shape) != 1:
        return plain(make, value)
    return make.reshape(value, value.shape[0], *[1] * below)


@overload
def plain(make: Make, value: Value) -> Value: ...
@overload
def plain(make: Make, value: Value | None) -> Value | None: ...
def plain(make: Make, value: Value | None) -> Value | None:
    """One number without dims, whatever it has."""
    if value is None or not _single(value) or not value.shape:
        return value
    return make.reshape(value)


def integer_product(
    make: Make, a: Value, b: Value, a_zero: Value | None, b_zero: Value | None
) -> Value:
    """The product of a and b without their zero points, as int32."""
    if len(a.shape) > 1:
        a_zero = _column(make, a_zero)
    left = centred(make, a, a_zero)
    return make("MatMul", left, centred(make, b, plain(make, b_zero)))


def _integer_conv(
    site: Site, make: Make, x: Value, weight: Value, zeros: tuple[Value | None, Value | None],
    bias: Value | None = None,
) -> Value:  # fmt: skip
    below = len(weight.shape) - 1
    left = centred(make, x, plain(make, zeros[0]))
    right = centred(make, weight, _column(make, zeros[1], below))
    kept = {a.name: site.attributes[a.name] for a in _CONV if a.name in site.attributes}
    return make.node("Conv", (left, right, bias), kept)[0]


@composite("MatMulInteger", since=10)
def matmul_integer(site: Site, make: Make) -> tuple[Value, ...]:
    """Zero points are of rows of a, of columns of b, or one for all."""
    zeros = site.optional(2), site.optional(3)
    return (integer_product(make, site.input(0), site.input(1), *zeros),)


@composite("ConvInteger", *_CONV, since=10)
def conv_integer(site: Site, make: Make) -> tuple[Value, ...]:
    """Padding is of zero points."""
    zeros = site.optional(2), site.optional(3)
    return (_integer_conv(site, make, site.input(0), site.input(1), zeros),)


def _requantised(
    make: Make, total: Value, scales: tuple[Value | None, ...], zero: Value | None
) -> Value:
    """round(total · a · b / y) + zero point, of scales a, b, y."""
    a, b, y = (None if s is None else make.cast(s, DType.F32) for s in scales)
    factor = make("Div", make("Mul", a, b), y)
    scaled = make("Mul", make.cast(total, DType.F32), factor)
    return make("QuantizeLinear", scaled, make.number(1, factor), zero)


@composite("QLinearMatMul", since=10)
def qlinear_matmul(site: Site, make: Make) -> tuple[Value, ...]:
    """a, its scale and zero point; b, likewise; scale and zero point of the result."""
    a, b = site.input(0), site.input(3)
    total = integer_product(make, a, b, site.input(2), site.input(5))
    own = _column(make, site.input(1)) if len(a.shape) > 1 else site.input(1)
    scales = own, plain(make, site.input(4)), plain(make, site.input(6))
    return (_requantised(make, total, scales, plain(make, site.input(7))),)


@composite("QLinearConv", *_CONV, since=10)
def qlinear_conv(site: Site, make: Make) -> tuple[Value, ...]:
    """The bias counts in units of the product of the two scales."""
    x, weight = site.input(0), site.input(3)
    zeros = site.input(2), site.input(5)
    total = _integer_conv(site, make, x, weight, zeros, site.optional(8))
    of_weight = _column(make, site.input(4), len(weight.shape) - 2)
    scales = plain(make, site.input(1)), of_weight, plain(make, site.input(6))
    return (_requantised(make, total, scales, plain(make, site.input(7))),)


# ONNX Runtime's own


def _number(make: Make, site: Site, first: int, step: Value | None = None) -> Value:
    """The input `first` with its scale and zero point behind it, as numbers; in units of `step`."""
    scale, zero = plain(make, site.input(first + 1)), plain(make, site.optional(first + 2))
    scale = scale if step is None else make("Div", scale, step)
    return dequantised(make, site.input(first), scale, zero)


def _narrow(make: Make, site: Site, x: Value, first: int, like: Value) -> Value:
    """X quantised with the scale and zero point at `first`; the dtype is that of `like`."""
    zero = plain(make, site.optional(first + 1))
    if zero is None:
        zero = make.number(0, like)
    return make("QuantizeLinear", x, plain(make, site.input(first)), zero)


def _rounded(make: Make, site: Site, steps: Value) -> tuple[Value, ...]:
    """A pair's result: its zero point is added before it is rounded, which halves tell."""
    like = site.input(0)
    zero = plain(make, site.optional(7))
    if zero is not None:
        steps = make("Add", steps, make.cast(zero, steps.dtype))
    return (make("QuantizeLinear", steps, make.number(1, steps), make.number(0, like)),)


@composite("QLinearAdd", domain=MICROSOFT)
def qlinear_add(site: Site, make: Make) -> tuple[Value, ...]:
    """In steps of the result, so that what lies halfway between two of them does so exactly."""
    step = plain(make, site.input(6))
    left, right = (_number(make, site, first, step) for first in (0, 3))
    return _rounded(make, site, make("Add", left, right))


@composite("QLinearMul", domain=MICROSOFT)
def qlinear_mul(site: Site, make: Make) -> tuple[Value, ...]:
    """The product of both, in steps of the result."""
    product = make("Mul", _number(make, site, 0), _number(make, site, 3))
    return _rounded(make, site, make("Div", product, plain(make, site.input(6))))


def _alone(name: str, op: str, *attributes: Attr) -> None:
    @composite(name, *attributes, domain=MICROSOFT)
    def expand(site: Site, make: Make) -> tuple[Value, ...]:
        if site.attributes.get("channels_last", 0):
            raise site.unsupported("channels_last isn't run")
        kept = {k: v for k, v in site.attributes.items() if k not in ("channels_last", "opset")}
        (result,) = make.node(op, (_number(make, site, 0),), kept)
        return (_narrow(make, site, result, 3, site.input(0)),)


_alone("QLinearSigmoid", "Sigmoid")
_alone("QLinearLeakyRelu", "LeakyRelu", Attr("alpha", 0.01))
_alone("QLinearGlobalAveragePool", "GlobalAveragePool", Attr("channels_last", 0))
_alone(
    "QLinearAveragePool", "AveragePool", Attr("auto_pad", "NOTSET"), Attr("ceil_mode", 0),
    Attr("channels_last", 0), Attr("count_include_pad", 0), Attr("kernel_shape"), Attr("pads"),
    Attr("strides"),
)  # fmt: skip


@composite("QLinearReduceMean", Attr("axes"), Attr("keepdims", 1), domain=MICROSOFT)
def qlinear_reduce_mean(site: Site, make: Make) -> tuple[Value, ...]:
    """The mean along axes, between two quantisations."""
    axes = site.attributes.get("axes")
    along = make.integers(*site.integers("axes")) if axes else None
    mean = make("ReduceMean", _number(make, site, 0), along, keepdims=site.integer("keepdims"))
    return (_narrow(make, site, mean, 3, site.input(0)),)


@composite("QLinearSoftmax", Attr("axis", -1), Attr("opset"), domain=MICROSOFT)
def qlinear_softmax(site: Site, make: Make) -> tuple[Value, ...]:
    """Before opset 13, all axes from `axis` on are one."""
    x = _number(make, site, 0)
    axis = site.axis(site.integer("axis"), len(x.shape))
    if site.integer("opset") < 13 and axis != len(x.shape) - 1:
        rows = dims.product(x.shape[:axis])
        flat = make.reshape(x, rows, dims.product(x.shape[axis:]))
        result = make.reshape(make("Softmax", flat, axis=-1), *x.shape)
    else:
        result = make("Softmax", x, axis=axis)
    return (_narrow(make, site, result, 3, site.input(0)),)


@composite("QLinearConcat", Attr("axis"), domain=MICROSOFT)
def qlinear_concat(site: Site, make: Make) -> tuple[Value, ...]:
    """Scale and zero point of the result come first, then three inputs a part."""
    if len(site.inputs) < 5 or len(site.inputs) % 3 != 2:
        raise site.shape_error("2 inputs and 3 for each part", str(len(site.inputs)))
    parts = [_number(make, site, j) for j in range(2, len(site.inputs), 3)]
    result = make("Concat", *parts, axis=site.integer("axis"))
    return (_narrow(make, site, result, 0, site.input(2)),)


@composite("QLinearWhere", domain=MICROSOFT)
def qlinear_where(site: Site, make: Make) -> tuple[Value, ...]:
    """A condition, two quantised inputs, scale and zero point of the result."""
    result = make("Where", site.input(0), _number(make, site, 1), _number(make, site, 4))
    return (_narrow(make, site, result, 7, site.input(1)),)


@composite("QGemm", Attr("alpha", 1.0), Attr("transA", 0), Attr("transB", 0), domain=MICROSOFT)
def qgemm(site: Site, make: Make) -> tuple[Value, ...]:
    """Of integers, with a bias of int32; a float result where no scale is given for it."""
    a, b = site.input(0), site.input(3)
    left = centred(make, a, plain(make, site.input(2)))
    b_zero, b_scale = plain(make, site.input(5)), plain(make, site.input(4))
    columns = bool(site.integer("transB"))
    right = centred(make, b, _column(make, b_zero) if columns else b_zero)
    left = make.transpose(left, 1, 0) if site.integer("transA") else left
    right = make.transpose(right, 1, 0) if columns else right
    total = make("MatMul", left, right)
    bias = site.optional(6)
    total = total if bias is None else make("Add", total, bias)
    own = make("Mul", plain(make, site.input(1)), make.number(site.number("alpha"), site.input(1)))
    if site.optional(7) is None:
        return (make("Mul", make.cast(total, DType.F32), make("Mul", own, b_scale)),)
    scales = own, b_scale, plain(make, site.input(7))
    return (_requantised(make, total, scales, plain(make, site.optional(8))),)


def _product(
    make: Make, a: Value, b: Value, a_side: tuple[Value | None, Value | None],
    b_side: tuple[Value | None, Value | None], bias: Value | None,
) -> Value:  # fmt: skip
    """The float product of integers, each with (scale, zero point)."""
    total = integer_product(make, a, b, a_side[1], b_side[1])
    scale = make("Mul", plain(make, a_side[0]), plain(make, b_side[0]))
    result = make("Mul", make.cast(total, scale.dtype), scale)
    return result if bias is None else make("Add", result, bias)


@composite("MatMulIntegerToFloat", domain=MICROSOFT)
def matmul_integer_to_float(site: Site, make: Make) -> tuple[Value, ...]:
    """A, B, their scales, their zero points, a bias."""
    sides = (site.input(2), site.optional(4)), (site.input(3), site.optional(5))
    return (_product(make, site.input(0), site.input(1), *sides, site.optional(6)),)


@composite("DynamicQuantizeMatMul", domain=MICROSOFT)
def dynamic_quantize_matmul(site: Site, make: Make) -> tuple[Value, ...]:
    """A is quantised as it comes."""
    narrow, scale, zero = dynamically_quantised(make, site.input(0))
    sides = (scale, zero), (site.input(2), site.optional(3))
    return (_product(make, narrow, site.input(1), *sides, site.optional(4)),)


@composite("DynamicQuantizeLinear", since=11)
def dynamic_quantize_linear(site: Site, make: Make) -> tuple[Value, ...]:
    """The range that x has, 0 included, in 255 steps."""
    return dynamically_quantised(make, site.input(0))


def dynamically_quantised(make: Make, x: Value) -> tuple[Value, Value, Value]:
    """(x as uint8, scale, zero point)."""
    zero, top = make.number(0, x), make.number(255, x)
    low = make("Min", make("ReduceMin", x, keepdims=0), zero)
    high = make("Max", make("ReduceMax", x, keepdims=0), zero)
    scale = make("Div", make("Sub", high, low), top)
    safe = make("Where", make("Equal", scale, zero), make.number(1, x), scale)
    point = make("Round", make("Clip", make("Div", make("Neg", low), safe), zero, top))
    narrow = make.cast(point, DType.U8)
    return make("QuantizeLinear", x, safe, narrow), scale, narrow


def _linear(name: str) -> None:
    """ONNX Runtime's spellings for more dtypes are those of ONNX."""
    attributes = (
        Attr("axis", 1), Attr("block_size", 0), Attr("output_dtype", 0), Attr("saturate", 1),
    )  # fmt: skip

    @composite(name, *attributes, domain=MICROSOFT)
    def expand(site: Site, make: Make) -> tuple[Value, ...]:
        kept: dict[str, Attribute] = dict(site.attributes)
        if name == "DequantizeLinear":
            kept.pop("saturate", None)
        return make.node(name, site.inputs, kept)


_linear("QuantizeLinear")
_linear("DequantizeLinear")


@composite(
    "DynamicQuantizeLSTM", Attr("activation_alpha"), Attr("activation_beta"), Attr("activations"),
    Attr("clip"), Attr("direction", "forward"), Attr("hidden_size"), Attr("input_forget", 0),
    domain=MICROSOFT,
)  # fmt: skip
def dynamic_quantize_lstm(site: Site, make: Make) -> tuple[Value, ...]:
    """An LSTM of narrow weights [directions, from, 4·hidden], exact in what goes through it.

    ONNX Runtime rounds inputs and states to 8 bits as well: that loss isn't imitated.
    """
    weights = []
    for weight, scale, zero in ((1, 8, 9), (2, 10, 11)):
        parameters = [site.input(scale), site.optional(zero)]
        spread = [
            None if p is None else make.reshape(p, *p.shape[:1], 1, *(p.shape[1:] or (1,)))
            for p in parameters
        ]
        whole = make.cast(centred(make, site.input(weight), spread[1]), DType.F32)
        weights.append(make.transpose(make("Mul", whole, spread[0]), 0, 2, 1))
    rest = [site.optional(j) for j in range(3, 8)]
    kept = {k: v for k, v in site.attributes.items() if v is not None}
    return make.node("LSTM", (site.input(0), *weights, *rest), kept, outputs=site.outputs)
