"""Scatters of many updates to places that a run computes: held to ONNX Runtime on both devices."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_text import families
from runtimes import Array, TensorProto, check, helper, model_of

from webrt.frontend.onnx import from_proto
from webrt.ops.runs import FEW
from webrt.passes.clean import clean
from webrt.passes.pipeline import build
from webrt.passes.slices import scatter_slices


def drawn(dtype: type, shape: tuple[int, ...], seed: int = 1) -> Array:
    """Values of which many may be multiplied without leaving their type."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.uniform(0.5, 1.5, shape).astype(dtype)
    if np.dtype(dtype) == np.bool_:
        return rng.random(shape) < 0.5
    return rng.integers(0 if np.dtype(dtype).kind == "u" else -2, 3, shape).astype(dtype)


def scatter(
    op: str, data: Array, at: Array, updates: Array, reduction: str = "none", **attributes: int
) -> None:
    node = helper.make_node(op, ["x", "at", "v"], ["y"], reduction=reduction, **attributes)
    feeds = {"x": data, "at": at, "v": updates}
    check(model_of([node], feeds, {"y": data.dtype}, opset=18), feeds)


@pytest.mark.parametrize(
    ("reduction", "axis"), [("none", 0), ("none", -1), ("add", 1), ("mul", -1), ("max", 0)]
)
def test_elements(reduction: str, axis: int) -> None:
    """Fewer indices than elements on the other axes; places that are hit often, and never."""
    shape = [4, 5, 3]
    shape[axis] = 300
    at = np.random.default_rng(3).integers(-6, 6, [200 if d == 300 else d - 1 for d in shape])
    scatter(
        "ScatterElements", drawn(np.float32, tuple(shape)), at.astype(np.int64),
        drawn(np.float32, at.shape, 2), reduction, axis=axis,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("reduction", "shape"),
    [("none", (40, 8)), ("add", (40, 8)), ("min", (50, 3, 3)), ("max", (20, 11))],
)
def test_slices(reduction: str, shape: tuple[int, ...]) -> None:
    width = 2 if shape == (20, 11) else 1
    at = np.random.default_rng(4).integers(-shape[0], shape[0], (20, 20, width))
    at[..., -1] %= min(shape[:width])
    updates = drawn(np.float32, (20, 20, *shape[width:]), 2)
    scatter("ScatterND", drawn(np.float32, shape), at.astype(np.int64), updates, reduction)


@pytest.mark.parametrize(
    ("axis", "reduction", "constant"),
    [(0, "none", False), (0, "add", True), (1, "max", False), (-1, "add", False)],
)
def test_indices_that_are_the_same_for_whole_slices(
    axis: int, reduction: str, constant: bool
) -> None:
    """`index_add` and its kin: the index is expanded, and what is scattered is slices."""
    shape, many = [5, 6, 7], [5, 6, 7]
    many[axis] = 90
    alone = [1, 1, 1]
    alone[axis] = 90
    limit = shape[axis]
    at = np.random.default_rng(5).integers(-limit, limit, alone).astype(np.int64)
    node = helper.make_node(
        "ScatterElements", ["x", "all", "v"], ["y"], axis=axis, reduction=reduction
    )
    nodes = [helper.make_node("Expand", ["at", "shape"], ["all"]), node]
    feeds = {"x": drawn(np.float32, tuple(shape)), "v": drawn(np.float32, tuple(many), 2)}
    constants = {"shape": np.array(many)} | ({"at": at} if constant else {})
    model = model_of(nodes, feeds | ({} if constant else {"at": at}), ["y"], constants, 18)
    graph = scatter_slices(clean(from_proto(model, "m.onnx")))
    assert "ScatterND" in [n.op for n in graph.nodes]
    check(model, feeds if constant else feeds | {"at": at})


@pytest.mark.parametrize("shape", [(90, 1, 3), (90, 6, 1), (1, 6, 7)])
def test_indices_that_differ_in_a_slice_stay(shape: tuple[int, ...]) -> None:
    at = np.random.default_rng(5).integers(0, 5, shape).astype(np.int64)
    feeds = {"x": drawn(np.float32, (5, 6, 3)), "v": drawn(np.float32, (90, 6, 3), 2), "at": at}
    if shape == (1, 6, 7):  # not every slice is hit
        feeds |= {"x": drawn(np.float32, (5, 6, 8)), "v": drawn(np.float32, (9, 6, 7), 2)}
        feeds["at"] = at[:, :1, :1]
    nodes = [
        helper.make_node("Expand", ["at", "shape"], ["all"]),
        helper.make_node("ScatterElements", ["x", "all", "v"], ["y"], axis=0),
    ]
    model = model_of(nodes, feeds, ["y"], {"shape": np.array(feeds["v"].shape)}, 18)
    graph = scatter_slices(clean(from_proto(model, "m.onnx")))
    assert [n.op for n in graph.nodes][-1] == "ScatterElements"
    check(model, feeds, devices=("wasm-1",))


