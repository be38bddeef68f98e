"""How ai.onnx.ml prepares features: scaled, imputed, put in order, one column for each category."""

from __future__ import annotations

import numpy as np

from webrt import dims
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.ops.compose import Make, composite
from webrt.ops.flow import held
from webrt.ops.registry import Attr
from webrt.ops.scores import ML, floats, integers
from webrt.ops.site import Site


@composite("Scaler", Attr("offset"), Attr("scale"), domain=ML)
def scaler(site: Site, make: Make) -> tuple[Value, ...]:
    """(x - offset) · scale, by column."""
    x = make.cast(site.input(0), DType.F32)
    for name, op in (("offset", "Sub"), ("scale", "Mul")):
        values = floats(site, name)
        if values.size:
            x = make(op, x, make.constant(_columns(site, x, name, values)))
    return (x,)


def _columns(site: Site, x: Value, name: str, values: np.ndarray) -> np.ndarray:
    """Values for the last dim: one for all, or one each."""
    width = x.shape[-1] if x.shape else 1
    if values.size != 1 and isinstance(width, int) and values.size != width:
        raise site.shape_error(f"1 or {width} of {name}", str(values.size))
    return values.astype(np.float32) if values.dtype.kind == "f" else values


@composite("Normalizer", Attr("norm", "MAX"), domain=ML)
def normalizer(site: Site, make: Make) -> tuple[Value, ...]:
    """Rows over their norm; rows of zeros stay as they are."""
    x, kind = make.cast(site.input(0), DType.F32), site.text("norm")
    site.ranked(0, 1, 2)
    names = {"MAX": "ReduceMax", "L1": "ReduceL1", "L2": "ReduceL2"}
    if kind not in names:
        raise site.unsupported(f"the norm {kind!r} isn't run")
    norm = make(names[kind], x, make.integers(len(x.shape) - 1), keepdims=1)
    some = make("Where", make("Equal", norm, make.number(0, x)), make.number(1, x), norm)
    return (make("Div", x, some),)


@composite(
    "Imputer", Attr("imputed_value_floats"), Attr("imputed_value_int64s"),
    Attr("replaced_value_float", 0.0), Attr("replaced_value_int64", 0), domain=ML,
)  # fmt: skip
def imputer(site: Site, make: Make) -> tuple[Value, ...]:
    """One value, or what is no number, is replaced by another: by column, or the same for all."""
    x = site.input(0)
    if x.dtype.is_float:
        values, wanted = floats(site, "imputed_value_floats"), site.number("replaced_value_float")
    else:
        values, wanted = (
            integers(site, "imputed_value_int64s"),
            site.integer("replaced_value_int64"),
        )
    if not values.size:
        raise site.shape_error("imputed values of the input's type", "none")
    given = make.cast(make.constant(_columns(site, x, "imputed values", values)), x.dtype)
    gone = make("IsNaN", x) if np.isnan(wanted) else make("Equal", x, make.number(wanted, x))
    return (make("Where", gone, given, x),)


@composite("FeatureVectorizer", Attr("inputdimensions"), domain=ML)
def feature_vectorizer(site: Site, make: Make) -> tuple[Value, ...]:
    """The inputs side by side, as float32."""
    parts = []
    for place in range(len(site.inputs)):
        shape = site.ranked(place, 1, 2)
        x = make.cast(site.input(place), DType.F32)
        parts.append(make.reshape(x, 1, shape[0]) if len(shape) == 1 else x)
    return (make("Concat", *parts, axis=1) if len(parts) > 1 else parts[0],)


@composite("OneHotEncoder", Attr("cats_int64s"), Attr("cats_strings"), Attr("zeros", 1), domain=ML)
def one_hot_encoder(site: Site, make: Make) -> tuple[Value, ...]:
    """1 in the column of the element's category, else 0.

    An element of no category is a row of zeros or, where `zeros` is 0, ends the run.
    """
    categories = integers(site, "cats_int64s")
    if not categories.size:
        raise site.unsupported("categories that are strings aren't run")
    x = make.cast(site.input(0), DType.I64)
    wide = make("Unsqueeze", x, make.integers(len(x.shape)))
    same = make("Equal", wide, make.constant(categories))
    if not site.integer("zeros"):
        every = make("ReduceMax", make.cast(same, DType.I32), make.integers(-1), keepdims=0)
        least = make("ReduceMin", make.reshape(every, dims.product(x.shape)), keepdims=1)
        held(site, make, make("Sub", least, make.number(1, least)))
    return (make.cast(same, DType.F32),)


