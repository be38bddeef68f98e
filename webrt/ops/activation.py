"""Activation functions: elementwise formulas with parameters."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from webrt.dtypes import DType
from webrt.kernel.expr import Expr, call, cast, f32, select
from webrt.ops import scalar
from webrt.ops.elementwise import elementwise
from webrt.ops.registry import Attr
from webrt.ops.site import Site, Tensor

ZERO, ONE = f32(0), f32(1)


def _sigmoid(x: Expr) -> Expr:
    return call("reciprocal", call("add", ONE, call("exp", call("neg", x))))


def _softplus(x: Expr) -> Expr:
    """max(x, 0) + log(1 + e^-|x|): no overflow."""
    tail = call("log", call("add", ONE, call("exp", call("neg", call("abs", x)))))
    return call("add", call("max", x, ZERO), tail)


def _clamped_line(x: Expr, slope: float, shift: float) -> Expr:
    line = call("add", call("mul", x, f32(slope)), f32(shift))
    return call("max", ZERO, call("min", ONE, line))


def _expm1(x: Expr) -> Expr:
    return call("sub", call("exp", call("min", x, ZERO)), ONE)


def _elu(x: Expr, alpha: float, scale: float = 1.0) -> Expr:
    negative = call("mul", _expm1(x), f32(alpha * scale))
    positive = x if scale == 1 else call("mul", x, f32(scale))
    return select(call("lt", x, ZERO), negative, positive)


def _gelu(site: Site, x: Expr) -> Expr:
    if site.text("approximate") == "tanh":
        cube = call("mul", call("mul", x, x), x)
        inner = call("add", x, call("mul", cube, f32(0.044715)))
        bend = call("tanh", call("mul", inner, f32(math.sqrt(2 / math.pi))))
    else:
        bend = call("erf", call("mul", x, f32(math.sqrt(0.5))))
    return call("mul", call("mul", x, f32(0.5)), call("add", bend, ONE))


def _gelu_reference(site: Site, x: Tensor) -> Tensor:
    if site.text("approximate") == "tanh":
        return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))
    return np.asarray(0.5 * x * (1 + scalar.erf(x * np.float32(math.sqrt(0.5)))))


def _np_softplus(x: Tensor) -> Tensor:
    return np.logaddexp(x, np.zeros_like(x))


def _np_sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + np.exp(-x))


def _np_line(site: Site, x: Tensor) -> Tensor:
    line = x * np.float32(site.number("alpha")) + np.float32(site.number("beta"))
    return np.asarray(np.clip(line, 0, 1))


def _activation(
    name: str, element: Callable[[Site, Expr], Expr], reference: Callable[[Site, Tensor], Tensor],
    *attributes: Attr, since: int = 1,
) -> None:  # fmt: skip
    elementwise(name, element, reference, *attributes, since=since)


_activation(
    "Relu",
    lambda _, x: call("max", x, ZERO if x.dtype.is_float else scalar.zero(x.dtype)),
    lambda _, x: np.maximum(x, 0),
)
_activation("Sigmoid", lambda _, x: _sigmoid(x), lambda _, x: _np_sigmoid(x))
_activation("Softplus", lambda _, x: _softplus(x), lambda _, x: _np_softplus(x))
_activation(
    "Softsign",
    lambda _, x: call("div", x, call("add", ONE, call("abs", x))),
    lambda _, x: x / (1 + np.abs(x)),
)
_activation(
    "LeakyRelu",
    lambda site, x: scalar.leaky(x, f32(site.number("alpha"))),
    lambda site, x: np.where(x < 0, x * np.float32(site.number("alpha")), x),
    Attr("alpha", 0.01),
)
_activation(
    "ThresholdedRelu",
    lambda site, x: select(call("gt", x, f32(site.number("alpha"))), x, ZERO),
    lambda site, x: np.where(x > site.number("alpha"), x, 0),
    Attr("alpha", 1.0),
    since=10,
)
_activation(
    "Elu",
    lambda site, x: _elu(x, site.number("alpha")),
    lambda site, x: np.where(x < 0, site.number("alpha") * np.expm1(x), x),
    Attr("alpha", 1.0),
)
_activation(
    "Celu",
    lambda site, x: _elu_over(x, site.number("alpha")),
    lambda site, x: (
        np.maximum(x, 0)
        + np.minimum(0, site.number("alpha") * np.expm1(x / np.float32(site.number("alpha"))))
    ),
    Attr("alpha", 1.0),
    since=12,
)
_activation(
    "Selu",
    lambda site, x: _elu(x, site.number("alpha"), site.number("gamma")),
    lambda site, x: site.number("gamma") * np.where(x < 0, site.number("alpha") * np.expm1(x), x),
    Attr("alpha", 1.67326319217681884765625),
    Attr("gamma", 1.05070102214813232421875),
)
_activation(
    "HardSigmoid",
    lambda site, x: _clamped_line(x, site.number("alpha"), site.number("beta")),
    _np_line,
    Attr("alpha", 0.2),
    Attr("beta", 0.5),
)
_activation(
    "HardSwish",
    lambda _, x: call("mul", x, _clamped_line(x, 1 / 6, 0.5)),
    lambda _, x: x * np.clip(x / np.float32(6) + np.float32(0.5), 0, 1),
    since=14,
)
_activation(
    "Mish",
    lambda _, x: call("mul", x, call("tanh", _softplus(x))),
    lambda _, x: x * np.tanh(_np_softplus(x)),
    since=18,
)
_activation(
    "Swish",
    lambda site, x: call("mul", x, _sigmoid(call("mul", x, f32(site.number("alpha"))))),
    lambda site, x: x * _np_sigmoid(x * np.float32(site.number("alpha"))),
    Attr("alpha", 1.0),
    since=24,
)
_activation(
    "Shrink",
    lambda site, x: _shrink(site, x),
    lambda site, x: np.where(
        x < -site.number("lambd"), x + site.number("bias"),
        np.where(x > site.number("lambd"), x - site.number("bias"), 0),
    ).astype(x.dtype),
    Attr("bias", 0.0),
    Attr("lambd", 0.5),
    since=9,
)  # fmt: skip
_activation("Gelu", _gelu, _gelu_reference, Attr("approximate", "none"), since=20)


def _elu_over(x: Expr, alpha: float) -> Expr:
    negative = call("mul", _expm1(call("div", x, f32(alpha))), f32(alpha))
    return select(call("lt", x, ZERO), negative, x)


def _shrink(site: Site, x: Expr) -> Expr:
    """Integers are compared and moved as floats, and cut to whole numbers."""
    wide = cast(x, DType.F32)
    bias, edge = f32(site.number("bias")), site.number("lambd")
    above = select(call("gt", wide, f32(edge)), call("sub", wide, bias), ZERO)
    return cast(select(call("lt", wide, f32(-edge)), call("add", wide, bias), above), x.dtype)
