"""One backend case an operator, in float16: packed, run with its tensors stored as f16."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from adapters import opened
from backend import Lent
from onnx_cases import Case, all_cases
from tolerances import assert_close

import webrt
from webrt.dtypes import DType
from webrt.frontend.onnx import from_proto
from webrt.graph.evaluate import evaluate
from webrt.ops.registry import compute, find
from webrt.pack.widen import SHADER_F16
from webrt.runtime.device import Device
from webrt.runtime.session import Session
from webrt.runtime.source import FolderSource
from webrt.runtime.sync import run_sync

sys.path.append(str(Path(__file__).resolve().parent.parent / "bench"))
from halves import to_half

TYPES = {"FLOAT", "INT64", "INT32", "BOOL", "UINT8", "INT8"}
LEFT_OUT = {
    "Bernoulli", "Dropout", "Multinomial", "RandomNormalLike", "RandomUniformLike",  # draw numbers
    "BitCast",  # is about the bits of float32
    "MelWeightMatrix", "Range",  # need constants only, and are folded
}  # fmt: skip

SHAPED = {"OneHot", "Resize", "Upsample"}
"""Shapes depend on their numbers: the small inputs are constants."""


def _one_an_operator() -> dict[str, Case]:
    """The last case of each operator that ONNX defines for float16, and that has float inputs."""
    found: dict[str, Case] = {}
    for case in all_cases():
        (node, *others) = case.model.graph.node
        if case.suite != "node" or others or node.domain or not find(node.op_type):
            continue
        schema = onnx.defs.get_schema(node.op_type)
        takes = any("tensor(float16)" in p.types for p in schema.inputs)
        floats = any(a.dtype == np.float32 for a in case.feeds().values())
        fits = case.types <= TYPES and takes and floats and node.op_type not in LEFT_OUT
        if fits and not any(a.HasField("g") for a in node.attribute):
            found[node.op_type] = case
    return found


CASES = _one_an_operator()


@pytest.fixture(scope="module")
def device() -> Iterator[Device]:
    with opened("llvmpipe") as found:
        assert SHADER_F16 in found.info.features
        yield found


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("op", sorted(CASES))
def test_an_operator_in_float16(op: str, device: Device, tmp_path: Path) -> None:
    """Held to the operator's own reference, on the rounded inputs."""
    case = CASES[op]
    feeds = {n: a.astype(np.float16) if a.dtype == np.float32 else a
             for n, a in case.feeds().items()}  # fmt: skip
    kinds = "iubf" if op in SHAPED else "iub"
    known = [n for n, a in feeds.items() if a.dtype.kind in kinds and a.ndim < 2 and a.size < 65]
    known = known if len(known) < len(feeds) else []
    model = to_half(case.with_constants(known))
    onnx.save(model, tmp_path / "model.onnx")
    webrt.pack(tmp_path / "model.onnx", tmp_path / "pack")
    session = run_sync(Session.open(FolderSource(tmp_path / "pack"), Lent(device)))
    given = {n: a for n, a in feeds.items() if n not in known}
    outputs = session.run(given)
    graph = from_proto(model, case.name)
    wanted = evaluate(graph, given, compute)
    for name, value in zip(graph.output_names, graph.outputs, strict=True):
        answer = wanted[value]
        assert outputs[name].dtype == answer.dtype
        if answer.dtype.kind == "f":
            scale = float(np.abs(answer[np.isfinite(answer)]).max(initial=1.0))
            finite = np.isfinite(answer)
            assert_close(outputs[name][finite], answer[finite], DType.F16, scale=scale)
        else:
            np.testing.assert_array_equal(outputs[name], answer)
