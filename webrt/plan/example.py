"""Values for a model's symbols where nobody gave any: a batch of 1, dims of 128 otherwise."""

from __future__ import annotations

from collections.abc import Mapping

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
    first = {str(p.shape[0]) for p in plan.inputs if p.shape and not isinstance(p.shape[0], int)}
    values: dict[str, int] = {}
    for symbol in plan.symbols:
        long = symbol.id not in first or any(part in symbol.name.lower() for part in _LENGTHS)
        usual = max(1, LENGTH // symbol.multiple) if long and not symbol.empty else BATCH
        values[symbol.id] = min(usual, symbol.most)
        if symbol.name in given:
            try:
                values[symbol.id] = symbol.value(given[symbol.name])
            except ValueError as error:
                raise UsageError(f"{symbol.name} = {given[symbol.name]}: {error}") from None
    return values
