"""The table of operators: what an `OpDef` holds, how one is registered, how a node is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.errors import UnsupportedOpError, WebrtError
from webrt.graph.ir import Array, Attribute, Node, Value
from webrt.ops.emit import Emitter
from webrt.ops.site import Inferred, Site, Tensor, Undecided, numpy_dtype, shape_text

FOLD_LIMIT = 16 << 20
"""A constant of more bytes isn't folded, unless it is no bigger than what it is made of."""

NEWEST = 99
MAX_CONTENT = 512
"""Integer tensors of up to this many elements are followed symbolically."""


@dataclass(frozen=True, slots=True)
class Attr:
    """An attribute from opset `since` to `until`; a default of None: optional, or required."""

    name: str
    default: Attribute | None = None
    since: int = 1
    until: int = NEWEST


class Rules(Protocol):
    """What a registered class holds, as static methods."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        """The dtypes and shapes of the outputs; raises ShapeError or UnsupportedOpError."""
        ...

    @staticmethod
    def reference(*arguments: Any, **keywords: Any) -> tuple[Tensor, ...]:
        """The outputs, with NumPy: of the site and one array (or None) for each input."""
        ...

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        """The outputs, as problems."""
        ...


@dataclass(frozen=True, slots=True)
class OpDef:
    """One operator; `symbolic` is `reference` over object arrays of dims, or None.

    `expand` stands for all of them where the operator is others put together (`compose.py`), or
    where it answers anything but None.
    """

    name: str
    domain: str
    since: int
    until: int
    attributes: tuple[Attr, ...]
    infer: Callable[[Site], tuple[Inferred, ...]]
    reference: Callable[..., tuple[Array, ...]]
    lower: Callable[[Site, Emitter], None]
    symbolic: Callable[..., tuple[Array, ...]] | None
    expand: Callable[[Site, Any], tuple[Value, ...] | None] | None = None

    def defaults(self, version: int) -> dict[str, Attribute | None]:
        return {a.name: a.default for a in self.attributes if a.since <= version <= a.until}


_TABLE: dict[tuple[str, str], OpDef] = {}
R = TypeVar("R", bound=type[Rules])


def operator(
    name: str, *attributes: Attr, domain: str = "", since: int = 1, until: int = NEWEST
) -> Callable[[R], R]:
    """Register a class of static methods `infer`, `reference`, `lower`, perhaps `symbolic`.

    `symbolic = reference` tells that the reference also holds for arrays of symbolic dims.
    """

    def add(rules: R) -> R:
        symbolic = getattr(rules, "symbolic", None)
        register(
            OpDef(
                name, domain, since, until, attributes,
                rules.infer, rules.reference, rules.lower, symbolic, getattr(rules, "expand", None),
            )
        )  # fmt: skip
        return rules

    return add


def register(definition: OpDef) -> None:
    """Add an operator to the table."""
    key = definition.domain, definition.name
    assert key not in _TABLE, definition.name
    _TABLE[key] = definition


def find(op: str, domain: str = "", version: int = NEWEST) -> OpDef | None:
    """The operator, or None where webrt doesn't know it in that version of the domain."""
    found = _TABLE.get((domain, op))
    return found if found and found.since <= version <= found.until else None


def all_operators() -> Iterator[OpDef]:
    """Every operator, by domain and name."""
    for key in sorted(_TABLE):
        yield _TABLE[key]


def apply(
    op: str,
    inputs: Sequence[Value | None],
    attributes: dict[str, Attribute] | None = None,
    *,
    name: str,
    outputs: Sequence[str],
    domain: str = "",
    version: int = 0,
) -> Node:
    """A node with its outputs inferred, folded where they are known. The way to make any node.

    An output with `data` is a constant, one with `content` is known up to symbols: consumers read
    these, and a node whose outputs are all known is dead. `outputs` are names. `version` is the
    domain's opset (the newest spelling where 0). Raises ShapeError or UnsupportedOpError, which
    name the node.
    """
    definition = find(op, domain, version or NEWEST)
    if definition is None:
        raise UnsupportedOpError(f"node {name!r}: {domain or 'ai.onnx'}.{op}-{version} isn't run")
    filled = {k: v for k, v in definition.defaults(version or NEWEST).items() if v is not None}
    filled |= attributes or {}
    site = Site(op, name, tuple(inputs), filled, version or NEWEST, len(outputs), domain)
    inferred = definition.infer(site)
    if site.bound:
        filled["binds"] = tuple(site.bound)
    for result in inferred:
        if any(isinstance(d, int) and d < 0 for d in result.shape):
            raise site.shape_error("no negative dim", shape_text(result.shape))
    values = _values(definition, site, inferred, outputs)
    return Node(op, name, tuple(inputs), values, filled, domain, version or NEWEST)


