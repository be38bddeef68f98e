"""The wasm library: exp, log, tanh, erf, sin, cos, pow and fmod of four f32 lanes.

Each is written once, as a formula, and emitted as a function of a module, or in the place where it
is used. All are branch-free but `fmod`. Coefficients were fitted for this file: minimax in the
relative error by Lawson's iteratively reweighted least squares on Chebyshev points, then rounded
to f32 one after the other, refitting the rest. Errors in units in the last place (ulp) are the
largest that sweeps like those of `tests/test_codegen_wasm_math.py`, with 6 million floats of each
range, found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import inf, nan

from webrt.codegen import abi
from webrt.codegen.encoder import V128, Function, Module
from webrt.codegen.opcodes import unsigned
from webrt.codegen.wasm_formula import Code, Value, absolute, bits, clamp, four, op, where


def function(module: Module, name: str, relaxed: bool) -> Function:
    """The module's function `name`, made when it is first asked for.

    Of type `abi.UNARY`: exp, log, tanh, erf, sin, cos; of type `abi.BINARY`: pow, fmod.
    """
    made = module.library.get((name, relaxed))
    if made is None:
        params, results = abi.UNARY if name in UNARY else abi.BINARY
        made = module.library[name, relaxed] = module.function(params, results)
        operands = [Value("local", number=i) for i in range(len(params))]
        _write(Code(made, relaxed, False), name, operands)
    return made


def inline(body: Function, name: str, relaxed: bool) -> None:
    """Emit `name` for the operands on the stack; its result takes their place.

    Its constants are held by the function (`Function.hold`), outside of any loop.
    """
    template = _template(name, relaxed)
    while len(body.spare) < template.locals:
        body.spare.append(body.local(V128))
    for local in reversed(body.spare[: template.operands]):
        body.set(local)
    for code, operand in template.pieces:
        body.code += code
        local = body.spare[operand] if isinstance(operand, int) else body.hold(operand)
        body.code += unsigned(local)
    body.code += template.end
    body.stack.append(V128)


@dataclass(frozen=True, slots=True)
class _Template:
    """Code to be copied: after each piece stands a local, by its position or as a constant."""

    operands: int
    locals: int
    pieces: tuple[tuple[bytes, int | bytes], ...]
    end: bytes


@cache
def _template(name: str, relaxed: bool) -> _Template:
    """Code that was emitted once, checked, and cut at the index of every local."""
    params, results = abi.UNARY if name in UNARY else abi.BINARY
    made = Module(abi.TYPES).function(params, results)
    code = Code(made, relaxed, in_line=True)
    _write(code, name, [Value("local", number=i) for i in range(len(params))])
    made.body()
    constants = {local: vector for vector, local in made.held.items()}
    slots = [local for local in range(len(made.types)) if local not in constants]
    pieces = []
    start = 0
    for end, local in code.indices:
        operand = constants[local] if local in constants else slots.index(local)
        pieces.append((bytes(made.code[start:end]), operand))
        start = end + len(unsigned(local))
    return _Template(len(params), len(slots), tuple(pieces), bytes(made.code[start:]))


INLINE = frozenset(["exp", "tanh", "erf"])
"""Those that hot loops are made of (softmax, both spellings of GELU).

