"""Whatever stands in a manifest, reading it ends in a Pack or a PackError, soon."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_pack_read import BASE, FLOW_BASE, sealed

from webrt.errors import PackError
from webrt.pack.read import parse_manifest
from webrt.plan.example import example_bindings
from webrt.plan.memory import place
from webrt.runtime.flow import Route

NAMES = ["s0", "s1", "s9", "+", "*", "//", "%", "min", "max", "f32", "i32", "constant", "ids", ""]
LEAVES = (
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.integers(-3, 70)
    | st.floats(allow_nan=False) | st.sampled_from(NAMES) | st.text(max_size=5)
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=40,
)
DIMS = st.recursive(
    st.sampled_from([0, 1, 2, -1, 7, "s0", "s1"]),
    lambda inner: st.builds(
        lambda op, parts: [op, *parts],
        st.sampled_from(["+", "*", "//", "%", "min", "max"]),
        st.lists(inner, min_size=2, max_size=4),
    ),
    max_leaves=60,
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in items:
            found += paths(part, (*path, key))
    return found


PATHS = paths(BASE)
FLOW_PATHS = [p for p in paths(FLOW_BASE) if p[0] in ("flow", "steps", "tensors", "symbols")]
FLOW_LEAVES = st.integers(-1, 20) | st.sampled_from(["s0", "s1", "s2", "s3", None, [], {}])
SHAPES = [p for p in PATHS if {"shape", "grid", "work", "units"} & set(p)]


def put(body: Any, path: tuple[Any, ...], value: Any) -> None:
    """Set a value; nothing where an earlier change took the place away."""
    with contextlib.suppress(KeyError, IndexError, TypeError):
        for key in path[:-1]:
            body = body[key]
        body[path[-1]] = value


def attempt(body: Any) -> None:
    message = ""
    try:
        pack = parse_manifest(sealed(body))
        Route(pack.plan)
        place(pack.plan, example_bindings(pack.plan))
    except PackError as error:
        message = str(error)
    except ZeroDivisionError:
        pass  # by a symbolic divisor: told when the shape is bound
    assert "\n" not in message


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(PATHS), VALUES), min_size=1, max_size=3))
def test_anything_anywhere(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    body = copy.deepcopy(BASE)
    for path, value in changes:
        put(body, path, value)
    attempt(body)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(SHAPES), DIMS), min_size=1, max_size=3))
def test_any_dims(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    body = copy.deepcopy(BASE)
    for path, value in changes:
        put(body, path, value)
    attempt(body)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.sampled_from(FLOW_PATHS), FLOW_LEAVES | VALUES), min_size=1, max_size=3)
)
def test_anything_in_a_flow(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    body = copy.deepcopy(FLOW_BASE)
    for path, value in changes:
        put(body, path, value)
    attempt(body)


@settings(max_examples=200)
@given(st.sampled_from(FLOW_PATHS), st.sampled_from(FLOW_PATHS))
def test_a_part_of_a_flow_in_place_of_another(source: Any, target: Any) -> None:
    body = copy.deepcopy(FLOW_BASE)
    part: Any = FLOW_BASE
    for key in source:
        part = part[key]
    put(body, target, copy.deepcopy(part))
    attempt(body)


@settings(max_examples=200)
@given(st.integers(0, 3), st.data())
def test_any_problem_text(number: int, data: st.DataObject) -> None:
    body = copy.deepcopy(BASE)
    text: str = body["problems"][number]["text"]
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 12)))
    piece = data.draw(
        st.text(max_size=6) | st.sampled_from(["(" * 300, "s0", "x9", "9" * 5000, "//0"])
    )
    body["problems"][number]["text"] = text[:start] + piece + text[end:]
    attempt(body)