@pytest.mark.parametrize(
    ("dtype", "reduction"),
    [
        (np.float16, "none"), (np.int32, "mul"), (np.int64, "max"), (np.uint32, "min"),
        (np.int8, "add"), (np.uint8, "max"), (np.bool_, "none"),
    ],
)  # fmt: skip
def test_dtypes(dtype: type, reduction: str) -> None:
    at = np.random.default_rng(6).integers(-30, 30, (100, 24)).astype(np.int64)
    at[:, :3] = 4
    feeds = {"x": drawn(dtype, (30, 24)), "at": at, "v": drawn(dtype, at.shape, 2)}
    node = helper.make_node("ScatterElements", ["x", "at", "v"], ["y"], reduction=reduction)
    model = model_of([node], feeds, {"y": dtype}, opset=18)
    check(model, feeds, devices=("wasm-1",))  # of one loop IR both


def test_constant_places_are_put_in_order_when_packing() -> None:
    at = np.random.default_rng(7).integers(-9, 9, (4, 70)).astype(np.int64)
    feeds = {"x": drawn(np.float32, (9, 9, 8)), "v": drawn(np.float32, (280, 8), 2)}
    nodes = [
        helper.make_node("ScatterND", ["x", "n", "v"], ["y"], reduction="max"),
        helper.make_node("ScatterElements", ["w", "at", "u"], ["z"], axis=1, reduction="add"),
    ]
    feeds |= {"w": drawn(np.float32, (4, 300), 3), "u": drawn(np.float32, (4, 70), 4)}
    constants = {"n": np.stack([at.reshape(-1), at[::-1].reshape(-1)], 1), "at": at}
    model = model_of(nodes, feeds, ["y", "z"], constants, 18)
    check(model, feeds)
    assert families(build(from_proto(model, "m.onnx"))) == ["Fold", "Fold"]


@pytest.mark.parametrize(
    ("op", "reduction"), [("ScatterND", "add"), ("ScatterElements", "none"), ("ScatterND", "min")]
)
def test_any_number_of_updates(op: str, reduction: str) -> None:
    """A few are looked at by every element, many are put in order: one plan, one pack."""
    dims, places = (["k", 1], ["k", 4]) if op == "ScatterND" else (["k", 4], ["k", 4])
    attributes = {"axis": 0} if op == "ScatterElements" else {}
    infos = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4]),
        helper.make_tensor_value_info("at", TensorProto.INT64, dims),
        helper.make_tensor_value_info("v", TensorProto.FLOAT, places),
    ]
    node = helper.make_node(op, ["x", "at", "v"], ["y"], reduction=reduction, **attributes)
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])
    graph = helper.make_graph([node], "g", infos, [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    for count in (FEW, FEW + 1):
        shape = (count, 1 if op == "ScatterND" else 4)
        at = np.random.default_rng(8).integers(-11, 11, shape).astype(np.int64)
        feeds = {"x": drawn(np.float32, (11, 4)), "at": at, "v": drawn(np.float32, (count, 4), 2)}
        check(model, feeds, devices=("wasm-1",))


def test_where_data_tell_how_many() -> None:
    """`x[mask] += v`: places of what isn't zero."""
    mask = np.zeros((20, 15), np.float32)
    mask.reshape(-1)[np.random.default_rng(9).permutation(300)[:100]] = 1
    nodes = [
        helper.make_node("NonZero", ["mask"], ["places"]),
        helper.make_node("Transpose", ["places"], ["at"], perm=[1, 0]),
        helper.make_node("GatherND", ["v", "at"], ["u"]),
        helper.make_node("ScatterND", ["x", "at", "u"], ["y"], reduction="add"),
    ]
    feeds = {"mask": mask, "x": drawn(np.float32, (20, 15)), "v": drawn(np.float32, (20, 15), 2)}
    check(model_of(nodes, feeds, ["y"], opset=18), feeds)