In a loop of Chromium 156 with relaxed SIMD, 2026-11-21, ns a lane called → in line with constants
held: exp 1.6 → 0.63, tanh 1.7 → 0.68, erf 1.8 → 0.78.
"""


def apply(body: Function, name: str, relaxed: bool) -> None:
    """`name` of the operands on the stack: in line if it is one of `INLINE`, else by a call."""
    if name in INLINE:
        inline(body, name, relaxed)
    else:
        body.call(function(body.module, name, relaxed))


def _write(code: Code, name: str, operands: Sequence[Value]) -> None:
    if name in UNARY:
        code.push(UNARY[name](code, *operands))
    else:
        code.push(BINARY[name](code, *operands))


_LN2 = 0.6931471805599453
_ROUNDER = 12582912.0
"""1.5 · 2²³: adding it rounds a float to an integer, which its low bits then hold."""

_EXP = (
    1.0, 0.5, 0.1249999850988388, 0.020833151414990425, 0.0026042666286230087,
    0.00026152117061428726, 2.1594893041765317e-05,
)  # fmt: skip
"""exp(r/2) for |r| ≤ ln 2, to 3.1e-9."""
_LN4_HIGH, _LN4_LOW = 1.38623046875, 6.389236659742892e-05
"""2·ln 2 in two parts; the first has 13 bits: its products with small integers are exact."""


def _exp(code: Code, x: Value) -> Value:
    """exp(x), to 3.2 ulp, denormal results included.

    Computed as (2ⁿ · exp(r/2))² with x = 2n·ln 2 + r: the root neither under- nor overflows, so
    that one rounding takes the result to a denormal, zero or infinity. At -176 the root is zero:
    processors take long to round to a denormal, and masks, far below, needn't meet it (attention
    with half of 384 keys masked took 1.2 times as long with -105 there; Chromium, 2026-11-22).
    """
    x = code.keep(clamp(x, -176.0, 90.0))
    t = code.keep(code.madd(x, 0.5 / _LN2, _ROUNDER + 127))
    n = code.keep(t - (_ROUNDER + 127))
    r = code.keep(code.nmadd(n, _LN4_LOW, code.nmadd(n, _LN4_HIGH, x)))
    root = code.keep(code.polynomial(r, _EXP) * (t << 23))
    return root * root


_EXPM1 = (
    2.0, 1.9999998807907104, 1.3333234786987305, 0.6666790246963501, 0.26773279905319214,
    0.0887731984257698,
)  # fmt: skip
"""(exp(2r) - 1) / r for |r| ≤ ln 2 / 4, to 1.4e-8."""


def _tanh(code: Code, x: Value) -> Value:
    """tanh(x), to 3.1 ulp; tanh(-0) is 0.

    Computed as q / (q + 2) with q = exp(2x) - 1 = 2ⁿ·(exp(2r) - 1) + (2ⁿ - 1), x = n·ln 2 / 2 + r:
    the numerator's error is in the denominator too, so it hardly counts where tanh is near 1.
    """
    x = code.keep(clamp(x, -10.0, 10.0))
    t = code.keep(code.madd(x, 2 / _LN2, _ROUNDER + 127))
    r = code.keep(code.nmadd(t - (_ROUNDER + 127), _LN2 / 2, x))
    scale = code.keep(t << 23)
    q = code.keep(code.madd(scale * r, code.polynomial(r, _EXPM1), scale - 1.0))
    return q / (q + 2.0)


_ERF = (
    0.2820947766304016, 0.1193673387169838, -0.015476119704544544, -0.01856316067278385,
    0.001083942479453981, 0.002105625346302986, -0.0003149211115669459, -9.335077629657462e-05,
    2.8443568226066418e-05, -2.112637503159931e-06,
)  # fmt: skip
"""(1 - erfc(u)^¼) / u for 0 ≤ u ≤ 4; erf is good to 5e-8."""


def _erf(code: Code, x: Value) -> Value:
    """erf(x), to 3.7 ulp, near zero too.

    Computed as 1 - (1 - k)⁴ with a polynomial k = 1 - erfc(|x|)^¼, each squaring as k·(2 - k), so
    that nothing cancels. A rational function, as Eigen's and XLA's, rounds its two polynomials
    and divides: 5 to 7 ulp, and it goes beyond 1.
    """
    u = code.keep(op("f32x4.pmin", absolute(x), 4.0))
    k = u * code.polynomial(u, _ERF)
    for _ in range(2):
        k = code.keep(k)
        k = code.nmadd(k, k, k + k)
    return k | (x & bits(1 << 31))


_LOG = (
    0.3333331048488617, -0.24999994039535522, 0.20002201199531555, -0.1666865199804306,
    0.14218729734420776, -0.12396164238452911, 0.11885234713554382, -0.11721903830766678,
    0.06803061068058014,
)  # fmt: skip
"""(log(1 + f) - f + f²/2) / f³ for √½ ≤ 1 + f ≤ √2; the logarithm is good to 8e-10."""
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
"""ln 2 in two parts; the first has 10 bits, so that its products with exponents are exact."""
_MIN_NORMAL = 2.0**-126
_ROOT_HALF_BITS = 0x3F3504F3


def _split(code: Code, x: Value) -> tuple[Value, Value]:
    """(m, e) with x = m·2ᵉ, √½ ≤ m < √2, of finite positive values."""
    tiny = code.keep(x < _MIN_NORMAL)
    x = where(tiny, x * 2.0**24, x)
    x = code.keep(op("i32x4.sub", x, bits(_ROOT_HALF_BITS)))
    m = code.keep(op("i32x4.add", x & bits(0x007FFFFF), bits(_ROOT_HALF_BITS)))
    e = op("f32x4.convert_i32x4_s", x >> 23)
    return m, code.keep(e - (where(tiny, 24.0, 0.0)))


def _log(code: Code, x: Value) -> Value:
    """log(x), to 0.9 ulp: e·ln 2 + log(m) with x = m·2ᵉ; the order of the sum is fdlibm's."""
    m, e = _split(code, x)
    f = code.keep(m - 1.0)
    square = code.keep(f * f)
    low = code.madd(e, _LN2_LOW, square * f * code.polynomial(f, _LOG))
    value = code.madd(e, _LN2_HIGH, f + (code.nmadd(square, 0.5, low)))
    value = where(x.equals(0.0), -inf, where(x < inf, value, inf))
    return value | op("v128.not", op("f32x4.ge", x, 0.0))