def compute(node: Node, arrays: Sequence[Array | None]) -> list[Array]:
    """The node's outputs with its NumPy reference, in the dtypes of its output values."""
    definition = find(node.op, node.domain, node.version)
    assert definition is not None, node.op
    with np.errstate(all="ignore"):
        results = definition.reference(Site.of(node), *map(_computed, arrays))
        return [
            np.asarray(r).astype(numpy_dtype(v.dtype), copy=False)
            for r, v in zip(results, node.outputs, strict=False)
        ]


def _computed(array: Array | None) -> Array | None:
    """What a reference computes with: float32 in the place of float16, as kernels do."""
    return array.astype(np.float32) if array is not None and array.dtype == np.float16 else array


def _values(
    definition: OpDef, site: Site, inferred: tuple[Inferred, ...], names: Sequence[str]
) -> tuple[Value, ...]:
    shapes = [i.shape for i in inferred]
    data = _folded(definition, site, inferred)
    contents = _contents(definition, site, inferred) if data is None else [None] * len(shapes)
    values = []
    for position, (name, result) in enumerate(zip(names, inferred, strict=False)):
        array, content = None, contents[position]
        if data is not None:
            array = data[position]
            assert array.shape == result.shape, (site.op, site.name, array.shape, result.shape)
        elif content is not None and all(isinstance(d, int) for d in content):
            array = np.array(content, numpy_dtype(result.dtype)).reshape(array_shape(result.shape))
            content = None
        elif 0 in result.shape and all(isinstance(d, int) for d in result.shape):
            array = np.empty(array_shape(result.shape), numpy_dtype(result.dtype))
        values.append(Value(name, result.dtype, result.shape, array, content))
    return tuple(values)


def array_shape(shape: tuple[Dim, ...]) -> tuple[int, ...]:
    assert all(isinstance(d, int) for d in shape), shape
    return tuple(d for d in shape if isinstance(d, int))


def _folded(definition: OpDef, site: Site, inferred: tuple[Inferred, ...]) -> list[Array] | None:
    """The outputs as constants, where all inputs are constants and the result isn't too big."""
    arrays = [None if v is None else v.data for v in site.inputs]
    if any(v is not None and v.data is None for v in site.inputs) or definition.domain == "webrt":
        return None
    if not all(isinstance(d, int) for i in inferred for d in i.shape):
        return None
    size = sum(dims.evaluate(dims.product(i.shape), {}) * i.dtype.bytes for i in inferred)
    if size > max(FOLD_LIMIT, sum(a.nbytes for a in arrays if a is not None)):
        return None
    try:
        with np.errstate(all="ignore"):
            results = definition.reference(site, *map(_computed, arrays))
            return [
                np.asarray(r).astype(numpy_dtype(i.dtype), copy=False)
                for r, i in zip(results, inferred, strict=False)
            ]
    except WebrtError:
        raise
    except (ValueError, IndexError, ArithmeticError, MemoryError) as error:
        raise site.shape_error("constants that fit", str(error)) from error


def _contents(
    definition: OpDef, site: Site, inferred: tuple[Inferred, ...]
) -> list[tuple[Dim, ...] | None]:
    """What is known of the outputs' elements up to symbols."""
    given = [i.content for i in inferred]
    if definition.symbolic is None or any(g is not None for g in given):
        return given
    if inferred[0].dtype not in (DType.I64, DType.I32, DType.BOOL, DType.F32):
        return given
    arrays = []
    for position, value in enumerate(site.inputs):
        known = site.known(position) if value is not None else None
        if value is not None and known is None:
            return given
        arrays.append(None if value is None or known is None else object_array(known, value.shape))
    sizes = [dims.product(i.shape) for i in inferred]
    if not all(isinstance(s, int) and s <= MAX_CONTENT for s in sizes):
        return given
    try:
        results = definition.symbolic(site, *arrays)
    except Undecided:
        return given
    return [tuple(np.asarray(r, object).reshape(-1)) for r in results]


def object_array(content: Sequence[Dim], shape: tuple[Dim, ...]) -> Array:
    """Dims as a NumPy array of objects: what `symbolic` rules compute with."""
    flat: Tensor = np.empty(len(content), object)
    for position, element in enumerate(content):
        flat[position] = element
    return flat.reshape(array_shape(shape))
