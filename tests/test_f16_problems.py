"""float16 in problems and packs: only loaded and stored, and taken away without a trace."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from half_models import SAMPLES
from onnx_text import model

import webrt
from webrt.codegen import wgsl
from webrt.dims import symbol
from webrt.dtypes import DType
from webrt.errors import PackError
from webrt.frontend.onnx import from_proto
from webrt.kernel.check import check_problem
from webrt.kernel.expr import Const, Expr, Load, Ref, call, cast
from webrt.kernel.problem import Contract, Map, Operand, Output, Pass, Problem, Reduce
from webrt.kernel.reference import evaluate_problem
from webrt.kernel.text import parse_problem, print_problem
from webrt.kernel.widen import stores_f16, widened
from webrt.lower import lower
from webrt.pack.format import MANIFEST
from webrt.pack.read import parse_manifest, read_pack
from webrt.pack.widen import widened_pack
from webrt.pack.write import seal
from webrt.passes.pipeline import build
from webrt.plan.plan import Home
from webrt.schedule import default

F16, F32 = DType.F16, DType.F32
I = symbol("i0")  # noqa: E741
HALF = Load(0, I, F16)


def elementwise(expr: Expr, out: DType = F16) -> Map:
    return Map((8,), (Operand(F16, 8),), (Output(out, 8, I, expr),))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("packs")
    onnx.save(SAMPLES["islands"]().model, target / "model.onnx")
    webrt.pack(target / "model.onnx", target / "pack")
    return target / "pack"


@pytest.mark.parametrize(
    "problem",
    [
        elementwise(call("add", HALF, HALF)),
        elementwise(Const(1.0, F16)),
        elementwise(call("is_nan", HALF), DType.BOOL),
        Reduce((), (8,), (Operand(F16, 8),), (Pass("sum", Load(0, symbol("r0"), F16)),),
               (Output(F32, 1, 0, cast(Ref("p0", F16), F32)),)),
        Contract((), 2, 2, 2, (Operand(F16, 4), Operand(F16, 4)),
                 Load(0, symbol("m") * 2 + symbol("k"), F16),
                 Load(1, symbol("k") * 2 + symbol("n"), F16),
                 (Output(F32, 4, symbol("m") * 2 + symbol("n"), Ref("acc", F32)),)),
    ],
)  # fmt: skip
def test_nothing_is_computed_in_f16(problem: Problem) -> None:
    with pytest.raises(ValueError, match=r"f16|sum of f16"):
        check_problem(problem)


def test_widening_leaves_out_the_rounding_alone() -> None:
    wide = cast(HALF, F32)
    problem = elementwise(cast(call("mul", wide, wide), F16))
    check_problem(problem)
    assert stores_f16(problem)
    x = np.linspace(0, 4, 8).astype(np.float16)
    (narrow,) = evaluate_problem(problem, [x], {})
    (found,) = evaluate_problem(widened(problem), [x.astype(np.float32)], {})
    assert (narrow.dtype, found.dtype) == (np.float16, np.float32)
    np.testing.assert_array_equal(found.astype(np.float16), narrow)
    assert not stores_f16(widened(problem))
    assert widened(widened(problem)) == widened(problem)
    assert "f16" not in print_problem(widened(problem))


def test_a_move_converts_nothing() -> None:
    assert cast(cast(HALF, F32), F16) == HALF
    assert widened(elementwise(HALF)).outputs[0].expr == Load(0, I, F32)


def test_the_code_of_the_twin_is_the_widened_code() -> None:
    """One text serves both: only the line that names the type differs."""
    for problem in build(from_proto(SAMPLES["attention"]().model, "m")).plan.problems:
        assert stores_f16(problem)
        schedule = default(problem)
        text = wgsl.generate(lower(problem, schedule))
        assert text.startswith("enable f16;\n\nalias half = f16;\n")
        twin = wgsl.widened(text)
        assert twin.startswith("alias half = f32;\n")
        assert "f16" not in twin
        plain = wgsl.generate(lower(widened(problem), schedule))
        assert twin.count("\n") == plain.count("\n") + 2
    with pytest.raises(ValueError, match="not the text"):
        wgsl.widened(plain)


def test_islands_of_f32_cost_no_dispatch() -> None:
    """Attention around a Softmax in float32 is one kernel still."""
    built = build(from_proto(SAMPLES["attention"]().model, "m"))
    assert [type(p).__name__ for p in built.plan.problems] == ["Attention", "Attention"]


def test_sums_over_long_rows_stay_f32() -> None:
    proto = model(
        """g (float16[n, 96] x) => (float16[n] y) {
             squares = Mul (x, x)
             sums = ReduceSumSquare <axes = [0], keepdims = 0> (squares)
             y = MatMul (x, sums)
           }"""
    )
    plan = build(from_proto(proto, "m")).plan
    assert {t.home: t.dtype for t in plan.tensors} == {
        Home.INPUT: F16, Home.ARENA: F32, Home.OUTPUT: F16
    }  # fmt: skip


def test_outputs_that_only_change_type_are_not_computed() -> None:
    proto = model("g (float16[n] x) => (float[n] y) { y = Cast <to = 1> (x) }")
    plan = build(from_proto(proto, "m")).plan
    assert plan.steps == ()
    assert (plan.outputs[0].dtype, plan.tensors[plan.outputs[0].tensor].dtype) == (F32, F16)


def test_the_text_of_the_twin_is_held_to_the_problem(folder: Path) -> None:
    body = json.loads((folder / MANIFEST).read_text())
    del body["sha256"]
    entry = next(p for p in body["problems"] if "wide" in p)
    assert parse_problem(entry["wide"]) == widened(parse_problem(entry["text"]))
    entry["wide"] = entry["wide"].replace("+", "-")
    with pytest.raises(PackError, match=r"wide: is not the problem with f32 for f16$"):
        parse_manifest(seal(body))


def test_a_kernel_of_another_form_is_refused(folder: Path) -> None:
    pack = read_pack(folder)
    kernels = [replace(k, wgsl=k.wgsl.replace("alias half", "alias  half")) for k in pack.kernels]
    with pytest.raises(PackError, match=r"can't be widened for a device without f16; pack again$"):
        widened_pack(replace(pack, kernels=tuple(kernels)))


def test_a_damaged_shard_is_refused_before_it_is_widened(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "pack")
    shard = next((tmp_path / "pack").glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-2] + b"zz")
    with pytest.raises(PackError, match="was altered"):
        webrt.load(tmp_path / "pack", device="wasm")
