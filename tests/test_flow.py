"""Models that decide something while they run, on every device: the answers of ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from adapters import opened
from flow_models import ENDLESS, FLOW_MODELS, FlowModel, flow_model

import webrt
from webrt.cli.info import describe_pack, pack_text
from webrt.errors import ShapeError, UnsupportedOpError
from webrt.frontend.onnx import from_proto
from webrt.graph.evaluate import evaluate
from webrt.graph.ir import subgraphs
from webrt.graph.text import parse_graph, print_graph
from webrt.graph.verify import verify
from webrt.ops.registry import compute
from webrt.pack.read import read_pack
from webrt.plan.flow import host_steps
from webrt.runtime.session import Session
from webrt.runtime.source import FolderSource
from webrt.runtime.sync import run_sync


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flows")
    for model in FLOW_MODELS:
        (folder / f"{model.name}.onnx").write_bytes(model.proto.SerializeToString())
        webrt.pack(folder / f"{model.name}.onnx", folder / model.name)
    return folder


def expected(model: FlowModel) -> list[dict[str, np.ndarray]]:
    session = onnxruntime.InferenceSession(model.proto.SerializeToString())
    names = [o.name for o in session.get_outputs()]
    return [dict(zip(names, session.run(None, f), strict=True)) for f in model.feeds]


@pytest.mark.parametrize("model", FLOW_MODELS, ids=lambda m: m.name)
def test_the_reference_of_a_graph(model: FlowModel) -> None:
    graph = from_proto(model.proto, model.name)
    verify(graph)
    for feeds, wanted in zip(model.feeds, expected(model), strict=True):
        values = evaluate(graph, feeds, compute)
        for value, name in zip(graph.outputs, graph.output_names, strict=True):
            np.testing.assert_allclose(values[value], wanted[name], 1e-4, 1e-5)


@pytest.mark.parametrize("model", FLOW_MODELS, ids=lambda m: m.name)
def test_the_text_of_a_graph_with_graphs_inside(model: FlowModel) -> None:
    text, data = print_graph(from_proto(model.proto, model.name))
    again = parse_graph(text, data)
    assert print_graph(again)[0] == text


@pytest.mark.parametrize("device", ["llvmpipe", "wasm-1", "wasm-2"])
@pytest.mark.parametrize("model", FLOW_MODELS, ids=lambda m: m.name)
def test_a_run(model: FlowModel, device: str, packs: Path) -> None:
    with opened(device) as found:
        session = run_sync(Session.open(FolderSource(packs / model.name), found))
        for feeds, wanted in zip(model.feeds, expected(model), strict=True):
            outputs = session.run(feeds)
            assert outputs.keys() == wanted.keys()
            for name, array in wanted.items():
                assert outputs[name].shape == array.shape
                np.testing.assert_allclose(outputs[name], array, 1e-4, 1e-5)


@pytest.mark.parametrize("model", FLOW_MODELS, ids=lambda m: m.name)
def test_how_often_the_host_decides(model: FlowModel, packs: Path) -> None:
    assert len(host_steps(read_pack(packs / model.name).plan)) == model.stops


def test_what_comes_before_a_decision_is_fused(packs: Path) -> None:
    """No kernel of its own for a sigmoid that only its square needs."""
    plan = read_pack(packs / "masked").plan
    nodes = ["Mul_9", "Greater_10", "GatherND_17", "GatherND_18", "Concat_30"]
    assert [s.node for s in plan.steps] == nodes


@pytest.mark.parametrize(
    ("name", "feeds", "message"),
    [
        ("sized", {"shape": [5, 2], "count": 1}, "expected 12, found 10"),
        ("sized", {"shape": [-2, 6], "count": 1}, "a size or place is -2, expected 0 or more"),
        ("sized", {"shape": [6, 2], "count": -1}, "a size or place is -1, expected 0 or more"),
        ("sized", {"shape": [6, 2], "count": 1 << 21}, "a size is 2097152, expected 0 to 1048575"),
        ("equal", {"other": np.ones((1, 3))}, r"Add_5/Need_0: expected 2, found 3 \(s0 - 1\)"),
        ("endless", {}, "takes more than the 4096 turns that it may take"),
    ],
)
def test_what_a_run_refuses(
    name: str, feeds: dict[str, object], message: str, packs: Path, tmp_path: Path
) -> None:
    given = {k: np.array(v, np.int64) for k, v in feeds.items() if k != "other"}
    given |= {k: np.array(v, np.float32) for k, v in feeds.items() if k == "other"}
    given["x"] = np.ones((4, 3), np.float32)
    if name == "endless":
        (tmp_path / "m.onnx").write_bytes(ENDLESS.SerializeToString())
        webrt.pack(tmp_path / "m.onnx", packs / name)
    with opened("wasm-1") as found:
        session = run_sync(Session.open(FolderSource(packs / name), found))
        with pytest.raises(ShapeError, match=message):
            session.run(given)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "g (float[2, 3] x, int64[1] a) => (float[n] y) { y = ReduceSum (x, a) }",
            "axes depends on data",
        ),
        (
            """g (seq(float[2]) s) => (float[2] y) { y = SequenceAt (s, s) }""",
            "only tensors are run as inputs",
        ),
        (
            """g (float[2] x, int64 i) => (float[2] y) {
                s = SequenceConstruct (x, x)
                y = SequenceAt (s, i)
            }""",
            "a place in a sequence that depends on data isn't run",
        ),
        (
            """g (float[2] x, bool c) => (float[n] y) {
                y = If (c) <then_branch = a () => (float[2] l) { l = Neg (x) },
                            else_branch = b () => (float[1, 2] r) {
                                z = Constant <value_ints = [0]> ()
                                r = Unsqueeze (x, z)
                            }>
            }""",
            "its branches differ in type or rank",
        ),
        (
            """g (float[2] x, int64 m) => (float[n] y) {
                t = Constant <value = bool {1}> ()
                y = Loop (m, t, x) <body = b (int64 i, bool g, float[n] v)
                    => (bool h, float[n] w) { h = Identity (g) w = Concat <axis = 0> (v, v) }>
            }""",
            r"state 0 changes, which isn't run: f32 \[2\] before a turn, f32 \[4\] after it",
        ),
    ],
)
def test_what_is_not_packed(text: str, message: str) -> None:
    with pytest.raises(UnsupportedOpError, match=message):
        from_proto(flow_model(text), "m")


SEQUENCES = """
g (float[6, 2] x) => (float[6, 2] y, int64 n, float[2, 2] z, bool has) {
  two = Constant <value_int = 2> ()
  one = Constant <value_int = 1> ()
  parts = SplitToSequence <axis = 0> (x, two)
  first = SequenceAt (parts, one)
  fewer = SequenceErase (parts, one)
  more = SequenceInsert (fewer, first)
  n = SequenceLength (more)
  y = ConcatFromSequence <axis = 0> (more)
  maybe = Optional (first)
  has = OptionalHasElement (maybe)
  z = OptionalGetElement (maybe)
}"""


def test_sequences_and_optionals_fold_away() -> None:
    proto = flow_model(SEQUENCES)
    graph = from_proto(proto, "m")
    x = np.arange(12, dtype=np.float32).reshape(6, 2)
    values = evaluate(graph, {"x": x}, compute)
    y, n, z, has = (values[v] for v in graph.outputs)
    np.testing.assert_array_equal(y, x[[0, 1, 4, 5, 2, 3]])
    np.testing.assert_array_equal(z, x[2:4])
    assert (int(n), bool(has)) == (3, True)


def test_a_loop_of_few_turns_unrolls() -> None:
    text = """g (float[2] x) => (float[2] y, float[k, 2] all) {
        m = Constant <value_int = 3> ()
        t = Constant <value = bool {1}> ()
        y, all = Loop (m, t, x) <body = b (int64 i, bool g, float[2] v)
            => (bool h, float[2] w, float[2] s) { h = Identity (g) w = Exp (v) s = Neg (v) }>
    }"""
    graph = from_proto(flow_model(text), "m")
    assert not any(subgraphs(n) for n in graph.nodes)
    assert graph.outputs[1].shape == (3, 2)


def test_a_branch_that_is_known_is_all_there_is() -> None:
    text = """g (float[2] x) => (float[2] y) {
        c = Constant <value = bool {0}> ()
        y = If (c) <then_branch = a () => (float[2] l) { l = Neg (x) },
                    else_branch = b () => (float[2] r) { r = Exp (x) }>
    }"""
    assert [n.op for n in from_proto(flow_model(text), "m").nodes] == ["Exp"]


def test_what_pack_and_info_say(packs: Path, tmp_path: Path) -> None:
    report = webrt.pack(packs / "picked.onnx", tmp_path / "pack")
    assert report.host_steps == (("nonzero", "NonZero_5"),)
    assert report.symbols == ("n",)
    told = describe_pack(tmp_path / "pack")
    assert told["host_steps"] == report.host_steps
    assert "host: nonzero" in pack_text(told)
    webrt.pack(packs / "lstm.onnx", tmp_path / "lstm")
    assert " w" in pack_text(describe_pack(tmp_path / "lstm"))  # windows of rings
