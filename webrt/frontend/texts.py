"""Strings of a model: labels that it answers with. A run knows numbers, the pack their names.

A tensor of strings is one of places among names that are known when the model is read. So strings
can be outputs, be moved and looked up; what a model takes can't be strings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from onnx import NodeProto, TensorProto

from webrt.dtypes import DType
from webrt.errors import ModelError, ShapeError, UnsupportedOpError
from webrt.frontend.sequences import Columns, Item, Texts
from webrt.graph.ir import Attribute, Value
from webrt.ops.compose import Make
from webrt.ops.encode import default_of, entries
from webrt.ops.registry import find
from webrt.ops.scores import ML
from webrt.ops.site import Site
from webrt.plan.plan import NO_LABELS, Labels

MAX_NAMES = 1 << 16

MOVES = {
    ("", "Expand"), ("", "Flatten"), ("", "Gather"), ("", "GatherElements"), ("", "GatherND"),
    ("", "Reshape"), ("", "Slice"), ("", "Split"), ("", "Squeeze"), ("", "Tile"),
    ("", "Transpose"), ("", "Unsqueeze"), (ML, "ArrayFeatureExtractor"),
}  # fmt: skip
"""What moves the elements of its first input."""

JOINS = {"Concat", "Equal", "Where"}
"""What takes several tensors of strings together."""

Attributes = Mapping[str, Attribute]


def strings_of(tensor: TensorProto, what: str) -> tuple[str, ...]:
    """The elements of a tensor of strings; raises ModelError where they aren't text."""
    try:
        found = tuple(s.decode("utf-8") for s in tensor.string_data)
    except UnicodeDecodeError as error:
        raise ModelError(f"{what} holds strings that aren't UTF-8") from error
    if len(found) > MAX_NAMES:
        raise UnsupportedOpError(f"{what}: more than {MAX_NAMES} strings aren't run")
    return found


def constant(tensor: TensorProto, what: str) -> Texts:
    """A tensor of strings that is known."""
    given = strings_of(tensor, what)
    names = tuple(dict.fromkeys(given))
    number = {name: place for place, name in enumerate(names)}
    try:
        places = np.array([number[g] for g in given], np.int64).reshape(tuple(tensor.dims))
    except ValueError as error:
        found = f"{len(given)} strings for shape {list(tensor.dims)}"
        raise ModelError(f"{what} has {found}") from error
    return Texts(Value(tensor.name, DType.I64, places.shape, places), names)


def is_text(node: NodeProto, domain: str, items: Sequence[Item | None]) -> bool:
    """Whether a node takes strings, or makes maps."""
    return (domain, node.op_type) == (ML, "ZipMap") or any(isinstance(i, Texts) for i in items)


def columns(name: str, value: Item | None, attributes: Attributes) -> Columns:
    """What ZipMap makes: its input, whose columns have names."""
    given = attributes.get("classlabels_strings") or attributes.get("classlabels_int64s") or ()
    assert isinstance(given, tuple)
    names = tuple(str(g) if isinstance(g, str) else int(g) for g in given)
    if not isinstance(value, Value) or not names or len(names) > MAX_NAMES:
        raise ShapeError(f"node {name!r} (ZipMap): expected a tensor and labels, found others")
    width = value.shape[-1] if value.shape else 1
    if isinstance(width, int) and width != len(names):
        raise ShapeError(f"node {name!r} (ZipMap): expected {width} labels, found {len(names)}")
    return Columns(value, names)


def joined(make: Make, items: Sequence[Item | None]) -> tuple[list[Item | None], tuple[str, ...]]:
    """The inputs with tensors of strings as places among the names of all of them."""
    found = [i for i in items if isinstance(i, Texts)]
    names = tuple(dict.fromkeys(n for i in found for n in i.names))
    number = {name: place for place, name in enumerate(names)}

    def moved(item: Texts) -> Value:
        if item.names == names[: len(item.names)]:
            return item.index
        table = np.array([number[n] for n in item.names], np.int64)
        return make("Gather", make.constant(table), item.index, axis=0)

    return [moved(i) if isinstance(i, Texts) else i for i in items], names


def encoded(name: str, item: Texts, attributes: Attributes, version: int, make: Make) -> Item:
    """LabelEncoder of strings: a table has what each of them becomes."""
    site = _site("LabelEncoder", name, attributes, version)
    keys, values = entries(site, "keys", True), entries(site, "values", True)
    if not isinstance(keys, tuple) or values is None or len(keys) != len(values):
        raise site.shape_error("a value for each key, which are strings", "others")
    known = dict(zip(reversed(keys), reversed(list(values)), strict=True))
    default = default_of(site, values)
    found = [known.get(n, default) for n in item.names]
    if isinstance(values, tuple):
        texts = [str(f) for f in found]
        names = tuple(dict.fromkeys(texts))
        table = np.array([names.index(t) for t in texts], np.int64)
        return Texts(make("Gather", make.constant(table), item.index, axis=0), names)
    numbers = np.array(found, values.dtype)
    return make("Gather", make.constant(numbers), item.index, axis=0)


def names_made(
    op: str, domain: str, name: str, attributes: Attributes, version: int
) -> tuple[str, ...]:
    """What the first output's numbers are called, where it is a tensor of strings."""
    if domain != ML:
        return ()
    labels = attributes.get("classlabels_strings", ())
    if op != "LabelEncoder":
        return tuple(map(str, labels)) if isinstance(labels, tuple) else ()
    site = _site(op, name, attributes, version)
    values = entries(site, "values", False)
    return (*values, str(default_of(site, values))) if isinstance(values, tuple) else ()


def _site(op: str, name: str, attributes: Attributes, version: int) -> Site:
    definition = find(op, ML, version)
    assert definition is not None, op
    filled = {k: v for k, v in definition.defaults(version).items() if v is not None}
    return Site(op, name, (), filled | dict(attributes), version, 1, ML)


def answer(item: Item | None) -> tuple[Value | None, Labels]:
    """What an output of the model is computed as, and what that stands for."""
    match item:
        case Value():
            return item, NO_LABELS
        case Texts(index, names):
            return index, Labels(texts=names)
        case Columns(value, names):
            return value, Labels(columns=names)
    return None, NO_LABELS
