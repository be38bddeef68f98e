"""Elementwise operators: one Map each, over the broadcast shape."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr
from webrt.ops import scalar, symbolic
from webrt.ops.emit import F32_MAX, Emitter, Operands, device_dtype
from webrt.ops.registry import Attr, operator
from webrt.ops.site import Inferred, Site, Tensor, broadcast

Scalar = Callable[..., Expr]
Numpy = Callable[..., Tensor]


def elementwise(
    name: str,
    element: Scalar,
    reference: Numpy,
    *attributes: Attr,
    result: DType | None = None,
    content: Numpy | None = None,
    since: int = 1,
) -> None:
    """Register an operator: `element(site, *inputs)`; a `result` of None: the inputs' dtype."""

    class Elementwise:
        @staticmethod
        def infer(site: Site) -> tuple[Inferred, ...]:
            values = [site.input(j) for j in range(len(site.inputs))]
            if len({v.dtype for v in values}) != 1:
                found = ", ".join(str(v.dtype) for v in values)
                raise site.shape_error("inputs of one dtype", found)
            shape = broadcast(site, *(v.shape for v in values))
            return (Inferred(result or values[0].dtype, shape),)

        @staticmethod
        def reference(site: Site, *arrays: Tensor) -> tuple[Tensor, ...]:
            return (reference(site, *arrays),)

        @staticmethod
        def symbolic(site: Site, *arrays: Tensor) -> tuple[Tensor, ...]:
            assert content is not None
            if name == "Div" and site.input(0).dtype.is_float:
                return (symbolic.quotient(*arrays),)
            return (content(*arrays),)

        @staticmethod
        def lower(site: Site, emit: Emitter) -> None:
            dtype = site.input(0).dtype

            def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
                loaded = [operands.at(site.input(j), at) for j in range(len(site.inputs))]
                made = element(site, *loaded)
                return made if result else scalar.wrap(made, dtype)

            emit.map(body)

    if content is None:
        del Elementwise.symbolic
    operator(name, *attributes, since=since)(Elementwise)


def unary(name: str, op: str, reference: Numpy, since: int = 1, whole: bool = False) -> None:
    """An operator that is one call of the kernel IR; `whole`: it leaves whole numbers alone."""
    elementwise(
        name, lambda _, x: ex.call(op, x), lambda _, x: reference(x),
        content=(lambda x: x) if whole else None, since=since,
    )  # fmt: skip


unary("Exp", "exp", np.exp)
unary("Log", "log", np.log)
unary("Sqrt", "sqrt", np.sqrt)
unary("Tanh", "tanh", np.tanh)
unary("Erf", "erf", scalar.erf, since=9)
unary("Sin", "sin", np.sin)
unary("Cos", "cos", np.cos)
unary("Floor", "floor", np.floor, whole=True)
unary("Ceil", "ceil", np.ceil, whole=True)
unary("Round", "round", np.rint, since=11, whole=True)
unary("Reciprocal", "reciprocal", np.reciprocal)
unary("Sign", "sign", np.sign, since=9)
unary("Not", "not", np.logical_not)
elementwise("Abs", lambda _, x: ex.call("abs", x), lambda _, x: np.abs(x))
elementwise(
    "Neg", lambda _, x: ex.call("neg", x), lambda _, x: np.negative(x), content=lambda x: -x
)
elementwise("Tan", lambda _, x: ex.call("div", ex.call("sin", x), ex.call("cos", x)),
            lambda _, x: np.tan(x))  # fmt: skip
elementwise("Sinh", lambda _, x: scalar.half_sum(x, "sub"), lambda _, x: np.sinh(x), since=9)
elementwise("Cosh", lambda _, x: scalar.half_sum(x, "add"), lambda _, x: np.cosh(x), since=9)
elementwise("IsNaN", lambda _, x: ex.call("is_nan", x), lambda _, x: np.isnan(x), result=DType.BOOL,
            since=9)  # fmt: skip
elementwise(
    "IsInf", scalar.is_inf, scalar.is_inf_reference,
    Attr("detect_negative", 1), Attr("detect_positive", 1), result=DType.BOOL, since=10,
)  # fmt: skip

_ADD_PAIR: list[tuple[str, str, Numpy]] = [
    ("Add", "add", np.add), ("Sub", "sub", np.subtract), ("Mul", "mul", np.multiply),
]  # fmt: skip
for _name, _op, _function in _ADD_PAIR:
    elementwise(
        _name,
        lambda _, x, y, op=_op: ex.call(op, x, y),
        lambda _, x, y, f=_function: f(x, y),
        content=_function,
    )
elementwise("Div", lambda _, x, y: ex.call("div", x, y), scalar.divide, content=symbolic.divide)
elementwise(
    "Mod", scalar.mod, scalar.mod_reference, Attr("fmod", 0), content=symbolic.modulo, since=10
)

_COMPARISONS: list[tuple[str, str, Numpy, Numpy | None]] = [
    ("Equal", "eq", np.equal, symbolic.equal),
    ("Less", "lt", np.less, symbolic.less),
    ("LessOrEqual", "le", np.less_equal, symbolic.less_or_equal),
    ("Greater", "gt", np.greater, symbolic.greater),
    ("GreaterOrEqual", "ge", np.greater_equal, symbolic.greater_or_equal),
    ("And", "and", np.logical_and, None),
    ("Or", "or", np.logical_or, None),
    ("Xor", "xor", np.logical_xor, None),
]
for _name, _op, _function, _symbolic in _COMPARISONS:
    elementwise(
        _name,
        lambda _, x, y, op=_op: scalar.compare(op, x, y),
        lambda _, x, y, f=_function: f(x, y),
        result=DType.BOOL,
        content=_symbolic,
        since=12 if _name.endswith("OrEqual") else 1,
    )