@composite(
    "LabelEncoder", Attr("classes_strings", until=1), Attr("default_float", -0.0, since=2),
    Attr("default_int64", -1), Attr("default_string", "_Unused"),
    Attr("default_tensor", since=4), Attr("keys_floats", since=2), Attr("keys_int64s", since=2),
    Attr("keys_strings", since=2), Attr("keys_tensor", since=4), Attr("values_floats", since=2),
    Attr("values_int64s", since=2), Attr("values_strings", since=2),
    Attr("values_tensor", since=4), domain=ML,
)  # fmt: skip
def label_encoder(site: Site, make: Make) -> tuple[Value, ...]:
    """Each element by its place among keys gives a value.

    Strings are numbers here, which the front end has names for (`frontend/texts.py`).
    """
    keys, values = entries(site, "keys", False), entries(site, "values", False)
    if keys is None or values is None:
        raise site.unsupported("keys and values of other kinds than numbers and strings aren't run")
    if len(keys) != len(values) or not len(keys):
        raise site.shape_error(f"{len(keys)} values, at least 1", str(len(values)))
    if isinstance(keys, tuple):
        raise site.unsupported("keys that are strings aren't run for an input of numbers")
    default = default_of(site, values)
    if isinstance(values, tuple):
        table = np.arange(len(values) + 1)
    else:
        table = np.concatenate([values, np.array([default], values.dtype)])
    return (make("Gather", make.constant(table), _place(site, make, keys), axis=0),)


def _place(site: Site, make: Make, keys: np.ndarray) -> Value:
    """The place of each element among the keys, of equal ones the first; their count for none."""
    x, count = site.input(0), len(keys)
    wide = make("Unsqueeze", x, make.integers(len(x.shape)))
    same = make("Equal", wide, make.cast(make.constant(keys), x.dtype))
    if keys.dtype.kind == "f" and np.isnan(keys).any():
        missing = make("And", make("IsNaN", wide), make.constant(np.isnan(keys)))
        same = make("Or", same, missing)
    places = make.constant(np.arange(count, dtype=np.int32))
    found = make("Where", same, places, make.constant(np.array(count, np.int32)))
    return make("ReduceMin", found, make.integers(len(x.shape)), keepdims=0)


def entries(site: Site, which: str, texts: bool) -> np.ndarray | tuple[str, ...] | None:
    """Keys or values: numbers, or strings; `texts` tells whether the input is strings."""
    classes = site.attributes.get("classes_strings")
    if isinstance(classes, tuple):
        is_text = (which == "keys") == texts
        return tuple(map(str, classes)) if is_text else np.arange(len(classes))
    found = site.attributes.get(f"{which}_tensor")
    if isinstance(found, np.ndarray):
        return found.reshape(-1)
    if isinstance(found, tuple):
        return tuple(str(f) for f in found)
    strings = site.attributes.get(f"{which}_strings")
    if isinstance(strings, tuple):
        return tuple(str(s) for s in strings)
    if f"{which}_int64s" in site.attributes:
        return integers(site, f"{which}_int64s")
    return floats(site, f"{which}_floats") if f"{which}_floats" in site.attributes else None


def default_of(site: Site, values: np.ndarray | tuple[str, ...]) -> int | float | str:
    """What an element of no key becomes."""
    found = site.attributes.get("default_tensor")
    if isinstance(found, np.ndarray) and found.size == 1:
        return found.reshape(-1)[0].item()  # type: ignore[no-any-return]
    if isinstance(found, tuple) and len(found) == 1:
        return str(found[0])
    if isinstance(values, tuple):
        return site.text("default_string")
    return (
        site.number("default_float") if values.dtype.kind == "f" else site.integer("default_int64")
    )
