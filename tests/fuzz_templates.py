"""What random models are made of: for every operator, how its inputs and attributes are drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fuzz_graphs import Draw

Make = Callable[[Draw], object]


@dataclass(frozen=True)
class Template:
    """A way to add nodes of the operators it names; it raises RejectedError where it can't."""

    operators: tuple[str, ...]
    make: Make
    weight: float


TEMPLATES: dict[str, Template] = {}


def template(*operators: str, weight: float = 0) -> Callable[[Make], Make]:
    """Register a function; each of its operators weighs one if no weight is given."""

    def add(make: Make) -> Make:
        TEMPLATES[make.__name__] = Template(operators, make, weight or len(operators))
        return make

    return add


def covered() -> frozenset[str]:
    """The operators that random models hold."""
    return frozenset(op for t in TEMPLATES.values() for op in t.operators)