_SIN = (-0.16666655242443085, 0.008332187309861183, -0.0001951789454324171)
_COS = (0.04166664555668831, -0.0013887309469282627, 2.4432330974377692e-05)
_HALF_PI = 1.5707963267948966


_HALF_PI_PARTS = (
    1.5703125, 0.0004825592041015625, 1.2665987014770508e-06, 9.89530235528946e-10,
    2.5579538487363607e-12, 5.390302953474238e-15,
)  # fmt: skip
"""π/2 in five parts of 8 bits and a rest: products of the five with quadrants < 2¹⁶ are exact."""


def _circle(code: Code, x: Value, shift: int) -> Value:
    """sin(x + shift·π/2), to 3.5 ulp for |x| ≤ 10⁵, from sine and cosine on ±π/4.

    The reduction is Cody and Waite's, with π/2 in six parts. Beyond 10⁵ the result is no more
    than a number in [-1, 1]; of an infinity it is NaN.
    """
    n = code.keep(op("f32x4.nearest", x * (1 / _HALF_PI)))
    r = x
    for part in _HALF_PI_PARTS:
        r = r - n * part
    r = code.keep(clamp(r, -0.8, 0.8))
    z = code.keep(r * r)
    sine = code.keep(code.madd(z * r, code.polynomial(z, _SIN), r))
    cosine = code.madd(z * z, code.polynomial(z, _COS), code.nmadd(z, 0.5, four(1.0)))
    quadrant = op("i32x4.trunc_sat_f32x4_s", n)
    if shift:
        quadrant = op("i32x4.add", quadrant, bits(shift))
    quadrant = code.keep(quadrant)
    odd = (quadrant << 31) >> 31
    sign = (quadrant & bits(2)) << 30
    return where(odd, cosine, sine) ^ sign


def _sin(code: Code, x: Value) -> Value:
    return _circle(code, x, 0)


def _cos(code: Code, x: Value) -> Value:
    return _circle(code, x, 1)


UNARY = {"exp": _exp, "log": _log, "tanh": _tanh, "erf": _erf, "sin": _sin, "cos": _cos}

_POW = (0.5999999642372131, 0.4285795986652374, 0.33269423246383667, 0.29339197278022766)
"""(3·atanh(s)/s - 3 - s²) / s⁴ in s², for |s| ≤ 0.1716; the sum of the series is good to 5e-14."""
_CP_HIGH, _CP_LOW, _CP = 0.9619140625, -1.1736857402e-04, 0.9617966939259756
"""2 / (3·ln 2) in two parts, and whole; the first has 12 bits."""
_EXP2 = (
    1.0, 0.6931471824645996, 0.24022647738456726, 0.05550359562039375, 0.009618500247597694,
    0.0013390976237133145, 0.00015328907466027886,
)  # fmt: skip
"""2^f for |f| ≤ ½, to 3e-9."""


def _high(x: Value) -> Value:
    """The upper 12 bits of a float: products of two such are exact."""
    return x & bits(0xFFFFF000)


