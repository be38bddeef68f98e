"""Einsum's grammar: every equation as problems, against NumPy."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_text
import pytest
from onnx import helper

from webrt.errors import ShapeError
from webrt.kernel.check import check_problem
from webrt.passes.evaluate import evaluate_plan
from webrt.passes.pipeline import build

EQUATIONS = [
    ("ij->ji", [(3, 4)]),
    ("ij->", [(3, 4)]),
    ("ii->i", [(4, 4)]),
    ("ii", [(4, 4)]),
    ("iij->j", [(3, 3, 5)]),
    ("ba", [(3, 4)]),
    ("...ij->...ji", [(2, 3, 4, 5)]),
    ("i...->...", [(3, 4, 5)]),
    ("ij,jk->ik", [(3, 4), (4, 5)]),
    ("ij,jk", [(3, 4), (4, 5)]),
    ("bij, bjk -> bik", [(2, 3, 4), (2, 4, 5)]),
    ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)]),
    ("bhqk,bkhd->bqhd", [(2, 3, 4, 5), (2, 5, 3, 6)]),
    ("i,i->", [(7,), (7,)]),
    ("i,j->ij", [(3,), (4,)]),
    ("ij,ij->ij", [(3, 4), (3, 4)]),
    ("ij,kl->ik", [(3, 4), (2, 5)]),
    ("...ij,...jk->...ik", [(2, 3, 4, 5), (5, 6)]),
    ("...ij,...jk->...ik", [(2, 1, 4, 5), (3, 5, 6)]),
    ("bi,ij->bj", [(1, 4), (4, 3)]),
    ("bii,bi->bi", [(2, 3, 3), (2, 3)]),
    ("ij,jk,kl->il", [(3, 4), (4, 5), (5, 2)]),
    ("ij,jk,kl,lm->im", [(3, 4), (4, 5), (5, 2), (2, 6)]),
    ("abc,cd,def,f->abe", [(2, 3, 4), (4, 5), (5, 6, 3), (3,)]),
    ("i,j,k->kji", [(2,), (3,), (4,)]),
]


def _model(equation: str, shapes: list[list[int | str]], rank: int) -> onnx.ModelProto:
    names = [f"x{j}" for j in range(len(shapes))]
    kinds = onnx.TensorProto
    graph = helper.make_graph(
        [helper.make_node("Einsum", names, ["y"], equation=equation)],
        "g",
        [
            helper.make_tensor_value_info(n, kinds.FLOAT, s)
            for n, s in zip(names, shapes, strict=True)
        ],
        [helper.make_tensor_value_info("y", kinds.FLOAT, [f"y{j}" for j in range(rank)])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize(("equation", "shapes"), EQUATIONS)
def test_equation(equation: str, shapes: list[tuple[int, ...]], symbolic: bool) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s).astype(np.float32) for s in shapes]
    wanted = np.einsum(equation.replace(" ", ""), *arrays)
    dims: list[list[int | str]] = [
        [f"n{d}" if symbolic and d > 1 else d for d in s] for s in shapes
    ]
    built = build(onnx_text.graph(_model(equation, dims, wanted.ndim)))
    for problem in built.plan.problems:
        check_problem(problem)
    found = evaluate_plan(built, {f"x{j}": a for j, a in enumerate(arrays)})["y"]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("equation", "shapes", "why"),
    [
        ("ij,jk->ik", [[3, 4]], "expected 2 operands"),
        ("ij,jk->ik", [[3, 4], [5, 6]], "expected 'j' of one length, found 4 and 5"),
        ("ij->ii", [[3, 4]], "each once, in the result"),
        ("ij->ik", [[3, 4]], "labels of operands"),
        ("i1->i", [[3, 4]], "an equation like"),
        ("ijk->i", [[3, 4]], "an operand 'ijk'"),
    ],
)
def test_what_is_no_equation_is_refused(
    equation: str, shapes: list[list[int | str]], why: str
) -> None:
    with pytest.raises(ShapeError, match=why):
        onnx_text.graph(_model(equation, shapes, 2))
