"""Passes preserve meaning: random graphs, built into plans, against their problems unfused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from webrt import dims
from webrt.dtypes import DType
from webrt.graph.ir import Graph, Node, Value
from webrt.kernel.check import check_problem
from webrt.ops.registry import apply
from webrt.passes.evaluate import evaluate_plan, evaluate_program
from webrt.passes.lower import lower
from webrt.passes.pipeline import build
from webrt.plan.plan import ModelSymbol

S = dims.symbol("s0")
WIDTHS = (4, 6)


class Growing:
    """A graph that grows by one operator a call."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.rng = np.random.default_rng(draw(st.integers(0, 99)))
        self.values = [Value("x", DType.F32, (S, 4, 6))]
        self.nodes: list[Node] = []

    def pick(self) -> Value:
        """One of the values, the newest ones rather."""
        back = self.draw(st.integers(1, min(4, len(self.values))))
        return self.values[-back]

    def constant(self, data: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Value:
        dtype = DType.F32 if data.dtype.kind == "f" else DType.I64
        return Value("c", dtype, data.shape, data)

    def weight(self, *shape: int) -> Value:
        return self.constant((self.rng.standard_normal(shape) * 0.4).astype(np.float32))

    def add(self, op: str, *inputs: Value, **attributes: int | float | tuple[int, ...]) -> None:
        number = len(self.nodes)
        node = apply(op, list(inputs), dict(attributes), name=f"n{number}", outputs=[f"v{number}"])
        self.nodes.append(node)
        self.values.append(node.outputs[0])

    def unary(self) -> None:
        self.add(self.draw(st.sampled_from(["Tanh", "Sigmoid", "Neg", "Abs", "Erf"])), self.pick())

    def binary(self) -> None:
        left = self.pick()
        same = [v for v in self.values if v.shape == left.shape]
        row = [self.weight(int(str(left.shape[-1])))] if isinstance(left.shape[-1], int) else []
        right = self.draw(st.sampled_from([*same[-3:], *row, self.weight()]))
        op = self.draw(st.sampled_from(["Add", "Mul", "Sub", "Max"]))
        pair = (left, right) if self.draw(st.booleans()) else (right, left)
        self.add(op, *pair)

    def transpose(self) -> None:
        value = self.pick()
        self.add(
            "Transpose", value, perm=tuple(self.draw(st.permutations(range(len(value.shape)))))
        )

    def reshape(self) -> None:
        value = self.pick()
        size = dims.product(value.shape)
        inner = self.draw(st.sampled_from([(-1,), (-1, 4), (-1, 2, 3), (2, -1), (-1, 6, 2)]))
        known = int(np.prod([d for d in inner if d > 0]))
        if dims.modulo(size, known) == 0:
            self.add("Reshape", value, self.constant(np.array(inner, np.int64)))

    def slice(self) -> None:
        value = self.pick()
        axis = next((j for j, d in enumerate(value.shape) if isinstance(d, int) and d > 2), None)
        if axis is not None:
            parts = (np.array([x], np.int64) for x in (1, int(str(value.shape[axis])) - 1, axis))
            self.add("Slice", value, *(self.constant(p) for p in parts))

    def concat(self) -> None:
        value = self.pick()
        axis = self.draw(st.integers(0, len(value.shape) - 1))
        other = self.draw(st.sampled_from([v for v in self.values if v.shape == value.shape]))
        self.add("Concat", value, other, axis=axis)

    def reduce(self) -> None:
        value = self.pick()
        axis = self.draw(st.integers(0, len(value.shape) - 1))
        op = self.draw(st.sampled_from(["ReduceSum", "ReduceMax", "ReduceMean"]))
        keep = int(self.draw(st.booleans()) or len(value.shape) == 1)
        self.add(op, value, self.constant(np.array([axis], np.int64)), keepdims=keep)

    def normalise(self) -> None:
        value = self.pick()
        if isinstance(value.shape[-1], int):
            width = value.shape[-1]
            self.add("LayerNormalization", value, self.weight(width), self.weight(width), axis=-1)
        else:
            self.add("Softmax", value, axis=-1)

    def project(self) -> None:
        value = self.pick()
        if len(value.shape) > 1 and isinstance(value.shape[-1], int):
            width = self.draw(st.sampled_from(WIDTHS))
            self.add("MatMul", value, self.weight(value.shape[-1], width))

    def graph(self) -> Graph:
        made = [v for v in self.values[1:] if v.data is None] or self.values
        picked = {id(v): v for v in (made[-1], self.draw(st.sampled_from(made)))}
        outputs = tuple(picked.values())
        names = tuple(f"y{j}" for j in range(len(outputs)))
        symbols = (ModelSymbol("s0", "n"),)
        return Graph(symbols, (self.values[0],), outputs, tuple(self.nodes), names)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    growing = Growing(draw)
    steps: list[Callable[[], None]] = [
        growing.unary, growing.binary, growing.binary, growing.transpose, growing.reshape,
        growing.slice, growing.concat, growing.reduce, growing.normalise, growing.project,
    ]  # fmt: skip
    for _ in range(draw(st.integers(2, 14))):
        draw(st.sampled_from(steps))()
    return growing.graph()


@given(graphs(), st.integers(1, 5))
@settings(max_examples=150)
def test_a_plan_computes_what_its_graph_says(graph: Graph, s0: int) -> None:
    feeds = {"x": np.random.default_rng(s0).standard_normal((s0, 4, 6)).astype(np.float32)}
    expected = evaluate_program(lower(graph), feeds)
    built = build(graph)
    for problem in built.plan.problems:
        check_problem(problem)
    assert all(len(s.inputs) + len(s.outputs) <= 8 for s in built.plan.steps)
    found = evaluate_plan(built, feeds)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=2e-3, atol=2e-4)