def _log2(code: Code, x: Value) -> tuple[Value, Value]:
    """log₂ of a finite positive value in two parts, good to 2⁻³² or so; the first has 12 bits.

    The method is fdlibm's, Ian Lance Taylor's e_powf.c: log(m) = ⅔·s·(3 + s² + …) with
    s = (m - 1) / (m + 1), every part of it in two floats.
    """
    m, e = _split(code, x)
    f, g = code.keep(m - 1.0), code.keep(m + 1.0)
    s = code.keep(f / g)
    s_high, g_high = code.keep(_high(s)), code.keep(_high(g))
    s_low = code.keep(((f - s_high * g_high) - s_high * (m - (g_high - 1.0))) / g)
    z = code.keep(s * s)
    rest = code.keep(z * z * code.polynomial(z, _POW) + s_low * (s_high + s))
    square = code.keep(s_high * s_high)
    t_high = code.keep(_high(square + 3.0 + rest))
    t_low = rest - ((t_high - 3.0) - square)
    u = code.keep(s_high * t_high)
    v = code.keep(s_low * t_high + t_low * s)
    p_high = code.keep(_high(u + v))
    p_low = v - (p_high - u)
    w_high = code.keep(p_high * _CP_HIGH)
    w_low = code.keep(p_high * _CP_LOW + p_low * _CP)
    high = code.keep(_high(w_high + w_low + e))
    return high, w_low - ((high - e) - w_high)


def _pow(code: Code, x: Value, y: Value) -> Value:
    """C's pow, to 1.2 ulp: 2^(y·log₂|x|) with the exponent in two floats.

    Then the special cases of C11, annex F.10.4.4: y = 0, x = 1, zeros, infinities, signs.
    """
    size = code.keep(absolute(x))
    high, low = _log2(code, size)
    factor = code.keep(clamp(y, -(2.0**40), 2.0**40))
    f_high = code.keep(_high(factor))
    low = code.keep((factor - f_high) * high + factor * low)
    high = code.keep(f_high * high)
    n = code.keep(op("f32x4.nearest", clamp(high + low, -250.0, 250.0)))
    power = code.polynomial(code.keep(clamp(high - n + low, -1.0, 1.0)), _EXP2)
    whole = code.keep(op("i32x4.trunc_sat_f32x4_s", n))
    half = code.keep(whole >> 1)
    power = power * _power_of_two(half) * _power_of_two(op("i32x4.sub", whole, half))
    zero, positive = size.equals(0.0), y > 0.0
    power = where(size.equals(0.0) | size.equals(inf), (zero ^ positive) & four(inf), power)
    odd = op("f32x4.ne", op("f32x4.trunc", y * 0.5) * 2.0, y)
    integer = code.keep(op("f32x4.trunc", y).equals(y))
    power = power | (x & odd & integer & bits(1 << 31))
    power = where(op("v128.andnot", (x < 0.0) & (x > -inf), integer), nan, power)
    power = where(x.equals(x) & y.equals(y), power, nan)
    return where(x.equals(1.0) | y.equals(0.0), 1.0, power)


def _power_of_two(n: Value) -> Value:
    return op("i32x4.add", n, bits(127)) << 23


def _fmod(code: Code, x: Value, y: Value) -> Value:
    """C's fmod, exact: subtracts |y|·2ᵏ for every bit of the quotient, the highest first."""
    function = code.function
    size = code.keep(absolute(y))
    rest = code.keep(absolute(x))
    valid = code.keep((size > 0.0) & (rest < inf))
    function.block()
    function.loop()
    above = code.keep(op("f32x4.ge", rest, size) & valid)
    code.push(above)
    function.emit("v128.any_true")
    function.emit("i32.eqz")
    function.br_if(1)
    unit = size
    for _ in range(2):  # so that the quotient, 2²⁷⁷ at most, is no infinity
        larger = code.keep(unit * 2.0**100)
        unit = code.keep(where(larger > rest, unit, larger))
    part = code.keep(unit * (rest / unit & bits(0x7F800000)))
    # The quotient may have been rounded up to a power of two.
    code.push(rest - (where(part > rest, part * 0.5, part) & above))
    code.set(rest)
    function.br(0)
    function.end()
    function.end()
    return where(valid, rest, nan) | (x & bits(1 << 31))


BINARY = {"pow": _pow, "fmod": _fmod}
