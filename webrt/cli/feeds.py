"""Feeds for a run, from NumPy files; and what options say of dims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from webrt import dims
from webrt.checking.feeds import Feeds, random_feeds
from webrt.errors import UsageError
from webrt.plan.plan import Plan

__all__ = ["Feeds", "bindings_of", "load_array", "load_files", "parse_dims", "parse_pairs",
           "random_feeds"]  # fmt: skip


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


def bindings_of(plan: Plan, feeds: Mapping[str, npt.NDArray[Any]]) -> dict[str, int]:
    """Values by name of the symbols that stand alone in the shapes of the inputs given."""
    symbols = {s.id: s for s in plan.symbols}
    found: dict[str, int] = {}
    for port in plan.inputs:
        if port.name in feeds and feeds[port.name].ndim == len(port.shape):
            for dim, size in zip(port.shape, feeds[port.name].shape, strict=True):
                name, factor, less = dims.scaled_symbol(dim) or ("", 1, 0)
                if name in symbols and size >= factor - less:
                    value = symbols[name].size((size + less) // factor)
                    found.setdefault(symbols[name].name, value)
    return found
