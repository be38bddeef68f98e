"""Inverse trigonometric and hyperbolic functions, from what every device computes exactly enough.

The polynomials are those of Cephes (Moshier, netlib.org/cephes, single precision).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from webrt.kernel.expr import Expr, call, f32, select
from webrt.ops.elementwise import elementwise

ONE = f32(1)
HALF_PI = f32(math.pi / 2)

_ATAN = (8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1)
_ASIN = (4.2163199048e-2, 2.4181311049e-2, 4.5470025998e-2, 7.4953002686e-2, 1.6666752422e-1)
_ASINH = (2.0122003309e-2, -4.2699340972e-2, 7.4847586088e-2, -1.6666288134e-1)
_ATANH = (1.81740078349e-1, 8.24370301058e-2, 1.46691431730e-1, 1.99782164500e-1, 3.33337300303e-1)
_ACOSH = (1.7596881071e-3, -7.5272886713e-3, 2.6454905019e-2, -1.1784741703e-1, 1.4142135263)


def _add(x: Expr, y: Expr) -> Expr:
    return call("add", x, y)


def _sub(x: Expr, y: Expr) -> Expr:
    return call("sub", x, y)


def _mul(x: Expr, y: Expr) -> Expr:
    return call("mul", x, y)


def _polynomial(coefficients: Sequence[float], z: Expr) -> Expr:
    result: Expr = f32(coefficients[0])
    for c in coefficients[1:]:
        result = _add(_mul(result, z), f32(c))
    return result


def _odd(coefficients: Sequence[float], x: Expr) -> Expr:
    """X + x·z·p(z), z = x²: a series near 0."""
    z = _mul(x, x)
    return _add(x, _mul(_mul(x, z), _polynomial(coefficients, z)))


def _signed(size: Expr, x: Expr) -> Expr:
    return select(call("lt", x, f32(0)), call("neg", size), size)


def atan(x: Expr) -> Expr:
    """Beyond tan(3π/8) of the reciprocal, beyond tan(π/8) of (x - 1) / (x + 1)."""
    a = call("abs", x)
    far = call("gt", a, f32(math.tan(3 * math.pi / 8)))
    middle = call("gt", a, f32(math.tan(math.pi / 8)))
    near = select(middle, call("div", _sub(a, ONE), _add(a, ONE)), a)
    inside = select(far, call("neg", call("reciprocal", call("max", a, ONE))), near)
    offset = select(far, HALF_PI, select(middle, f32(math.pi / 4), f32(0)))
    return _signed(_add(offset, _odd(_ATAN, inside)), x)


def _asin_parts(x: Expr) -> tuple[Expr, Expr]:
    """(asin of |x| up to a half, else of √((1 - |x|) / 2); whether it is the latter)."""
    a = call("abs", x)
    large = call("gt", a, f32(0.5))
    rest = call("sqrt", _mul(f32(0.5), _sub(ONE, a)))
    return _odd(_ASIN, select(large, rest, a)), large


def asin(x: Expr) -> Expr:
    part, large = _asin_parts(x)
    return _signed(select(large, _sub(HALF_PI, _mul(f32(2), part)), part), x)


def acos(x: Expr) -> Expr:
    """Without the cancellation of π/2 - asin(x) near 1."""
    part, large = _asin_parts(x)
    twice = _mul(f32(2), part)
    beyond = select(call("lt", x, f32(0)), _sub(f32(math.pi), twice), twice)
    return select(large, beyond, _sub(HALF_PI, _signed(part, x)))


def asinh(x: Expr) -> Expr:
    a = call("abs", x)
    root = call("sqrt", _add(_mul(a, a), ONE))
    logarithm = call("log", _add(a, root))
    huge = _add(call("log", a), f32(math.log(2)))
    large = select(call("gt", a, f32(1e9)), huge, logarithm)
    return select(call("gt", a, f32(0.5)), _signed(large, x), _odd(_ASINH, x))


def acosh(x: Expr) -> Expr:
    z = _sub(x, ONE)
    near = _mul(_polynomial(_ACOSH, z), call("sqrt", z))
    far = call("log", _add(x, call("sqrt", _mul(z, _add(x, ONE)))))
    huge = _add(call("log", x), f32(math.log(2)))
    large = select(call("gt", x, f32(1e9)), huge, far)
    return select(call("lt", z, f32(0.5)), near, large)


def atanh(x: Expr) -> Expr:
    far = _mul(f32(0.5), call("log", call("div", _add(ONE, x), _sub(ONE, x))))
    return select(call("gt", call("abs", x), f32(0.5)), far, _odd(_ATANH, x))


elementwise("Atan", lambda _, x: atan(x), lambda _, x: np.arctan(x))
elementwise("Asin", lambda _, x: asin(x), lambda _, x: np.arcsin(x))
elementwise("Acos", lambda _, x: acos(x), lambda _, x: np.arccos(x))
elementwise("Asinh", lambda _, x: asinh(x), lambda _, x: np.arcsinh(x), since=9)
elementwise("Acosh", lambda _, x: acosh(x), lambda _, x: np.arccosh(x), since=9)
elementwise("Atanh", lambda _, x: atanh(x), lambda _, x: np.arctanh(x), since=9)
