"""The values that symbols get where nobody gives any."""

from __future__ import annotations

import pytest

from webrt.dims import symbol
from webrt.dtypes import DType
from webrt.errors import UsageError
from webrt.plan.example import example_bindings
from webrt.plan.plan import ModelSymbol, Plan, Port

S0, S1, S2 = (symbol(f"s{j}") for j in range(3))


def plan(*symbols: ModelSymbol) -> Plan:
    inputs = (Port("x", DType.F32, (S0, S1, 4), 0), Port("y", DType.F32, (S2, 3), 1))
    return Plan(symbols, inputs, (), (), (), ())


def test_batches_are_one_and_lengths_128() -> None:
    symbols = (ModelSymbol("s0", "N"), ModelSymbol("s1", "width"), ModelSymbol("s2", "seq_len"))
    assert example_bindings(plan(*symbols)) == {"s0": 1, "s1": 128, "s2": 128}


def test_a_table_of_positions_bounds_a_length() -> None:
    symbols = (ModelSymbol("s0", "n"), ModelSymbol("s1", "t", most=77), ModelSymbol("s2", "m"))
    assert example_bindings(plan(*symbols)) == {"s0": 1, "s1": 77, "s2": 1}
    with pytest.raises(UsageError) as caught:
        example_bindings(plan(*symbols), {"t": 78})
    assert str(caught.value) == "t = 78: expected 1 to 77"


def test_given_values_come_first() -> None:
    symbols = (ModelSymbol("s0", "n"), ModelSymbol("s1", "t"), ModelSymbol("s2", "m"))
    assert example_bindings(plan(*symbols), {"n": 3, "m": 5}) == {"s0": 3, "s1": 128, "s2": 5}
    with pytest.raises(UsageError) as caught:
        example_bindings(plan(*symbols), {"k": 1})
    assert str(caught.value) == "unknown dim 'k': this model's are n, t, m"
