"""`webrt check` of models that need more than random numbers: decoders, quantised ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from decoders import LLAMA, decoder
from onnx import TensorProto, helper, numpy_helper

import webrt
from webrt.cli.main import run_app
from webrt.errors import PackError


def checked(
    folder: Path, model: Path, capsys: pytest.CaptureFixture[str], **sizes: int
) -> tuple[int, dict[str, Any], str]:
    """The status, the answer as JSON, and the text that people read."""
    named = [part for name, size in sizes.items() for part in ("--dim", f"{name}={size}")]
    command = ["check", str(folder), str(model), "--device", "wasm", *named]
    status = run_app([*command, "--json"])
    result = json.loads(capsys.readouterr().out)
    assert run_app(command) == status
    return status, result, capsys.readouterr().out


@pytest.mark.parametrize("past", [0, 9])
def test_a_decoder(past: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The caches that it is fed are whole, and positions go on behind them."""
    model = tmp_path / "llama.onnx"
    onnx.save(decoder(LLAMA), model)
    webrt.pack(model, tmp_path / "pack")
    count = 1 if past else 5
    status, result, _ = checked(
        tmp_path / "pack", model, capsys, past_sequence_length=past, sequence_length=count,
        total_sequence_length=past + count,
    )  # fmt: skip
    assert status == 0
    assert result["oracle_spread"] == {}
    assert result["outputs"]["logits"]["max_abs"] < 1e-4


def test_what_drawn_numbers_reach_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, text = (
        tmp_path / "m.onnx",
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[n] x) => (float[n] y, float[n] z) {
            y = Relu (x)
            noise = RandomNormalLike (x)
            z = Add (x, noise)
        }""",
    )
    proto = onnx.parser.parse_model(text)
    onnx.save(proto, model)
    webrt.pack(model, tmp_path / "pack")
    status, result, _ = checked(tmp_path / "pack", model, capsys, n=9)
    assert (status, list(result["outputs"]), result["drawn"]) == (0, ["y"], ["z"])
    with pytest.raises(PackError, match="output 'z' draws numbers, which no vector can hold"):
        webrt.pack(model, tmp_path / "vectors", check_inputs=1)
    del proto.graph.output[0], proto.graph.node[0]
    onnx.save(proto, model)
    assert run_app(["check", str(tmp_path / "pack"), str(model), "--device", "wasm"]) != 0
    assert "every output draws numbers: there is nothing to compare" in capsys.readouterr().err


def quantised(seed: int) -> onnx.ModelProto:
    """x [rows, 32] times int8 weights, x rounded to 8 bits."""
    weights = np.random.default_rng(seed).integers(-127, 128, (32, 16), dtype=np.int8)
    zero = numpy_helper.from_array(np.zeros((), np.int8), "zero")
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "point"]),
        helper.make_node("MatMulInteger", ["q", "w", "point", "zero"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "scale"], ["y"]),
    ]
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", size])
        for name, size in (("x", 32), ("y", 16))
    )
    graph = helper.make_graph(nodes, "g", [x], [y], [numpy_helper.from_array(weights, "w"), zero])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_quantised_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that is wrong is told beside what ONNX Runtime differs from itself: here, nothing."""
    right, wrong = tmp_path / "right.onnx", tmp_path / "wrong.onnx"
    onnx.save(quantised(1), right)
    onnx.save(quantised(2), wrong)
    webrt.pack(right, tmp_path / "pack")
    status, result, _ = checked(tmp_path / "pack", right, capsys, rows=7)
    assert status == 0
    assert result["oracle_spread"] == {}
    status, result, text = checked(tmp_path / "pack", wrong, capsys, rows=7)
    assert status == 1
    assert result["outputs"]["y"]["ok"] is False
    assert result["oracle_spread"]["y"]["max_abs"] < 1e-3
    assert "quantised: ONNX Runtime is " in text
