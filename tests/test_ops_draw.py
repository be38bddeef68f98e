"""Operators that draw numbers: distributions, seeds, loops; the same numbers on every device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, parser

import webrt
from webrt.checking.oracle import drawn
from webrt.errors import UnsupportedOpError

COUNT = 1 << 16
HEAD = '<ir_version: 8, opset_import: ["" : 17]>'


def packed(folder: Path, text: str) -> Path:
    model = parser.parse_model(f"{HEAD} g {text}")
    onnx.save(model, folder / "m.onnx")
    webrt.pack(folder / "m.onnx", folder / "pack")
    return folder / "pack"


def run(folder: Path, feeds: dict[str, Any], device: str = "wasm") -> dict[str, np.ndarray]:
    with webrt.load(folder, device=device) as session:
        return {name: np.asarray(value) for name, value in session.run(feeds).items()}


@pytest.mark.parametrize("device", ["wasm", "webgpu"])
def test_distributions(tmp_path: Path, device: str) -> None:
    """Means and spreads, within five of their standard errors; no two neighbours are alike."""
    pack = packed(
        tmp_path,
        f"""(float[n] x, float[n] p) => (float[n] a, float[{COUNT}] b, float[n] c, float[n] d) {{
            a = RandomNormalLike <mean = 2.0, scale = 3.0> (x)
            b = RandomUniform <shape = [{COUNT}], low = -1.0, high = 3.0> ()
            c = Bernoulli (p)
            d = RandomNormalLike (x)
        }}""",
    )
    x = np.zeros(COUNT, np.float32)
    found = run(pack, {"x": x, "p": x + 0.25, "webrt.seed": np.uint32(7)}, device)
    error = 5 / np.sqrt(COUNT)
    a, b, c, d = (found[name].astype(np.float64) for name in "abcd")
    assert abs(a.mean() - 2) < 3 * error
    assert abs(a.std() - 3) < 3 * error
    assert abs(((a - 2) / 3) ** 4).mean() == pytest.approx(3, abs=10 * error)
    assert abs(b.mean() - 1) < 1.2 * error
    assert b.min() >= -1
    assert b.max() < 3
    assert abs(b.std() - 4 / np.sqrt(12)) < error
    assert set(np.unique(c)) == {0.0, 1.0}
    assert abs(c.mean() - 0.25) < 0.5 * error
    for left, right in ((a, d), (a[1:], a[:-1]), (a, b), (b[1:], b[:-1]), (c, d)):
        assert abs(np.corrcoef(left, right)[0, 1]) < error
    counts = np.bincount(((b + 1) * 64).astype(int), minlength=256)
    assert counts.max() < COUNT / 256 * 1.35
    assert counts.min() > COUNT / 256 * 0.65


def test_runs_differ_and_a_seed_repeats_them(tmp_path: Path) -> None:
    pack = packed(
        tmp_path,
        """(float[n] x) => (float[n] y, float[n] z, float[4] w) {
            y = RandomUniformLike (x)
            z = RandomUniformLike (x)
            w = RandomNormal <shape = [4], seed = 3.5> ()
        }""",
    )
    x = np.zeros(9, np.float32)
    with webrt.load(pack, device="wasm") as session:
        assert [info.name for info in session.inputs] == ["x"]
        free = [session.run({"x": x}) for _ in range(2)]
        same = [session.run({"x": x, "webrt.seed": np.uint32(5)}) for _ in range(2)]
        other = session.run({"x": x, "webrt.seed": np.uint32(6)})
    for name in "yz":
        assert not np.array_equal(free[0][name], free[1][name])
        assert not np.array_equal(same[0][name], other[name])
        np.testing.assert_array_equal(same[0][name], same[1][name])
    assert not np.array_equal(same[0]["y"], same[0]["z"])
    np.testing.assert_array_equal(free[0]["w"], other["w"])


def test_devices_draw_the_same_numbers(tmp_path: Path) -> None:
    pack = packed(
        tmp_path, "(float[m, n] x) => (float[m, n] y) { y = RandomUniformLike <dtype = 1> (x) }"
    )
    feeds = {"x": np.zeros((5, 7), np.float32), "webrt.seed": np.uint32(11)}
    np.testing.assert_array_equal(run(pack, feeds)["y"], run(pack, feeds, "webgpu")["y"])


def test_multinomial(tmp_path: Path) -> None:
    text = """(float[2, 4] x) => (int64[2, 20000] y) {
        y = Multinomial <sample_size = 20000, dtype = 7> (x)
    }"""
    chances = np.array([[0.1, 0.2, 0.3, 0.4], [0.0, 0.5, 0.5, 0.0]])
    with np.errstate(divide="ignore"):
        logarithms = np.log(chances).astype(np.float32) + 3
    found = run(packed(tmp_path, text), {"x": logarithms, "webrt.seed": np.uint32(1)})["y"]
    assert found.dtype == np.int64
    for row, wanted in zip(found, chances, strict=True):
        counts = np.bincount(row, minlength=4) / row.size
        np.testing.assert_allclose(counts, wanted, atol=0.02)
        assert not counts[wanted == 0].any()


@pytest.mark.parametrize("device", ["wasm", "webgpu"])
def test_dropout_in_training(tmp_path: Path, device: str) -> None:
    """What is kept is scaled; modes and ratios may be fed; what drops nothing draws nothing."""
    pack = packed(
        tmp_path,
        """(float[n] x, float ratio, bool train) => (float[n] y, bool[n] m, float[n] z, float[n] w)
        <float quarter = {0.25}, bool yes = {1}, bool no = {0}> {
            y, m = Dropout (x, quarter, yes)
            z = Dropout (x, ratio, train)
            w = Dropout (x, ratio, no)
        }""",
    )
    x = np.random.default_rng(4).standard_normal(COUNT).astype(np.float32)
    feeds = {"x": x, "ratio": np.float32(0.5), "train": np.array(True), "webrt.seed": np.uint32(3)}
    found = run(pack, feeds, device)
    error = 5 / np.sqrt(COUNT)
    assert abs(found["m"].mean() - 0.75) < error
    np.testing.assert_allclose(found["y"], np.where(found["m"], x / 0.75, 0), 1e-6)
    kept = found["z"] != 0
    assert abs(kept.mean() - 0.5) < error
    np.testing.assert_allclose(found["z"], np.where(kept, x * 2, 0), 1e-6)
    assert abs(np.corrcoef(found["m"], kept)[0, 1]) < error
    np.testing.assert_array_equal(found["w"], x)
    feeds["train"] = np.array(False)
    np.testing.assert_array_equal(run(pack, feeds, device)["z"], x)


def test_only_training_draws(tmp_path: Path) -> None:
    text = """(float[n] x, bool train) => (float[n] y, float[n] z, float[n] w, float[n] v)
        <float half = {0.5}, float none = {0.0}, bool yes = {1}, bool no = {0}> {
            y = Dropout (x, half, yes)
            z = Dropout (x, half, no)
            w = Dropout (x, none, yes)
            v = Dropout (x, half, train)
        }"""
    packed(tmp_path, text)
    assert drawn(tmp_path / "m.onnx") == {"y", "v"}


def loop(trips: Callable[[list[onnx.NodeProto]], str]) -> onnx.ModelProto:
    """Three numbers a turn, all of them collected."""
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("RandomUniform", [], ["drawn"], shape=[3]),
        ],
        "body",
        [info("turn", TensorProto.INT64, []), info("go", TensorProto.BOOL, [])],
        [info("on", TensorProto.BOOL, []), info("drawn", TensorProto.FLOAT, [3])],
    )
    nodes: list[onnx.NodeProto] = []
    count = trips(nodes)
    nodes.append(helper.make_node("Loop", [count, ""], ["y"], body=body))
    graph = helper.make_graph(
        nodes, "g", [info("x", TensorProto.FLOAT, ["n"])],
        [info("y", TensorProto.FLOAT, ["turns", 3])],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("known", [True, False])
def test_each_turn_of_a_loop_draws_its_own(tmp_path: Path, known: bool) -> None:
    def trips(nodes: list[onnx.NodeProto]) -> str:
        if known:
            nodes.append(helper.make_node("Constant", [], ["count"], value_int=4))
        else:
            nodes.append(helper.make_node("Size", ["x"], ["count"]))
        return "count"

    onnx.save(loop(trips), tmp_path / "m.onnx")
    webrt.pack(tmp_path / "m.onnx", tmp_path / "pack")
    found = run(tmp_path / "pack", {"x": np.zeros(4, np.float32)})["y"]
    assert found.shape == (4, 3)
    assert np.unique(found).size == 12


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOpError, match="drawn numbers of type i32 aren't run"):
        packed(tmp_path, "(int32[n] x) => (int32[n] y) { y = RandomNormalLike (x) }")
    model = parser.parse_model(f"{HEAD} g (float[n] x) => (float[n] y) {{ y = Relu (x) }}")
    model.graph.input[0].name = model.graph.node[0].input[0] = "webrt.seed"
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(UnsupportedOpError, match="the name is webrt's own"):
        webrt.pack(tmp_path / "m.onnx", tmp_path / "pack")
