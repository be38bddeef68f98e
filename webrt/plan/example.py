"""Values for a model's symbols where nobody gave any: a batch of 1, dims of 128 otherwise."""

from __future__ import annotations

from collections.abc import Mapping

from webrt import dims
from webrt.errors import UsageError
from webrt.plan.plan import Plan

BATCH, LENGTH = 1, 128
_LENGTHS = ("seq", "len", "time", "token")


def example_bindings(plan: Plan, given: Mapping[str, int] | None = None) -> dict[str, int]:
    """A value for every symbol by its id: those of `given` (by name), else 0 for what a cache
    holds, 1 for what stands first in a shape and doesn't look like a length, and what makes a dim
    of 128 for the rest.

    Raises UsageError for a name that the model doesn't have.
    """
    given = given or {}
    names = [s.name for s in plan.symbols]
    for name in given:
        if name not in names:
            raise UsageError(f"unknown dim {name!r}: this model's are {', '.join(names) or 'none'}")
    shown = [dims.scaled_symbol(d) for p in plan.inputs for d in p.shape]
    factors = {found[0]: found[1] for found in shown if found is not None}
    first = {str(p.shape[0]) for p in plan.inputs if p.shape and not isinstance(p.shape[0], int)}
    values: dict[str, int] = {}
    for symbol in plan.symbols:
        long = symbol.id not in first or any(part in symbol.name.lower() for part in _LENGTHS)
        length = max(1, LENGTH // factors.get(symbol.id, 1))
        most = symbol.size(symbol.most)
        usual = min(length, most) if long else BATCH
        value = given.get(symbol.name, 0 if symbol.empty else usual)
        least = symbol.size(1)
        if not least <= value <= most:
            raise UsageError(f"{symbol.name} = {value}: expected {least} to {most}")
        values[symbol.id] = value + 1 - least
    return values
