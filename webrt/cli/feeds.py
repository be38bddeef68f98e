"""Feeds for a run: from NumPy files, or valid random ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from webrt import dims
from webrt.dtypes import DType
from webrt.errors import UsageError
from webrt.plan.plan import Plan, Port

Feeds = dict[str, npt.NDArray[Any]]
_UNBOUNDED = (0, 99)
"""Integers where the model tells no range: nothing is looked up by them."""


def parse_pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """`NAME=VALUE` options; the value may hold further `=` signs, the name may not."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name or not value:
            raise UsageError(f"{option} {text}: expected NAME=VALUE")
        if name in pairs:
            raise UsageError(f"{option} {text}: {name!r} is given twice")
        pairs[name] = value
    return pairs


def parse_dims(texts: Sequence[str]) -> dict[str, int]:
    """`--dim SYMBOL=INT` options."""
    values: dict[str, int] = {}
    for name, text in parse_pairs(texts, "--dim").items():
        if not text.isascii() or not text.isdigit() or len(text) > 10:
            raise UsageError(f"--dim {name}={text}: expected a positive integer")
        values[name] = int(text)
    return values


def load_files(texts: Sequence[str]) -> Feeds:
    """`--input NAME=FILE.npy` options."""
    return {n: load_array(Path(p)) for n, p in parse_pairs(texts, "--input").items()}


def load_array(path: Path) -> npt.NDArray[Any]:
    """One array of a .npy file; pickled objects are refused."""
    try:
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise UsageError(f"{path}: can't be read: {error.strerror or error}") from error
    except (ValueError, EOFError) as error:
        raise UsageError(f"{path}: is no .npy file of numbers") from error
    if not isinstance(array, np.ndarray):
        raise UsageError(f"{path}: is an archive; expected one array, a .npy file")
    return array


def random_feeds(plan: Plan, bindings: Mapping[str, int], seed: int, given: Feeds) -> Feeds:
    """Valid feeds for every input that `given` lacks; the same for the same seed and shapes."""
    random = np.random.default_rng(seed)
    feeds = dict(given)
    for port in plan.inputs:
        shape = tuple(dims.evaluate(d, bindings) for d in port.shape)
        made = _random(port, shape, random)
        feeds.setdefault(port.name, made)
    return feeds


def _random(port: Port, shape: tuple[int, ...], random: np.random.Generator) -> npt.NDArray[Any]:
    dtype = np.dtype(port.dtype.onnx_name)
    if "mask" in port.name.lower() and len(shape) > 0:
        return _mask(shape, random).astype(dtype)
    if port.dtype.is_float:
        return random.standard_normal(shape).astype(dtype)
    if port.dtype is DType.BOOL:
        return random.integers(0, 2, shape).astype(dtype)
    low = _UNBOUNDED[0] if port.low is None else port.low
    high = _UNBOUNDED[1] if port.high is None else port.high
    if port.low is None and port.high is not None:
        low = min(low, high)
    if "type" in port.name.lower():
        low, high = max(low, 0), min(high, 1)
    # Indices from the end are legal where a range starts below zero; real data has none.
    low = max(low, 0) if high >= 0 else low
    limits = np.iinfo(dtype)
    return random.integers(max(low, limits.min), max(low, min(high, limits.max)), shape,
                           dtype=dtype, endpoint=True)  # fmt: skip


def _mask(shape: tuple[int, ...], random: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Ones with a tail of zeros in each row; the first element is always one."""
    ends = random.integers((shape[-1] + 1) // 2, shape[-1], (*shape[:-1], 1), endpoint=True)
    return np.arange(shape[-1]) < np.maximum(ends, 1)


def bindings_of(plan: Plan, feeds: Mapping[str, npt.NDArray[Any]]) -> dict[str, int]:
    """Values by name of the symbols that stand alone in the shapes of the inputs given."""
    names = {s.id: s.name for s in plan.symbols}
    found: dict[str, int] = {}
    for port in plan.inputs:
        if port.name in feeds and feeds[port.name].ndim == len(port.shape):
            for dim, size in zip(port.shape, feeds[port.name].shape, strict=True):
                name, factor = dims.scaled_symbol(dim) or ("", 1)
                if name in names and size >= factor:
                    found.setdefault(names[name], size // factor)
    return found
