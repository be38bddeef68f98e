"""The operations of scalar expressions: what they take, and what they give."""

from __future__ import annotations

from webrt.dtypes import DType

UNARY_FLOAT = frozenset(
    ["exp", "log", "sqrt", "inverse_sqrt", "tanh", "erf", "sin", "cos", "floor", "ceil", "round",
     "reciprocal"]
)  # fmt: skip
"""Float -> the same float type. `round` is half to even; the functions are those of IEEE/libm."""

UNARY = UNARY_FLOAT | frozenset(["neg", "abs", "sign", "not"])
"""One operand, same type out. `not` is for bool."""

ARITHMETIC = frozenset(["add", "sub", "mul", "div", "mod", "min", "max", "pow"])
"""Two operands of one type, same type out. Integer `div` rounds to zero, `mod` takes the divisor's
sign (floor). Float `mod` is C's `fmod`."""

COMPARISON = frozenset(["lt", "le", "gt", "ge", "eq", "ne"])
"""Two operands of one type, bool out."""

LOGICAL = frozenset(["and", "or", "xor"])
"""Bool operands, bool out."""

BITWISE = frozenset(["bit_and", "bit_or", "bit_xor", "shift_left", "shift_right"])
"""Two i32 or two u32, same type out. A shift counts modulo 32; `shift_right` keeps a sign."""

BITS = {"bits_f32": DType.F32, "bits_i32": DType.I32, "bits_u32": DType.U32}
"""The same 32 bits as another type: f32, i32 or u32."""

SPECIAL = frozenset(["select", "cast", "is_nan", "is_inf", "fma"])
"""`select(condition, if_true, if_false)`; `cast(x)` to the call's dtype (float to integer rounds to
zero, to bool is `!= 0`); `is_nan`, `is_inf` by bit pattern; `fma(a, b, c)` = a·b + c, fused or
not."""

PAIRS = frozenset(["pairs", "widen_s", "widen_u", "dot2"])
"""Loop IR for CPUs only, of four lanes of i32. A lane of a *pair* holds two i16, the first one in
its lower half. `pairs(v, w)`: (v0, v1), (v2, v3), (w0, w1), (w2, w3), each held to what an i16
holds; `widen_s(v)`, `widen_u(v)`: the eight bytes of v's first two lanes as four pairs, signed or
not; `dot2(a, b)`: the sum of both products of a pair, modulo 2³²."""

VECTOR = frozenset(["splat", "lane0", "lane1", "lane2", "lane3", "vec4", "sum4"]) | PAIRS
"""Loop IR only. `splat(x)`: four copies; `laneI(v)`: one lane; `vec4(a, b, c, d)`; `sum4(v)`: the
sum of the four lanes."""

OPS = UNARY | ARITHMETIC | COMPARISON | LOGICAL | BITWISE | BITS.keys() | SPECIAL | VECTOR
