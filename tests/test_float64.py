"""Models of doubles: fed and answered as float64, computed in float32, which is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import webrt
from webrt.cli.main import app
from webrt.errors import ShapeError, UnsupportedOpError, WebrtError
from webrt.frontend.onnx import from_proto

DOUBLE, FLOAT = TensorProto.DOUBLE, TensorProto.FLOAT
Node = onnx.NodeProto


def model(
    nodes: list[Node], constants: dict[str, np.ndarray], given: int = DOUBLE, made: int = DOUBLE
) -> onnx.ModelProto:
    """From x [n, 3] to y [n, 3]."""
    x, y = (helper.make_tensor_value_info(n, t, ["n", 3]) for n, t in (("x", given), ("y", made)))
    weights = [numpy_helper.from_array(a, n) for n, a in constants.items()]
    graph = helper.make_graph(nodes, "doubles", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


def packed(proto: onnx.ModelProto, folder: Path) -> tuple[Path, webrt.PackReport]:
    onnx.save(proto, folder / "model.onnx")
    return folder / "pack", webrt.pack(folder / "model.onnx", folder / "pack")


def affine() -> onnx.ModelProto:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Add", ["product", "b"], ["y"]),
    ]
    return model(nodes, {"w": np.arange(9.0).reshape(3, 3), "b": np.array([0.1, 0.2, 0.3])})


def test_float64_is_fed_and_answered(tmp_path: Path) -> None:
    folder, report = packed(affine(), tmp_path)
    assert report.narrowed == {"float64": "float32"}
    x = np.linspace(-1, 1, 6).reshape(2, 3)
    with webrt.load(folder, device="wasm") as session:
        assert [i.dtype for i in (*session.inputs, *session.outputs)] == ["float64"] * 2
        (y,) = session.run({"x": x}).values()
        assert session.run({"x": [[1.0, 2, 3]]})["y"].dtype == np.float64
        with pytest.raises(ShapeError, match="expected float64"):
            session.run({"x": x.astype(np.float32)})
    assert y.dtype == np.float64
    np.testing.assert_allclose(y, x @ np.arange(9.0).reshape(3, 3) + [0.1, 0.2, 0.3], rtol=1e-5)


def test_the_commands_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = packed(affine(), tmp_path)
    app(["pack", str(tmp_path / "model.onnx"), "-o", str(folder)], standalone_mode=False)
    assert "float64 computed in float32" in capsys.readouterr().out
    app(["info", str(folder), "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["narrowed"] == {"float64": "float32"}
    app(["info", str(folder)], standalone_mode=False)
    assert "float64: computed in float32" in capsys.readouterr().out


@pytest.mark.parametrize("value", [1e39, -1e300])
def test_an_input_beyond_float32_is_refused(value: float, tmp_path: Path) -> None:
    folder, _ = packed(affine(), tmp_path)
    with webrt.load(folder, device="wasm") as session:
        with pytest.raises(ShapeError, match=r"'x': the value 1e.* is outside of float32"):
            session.run({"x": [[0.0, value, 0.0]]})
        (y,) = session.run({"x": [[np.inf, 0.0, 0.0]]}).values()
    assert np.isposinf(y[0, 1:]).all()


@pytest.mark.parametrize("constant", [np.array(1e300), np.array([1e300, 1.0, 2.0])])
def test_a_constant_beyond_float32_is_refused(constant: np.ndarray, tmp_path: Path) -> None:
    proto = model([helper.make_node("Mul", ["x", "c"], ["y"])], {"c": constant})
    onnx.save(proto, tmp_path / "model.onnx")
    with pytest.raises(WebrtError, match=r"float32, which .* computed in") as refused:
        webrt.pack(tmp_path / "model.onnx", tmp_path / "pack")
    assert isinstance(refused.value, ShapeError | UnsupportedOpError)


def test_a_bound_beyond_float32_bounds_nothing(tmp_path: Path) -> None:
    proto = model([helper.make_node("Clip", ["x", "", "most"], ["y"])], {"most": np.array(1.7e308)})
    folder, _ = packed(proto, tmp_path)
    with webrt.load(folder, device="wasm") as session:
        (y,) = session.run({"x": [[-3e38, 0.0, 3e38]]}).values()
    np.testing.assert_allclose(y, [[-3e38, 0.0, 3e38]], rtol=1e-6)


def test_constants_are_folded_as_doubles(tmp_path: Path) -> None:
    """1e200 · 1e-200 is 1 and 0.1 is rounded once: then nothing is narrowed any more."""
    nodes = [
        helper.make_node("Mul", ["big", "small"], ["factor"]),
        helper.make_node("Cast", ["factor"], ["single"], to=FLOAT),
        helper.make_node("Mul", ["x", "single"], ["y"]),
    ]
    constants = {"big": np.array([1e200]), "small": np.array([1e-201])}
    folder, report = packed(model(nodes, constants, FLOAT, FLOAT), tmp_path)
    assert report.narrowed == {}
    with webrt.load(folder, device="wasm") as session:
        (y,) = session.run({"x": np.ones((1, 3), np.float32)}).values()
    np.testing.assert_array_equal(y, np.full((1, 3), 0.1, np.float32))


def test_doubles_inside_of_a_model_of_singles(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["wide"], to=DOUBLE),
        helper.make_node("Div", ["wide", "c"], ["part"]),
        helper.make_node("Cast", ["part"], ["y"], to=FLOAT),
    ]
    proto = model(nodes, {"c": np.array(3.0)}, FLOAT, FLOAT)
    folder, report = packed(proto, tmp_path)
    assert report.narrowed == {"float64": "float32"}
    assert report.dispatches == 1
    x = np.array([[1.0, -2.0, 10.0]], np.float32)
    with webrt.load(folder, device="wasm") as session:
        (y,) = session.run({"x": x}).values()
    np.testing.assert_allclose(y, x / 3, rtol=1e-6)


def test_float_and_double_do_not_mix() -> None:
    proto = model([helper.make_node("Add", ["x", "c"], ["y"])], {"c": np.ones(3, np.float32)})
    with pytest.raises(ShapeError, match="input 1: expected dtype f64, found f32"):
        from_proto(proto, "mixed.onnx")