_VARIADIC: list[tuple[str, str, Numpy, Numpy | None]] = [
    ("Max", "max", np.maximum, symbolic.maximum),
    ("Min", "min", np.minimum, symbolic.minimum),
    ("Sum", "add", np.add, None),
]
for _name, _op, _function, _symbolic in _VARIADIC:
    elementwise(
        _name,
        lambda _, *xs, op=_op: scalar.chain(op, xs),
        lambda _, *xs, f=_function: scalar.chain_reference(f, xs),
        content=_symbolic,
    )
elementwise("Mean", scalar.mean, scalar.mean_reference)
elementwise("PRelu", lambda _, x, slope: scalar.leaky(x, slope),
            lambda _, x, slope: np.where(x < 0, x * slope, x))  # fmt: skip


@operator("Pow")
class Pow:
    """The exponent may have a dtype of its own."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        base, exponent = site.input(0), site.input(1)
        return (Inferred(base.dtype, broadcast(site, base.shape, exponent.shape)),)

    @staticmethod
    def reference(site: Site, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        if x.dtype.kind in "iu" and y.dtype.kind == "f":
            return (np.power(x.astype(np.float64), y).astype(x.dtype),)
        if x.dtype.kind in "iu":
            return (scalar.power_reference(x, y),)
        return (np.power(x, y.astype(x.dtype)),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            x, y = (operands.at(site.input(j), at) for j in (0, 1))
            dtype = site.input(0).dtype
            return scalar.wrap(scalar.power(x, y, dtype is DType.I32), dtype)

        emit.map(body)


@operator("Where", since=9)
class Where:
    """Elements of one input or of the other."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        condition, x, y = (site.input(j) for j in range(3))
        if x.dtype is not y.dtype or condition.dtype is not DType.BOOL:
            found = f"{condition.dtype}, {x.dtype}, {y.dtype}"
            raise site.shape_error("a bool and two inputs of one dtype", found)
        return (Inferred(x.dtype, broadcast(site, condition.shape, x.shape, y.shape)),)

    @staticmethod
    def reference(site: Site, condition: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        return (np.where(condition.astype(bool), x, y),)

    symbolic = reference

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        emit.map(
            lambda operands, at: ex.select(*(operands.at(site.input(j), at) for j in range(3)))
        )


@operator(
    "Clip",
    Attr("min", -F32_MAX, until=10),
    Attr("max", F32_MAX, until=10),
)
class Clip:
    """Bounds are attributes before opset 11, optional inputs since."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        return (Inferred(site.input(0).dtype, site.input(0).shape),)

    @staticmethod
    def reference(
        site: Site, x: Tensor, low: Tensor | None = None, high: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        if site.version < 11:
            low, high = (np.array(site.number(n), x.dtype) for n in ("min", "max"))
        lifted = x if low is None else np.maximum(x, low)
        return (lifted if high is None else np.minimum(lifted, high),)

    @staticmethod
    def symbolic(
        site: Site, x: Tensor, low: Tensor | None = None, high: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        lifted = x if low is None else symbolic.maximum(x, low)
        return (lifted if high is None else symbolic.minimum(lifted, high),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            x = operands.at(site.input(0), at)
            bounds: list[Expr | None] = [None, None]
            if site.version < 11:
                bounds = [ex.f32(site.number("min")), ex.f32(site.number("max"))]
            else:
                for j in (0, 1):
                    value = site.optional(j + 1)
                    if value is not None:
                        bounds[j] = scalar.bound(operands, value)
            for op, bound in zip(("max", "min"), bounds, strict=True):
                x = x if bound is None else ex.call(op, x, bound)
            return x

        emit.map(body)


@operator("Cast", Attr("to"), Attr("saturate", 1, since=19), Attr("round_mode", "up", since=24))
class Cast:
    """`to` is decoded by the front end: the name of one of our dtypes."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        return (Inferred(DType(site.text("to")), site.input(0).shape),)

    @staticmethod
    def reference(site: Site, x: Tensor) -> tuple[Tensor, ...]:
        return (scalar.convert(x, DType(site.text("to"))),)

    @staticmethod
    def symbolic(site: Site, x: Tensor) -> tuple[Tensor, ...]:
        to = DType(site.text("to"))
        return (symbolic.to_bool(x) if to is DType.BOOL else x,)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        lower_cast(site, emit, DType(site.text("to")))


def lower_cast(site: Site, emit: Emitter, to: DType) -> None:
    """A view where source and target hold the same bits on the device, else a conversion."""
    source = site.input(0).dtype
    if (
        (source.is_float and to.is_float)
        or (device_dtype(source) is device_dtype(to) and source.bytes <= to.bytes)
        or (source.is_integer and to in (DType.I32, DType.I64) and source is not DType.U32)
    ):
        emit.view(site.input(0))
    else:
        emit.map(lambda operands, at: scalar.cast(operands.at(site.input(0), at), source, to))


@operator("CastLike", Attr("saturate", 1, since=19), Attr("round_mode", "up", since=24), since=15)
class CastLike:
    """Cast to the dtype of the second input, which isn't read."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        return (Inferred(site.input(1).dtype, site.input(0).shape),)

    @staticmethod
    def reference(site: Site, x: Tensor, _: Tensor) -> tuple[Tensor, ...]:
        return (scalar.convert(x, site.input(1).dtype),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        lower_cast(site, emit, site.input(1).dtype)
