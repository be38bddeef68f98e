"""Symbolic arithmetic equals integer arithmetic."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import Tree, trees

from webrt import dims
from webrt.dims import symbol
from webrt.kernel.text import parse_dim

EXTENTS = {"i0": 4, "i1": 12, "i2": 3}
NAMES = ["i0", "i1", "i2", "s0", "s1"]
s0, s1, i0, i1 = (symbol(name) for name in ("s0", "s1", "i0", "i1"))

values = st.fixed_dictionaries(
    {name: st.integers(0, extent - 1) for name, extent in EXTENTS.items()}
    | {"s0": st.integers(1, 40), "s1": st.integers(1, 9)}
)


@given(trees(NAMES), values)
def test_a_dim_evaluates_to_what_was_asked_for(tree: Tree, bindings: dict[str, int]) -> None:
    assert dims.evaluate(tree.dim(), bindings) == tree.value(bindings)


@given(trees(NAMES), values)
def test_simplify_keeps_the_value(tree: Tree, bindings: dict[str, int]) -> None:
    simple = dims.simplify(tree.dim(), dict(EXTENTS))
    assert dims.evaluate(simple, bindings) == tree.value(bindings)


@given(trees(NAMES), values)
def test_bounds_hold(tree: Tree, bindings: dict[str, int]) -> None:
    dim, value = tree.dim(), tree.value(bindings)
    if dims.is_nonnegative(dim, dict(EXTENTS)):
        assert value >= 0
    top = dims.upper_bound(dim, dict(EXTENTS))
    if top is not None:
        assert value <= dims.evaluate(top, bindings)
    if dims.is_below(dim, 20, dict(EXTENTS)):
        assert 0 <= value < 20


@given(trees(NAMES), trees(NAMES), values)
def test_is_at_most_is_a_proof(left: Tree, right: Tree, bindings: dict[str, int]) -> None:
    if dims.is_at_most(left.dim(), right.dim(), dict(EXTENTS)):
        assert left.value(bindings) <= right.value(bindings)


@given(trees(NAMES), trees(["s0", "i0"]), values)
def test_substitute_is_evaluation_in_two_steps(
    tree: Tree, inner: Tree, bindings: dict[str, int]
) -> None:
    changed = dims.substitute(tree.dim(), {"i1": inner.dim()})
    expected = tree.value(bindings | {"i1": inner.value(bindings)})
    assert dims.evaluate(changed, bindings) == expected


@given(trees(NAMES))
def test_text_round_trip(tree: Tree) -> None:
    dim = tree.dim()
    assert parse_dim(str(dim)) == dim


@given(trees(NAMES), values)
def test_parse_means_the_same(tree: Tree, bindings: dict[str, int]) -> None:
    assert dims.evaluate(dims.parse(str(tree.dim())), bindings) == tree.value(bindings)


@given(trees(NAMES), values)
def test_json_round_trip(tree: Tree, bindings: dict[str, int]) -> None:
    again = dims.from_json(json.loads(json.dumps(dims.to_json(tree.dim()))))
    assert dims.evaluate(again, bindings) == tree.value(bindings)


@given(trees(NAMES), trees(NAMES))
def test_equal_polynomials_are_equal_objects(left: Tree, right: Tree) -> None:
    a, b = left.dim(), right.dim()
    assert a + b == b + a
    assert a * b == b * a
    assert (a + b) - b == a
    assert (a + b) * 3 == a * 3 + b * 3


def test_division_and_modulo_meet_again() -> None:
    assert i0 // 12 * 12 + i0 % 12 == i0
    assert (i0 // s0 * s0 + i0 % s0) * s1 == i0 * s1
    assert (i0 * 384 + i1) // 384 * 384 + (i0 * 384 + i1) % 384 == i0 * 384 + i1


@pytest.mark.parametrize(
    ("dim", "text"),
    [
        ((i0 * 12 + i1) // 12, "i0"),
        ((i0 * 12 + i1) % 12, "i1"),
        ((i0 * 24 + i1 * 2) // 24, "i0"),
        (dims.ceil_div(s0 * 4, 4), "s0"),
        ((i1 // 3) // 4, "0"),
        (i0 % s0, "(i0 % s0)"),
    ],
)
def test_simplify_removes_what_extents_make_needless(dim: dims.Dim, text: str) -> None:
    assert str(dims.simplify(dim, dict(EXTENTS))) == text


def test_unbound_symbols_raise() -> None:
    with pytest.raises(KeyError, match="s1"):
        dims.evaluate(s0 + s1, {"s0": 1})


@pytest.mark.parametrize("text", ["", "a b", "1.5", "f(x)", "a ** 2", "a / 2", "[1]"])
def test_what_is_no_dim_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a dim"):
        dims.parse(text)


@pytest.mark.parametrize("data", [None, 1.5, True, [], ["+"], ["^", 1, 2], ["//", 1], "a b", {}])
def test_what_is_no_json_dim_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="not a"):
        dims.from_json(data)


def test_a_name_may_stand_for_anything() -> None:
    """A loaded index that a kernel names has no extent: it may be negative."""
    name, size = dims.symbol("index_1"), dims.symbol("s0")
    assert not dims.is_nonnegative(name, {})
    assert dims.is_nonnegative(name, {"index_1": size})
    assert dims.is_nonnegative(size - 1, {})
    clamped = dims.dim_max(name, 0)
    assert dims.simplify(clamped, {}) == clamped
    assert dims.simplify(clamped, {"index_1": size}) == name


def test_a_clamped_pixel_lies_in_its_image() -> None:
    """Halved as often as it may be, an image has a row and a column."""
    height, width = (dims.floor_div(dims.floor_div(s + 1, 2) + 1, 2) for s in (s0, s1))
    extents = {"i0": height, "i1": width}
    rows, columns = (
        dims.dim_min(dims.dim_max(at - 2, 0), size - 1) for at, size in ((i0, height), (i1, width))
    )
    assert dims.is_nonnegative(height - 1, {})
    assert not dims.is_nonnegative(dims.floor_div(s0, 2) - 1, {})
    assert dims.is_below(rows * width + columns, height * width, extents)
    assert not dims.is_below(rows * width + columns + 1, height * width, extents)
