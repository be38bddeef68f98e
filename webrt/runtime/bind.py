"""Check the feeds of a run against the model's inputs, and read its symbols' values off them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.errors import PackError, ShapeError
from webrt.plan.flow import bound_by, items_of
from webrt.plan.plan import NO_LABELS, SEED, Labels, Plan, Port, counted
from webrt.runtime import arrays
from webrt.runtime.arrays import HostTensor, NotAnArrayError

_RANGES = {DType.I64: (-(1 << 31), (1 << 31) - 1), DType.U64: (0, (1 << 32) - 1)}
"""What a device can hold of the dtypes that it stores in fewer bits."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output of a model: ONNX's name of its dtype, the shape in the model's symbols.

    `labels` tells which `texts` an output of strings chooses among, or what its `columns` mean.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    labels: Labels = NO_LABELS

    def __str__(self) -> str:
        return f"{self.dtype} [{', '.join(map(str, self.shape))}]"


def describe(plan: Plan, port: Port) -> TensorInfo:
    """The port as users see it: `s0` by the model's own name."""
    shape = tuple(d if isinstance(d, int) else str(plan.named(d)) for d in port.shape)
    dtype = "string" if port.labels.texts else port.dtype.onnx_name
    return TensorInfo(port.name, dtype, shape, port.labels)


def listed_inputs(plan: Plan) -> tuple[TensorInfo, ...]:
    """The inputs that users see."""
    return tuple(describe(plan, port) for port in plan.inputs if port.name != SEED)


def check_symbols(plan: Plan) -> None:
    """Every symbol is a dim of an input or gets its value in the flow; raises PackError."""
    bound = {*plan.given, *(name for item in items_of(plan.flow) for name in bound_by(item))}
    for symbol in plan.symbols:
        if symbol.id not in bound:
            raise PackError(f"the symbol {symbol.name!r} is no dim of any input; pack again")


def bind(plan: Plan, feeds: Mapping[str, object]) -> tuple[tuple[int, ...], dict[str, HostTensor]]:
    """The values of the symbols that `plan.given` lists, and the feeds as host tensors.

    Raises ShapeError for feeds that don't fit the inputs in name, dtype, rank, shape or value.
    """
    for name in feeds:
        if not any(p.name == name for p in plan.inputs):
            known = ", ".join(i.name for i in listed_inputs(plan)) or "none"
            raise ShapeError(f"unknown input {name!r}: this model's inputs are {known}")
    given = {port.name: _tensor(plan, port, feeds) for port in plan.inputs}
    bindings, origins = _read_symbols(plan, given)
    for port in plan.inputs:
        _check_shape(plan, port, given[port.name], bindings, origins)
        _check_values(port, given[port.name])
    return tuple(bindings[name] for name in plan.given), given


def _tensor(plan: Plan, port: Port, feeds: Mapping[str, object]) -> HostTensor:
    if port.name not in feeds:
        if port.name == SEED:
            return HostTensor(port.dtype, (), memoryview(os.urandom(port.dtype.bytes)))
        raise ShapeError(f"input {port.name!r} is missing: expected {describe(plan, port)}")
    try:
        tensor = arrays.from_host(feeds[port.name], port.dtype)
    except NotAnArrayError as error:
        raise ShapeError(
            f"input {port.name!r}: expected {describe(plan, port)}, found {error}"
        ) from error
    if tensor.dtype is not port.dtype or len(tensor.shape) != len(port.shape):
        raise ShapeError(
            f"input {port.name!r}: expected {describe(plan, port)},"
            f" found {tensor.dtype.onnx_name} {list(tensor.shape)}"
        )
    return tensor


def _read_symbols(
    plan: Plan, given: Mapping[str, HostTensor]
) -> tuple[dict[str, int], dict[str, str]]:
    """Values of the symbols, and which input gave each; the first one that shows it decides."""
    symbols = {s.id: s for s in plan.symbols}
    bindings: dict[str, int] = {}
    origins: dict[str, str] = {}
    for port in plan.inputs:
        for axis, (dim, size) in enumerate(zip(port.shape, given[port.name].shape, strict=True)):
            name, factor, less = dims.scaled_symbol(dim) or ("", 1, 0)
            if not name or name in bindings:
                continue
            try:
                bindings[name] = counted(size, factor, less, symbols[name].most)
            except ValueError as error:
                raise ShapeError(
                    f"input {port.name!r}: {plan.named(dim)} at axis {axis} is {size}, {error}"
                ) from None
            origins[name] = port.name
    return bindings, origins


def _check_shape(
    plan: Plan,
    port: Port,
    tensor: HostTensor,
    bindings: Mapping[str, int],
    origins: Mapping[str, str],
) -> None:
    info = describe(plan, port)
    for axis, (dim, size) in enumerate(zip(port.shape, tensor.shape, strict=True)):
        wanted = dims.evaluate(dim, bindings)
        if wanted == size:
            continue
        symbols = sorted({origins[s] for s in dims.free_symbols(dim)} - {port.name})
        name = "" if isinstance(dim, int) else f"{info.shape[axis]} = "
        source = f" (from input {symbols[0]!r})" if symbols else ""
        raise ShapeError(
            f"input {port.name!r}: expected {name}{wanted}{source} at axis {axis},"
            f" found {size} in {list(tensor.shape)}"
        )


def _check_values(port: Port, tensor: HostTensor) -> None:
    if port.dtype is DType.F64:
        found = arrays.beyond_f32(tensor)
        if found is not None:
            raise ShapeError(
                f"input {port.name!r}: the value {found:g} is outside of float32, which float64 is"
                " computed in"
            )
    held_low, held_high = _RANGES.get(port.dtype, (None, None))
    low = max((v for v in (held_low, port.low) if v is not None), default=None)
    high = min((v for v in (held_high, port.high) if v is not None), default=None)
    if not port.dtype.is_integer or (low is None and high is None) or not tensor.data.nbytes:
        return
    least, greatest = arrays.value_range(tensor)
    for value in (least, greatest):
        if (low is not None and value < low) or (high is not None and value > high):
            bounds = f"{'' if low is None else low} … {'' if high is None else high}".strip()
            raise ShapeError(f"input {port.name!r}: the value {value} is outside of {bounds}")


def evaluate_shape(shape: Sequence[Dim], bindings: Mapping[str, int]) -> tuple[int, ...]:
    """A shape under `bindings`; raises ShapeError where a dim comes out negative or undefined."""
    sizes = tuple(evaluate_dim(d, bindings) for d in shape)
    if any(size < 0 for size in sizes):
        raise ShapeError(f"the shape {list(shape)} is {list(sizes)} at this input shape")
    return sizes


def evaluate_dim(dim: Dim, bindings: Mapping[str, int]) -> int:
    """A dim under `bindings`; raises ShapeError where it is undefined."""
    try:
        return dims.evaluate(dim, bindings)
    except ZeroDivisionError as error:
        raise ShapeError(f"{dim} divides by zero at this input shape") from error
    except KeyError as error:
        raise PackError(
            f"{dim} is needed before {error.args[0]} has a value; pack again"
        ) from error
