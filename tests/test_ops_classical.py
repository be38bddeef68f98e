"""Classical models against ONNX Runtime: trees, linear models, support vectors, labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from runtimes import Array, device
from typer.testing import CliRunner

import webrt
from webrt.cli.main import app
from webrt.errors import ModelError, PackError, ShapeError, UnsupportedOpError
from webrt.frontend.onnx import from_proto
from webrt.graph.evaluate import evaluate
from webrt.ops.forest import LEVELS
from webrt.ops.registry import compute
from webrt.pack.read import read_pack
from webrt.runtime.session import Session
from webrt.runtime.source import FolderSource
from webrt.runtime.sync import run_sync

ML = "ai.onnx.ml"
F32, I64, TEXT = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
TRANSFORMS = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]


def model_of(
    nodes: list[onnx.NodeProto], x: Array, outputs: dict[str, int | None], opset: int = 3
) -> onnx.ModelProto:
    """A model of one input whose first dim is dynamic; an output of type None has no type."""
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    given = helper.make_tensor_value_info("x", kind, ["n", *x.shape[1:]])
    made = [
        onnx.ValueInfoProto(name=name)
        if to is None
        else helper.make_tensor_value_info(name, to, None)
        for name, to in outputs.items()
    ]
    graph = helper.make_graph(nodes, "g", [given], made)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(ML, opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def node(op: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, ["x"], outputs.split(), domain=ML, **attributes)


def agree(found: Array, expected: Array, what: object) -> None:
    assert found.shape == expected.shape, what
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, 1e-4, 1e-5, err_msg=str(what))
    else:
        assert (found.astype(expected.dtype) == expected).all(), what


def check(model: onnx.ModelProto, x: Array, folder: Path | None = None) -> None:
    """The references, and with a folder both devices, give what ONNX Runtime does."""
    onnxruntime.set_default_logger_severity(4)
    expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    graph = from_proto(model, "m.onnx")
    values = evaluate(graph, {"x": x}, compute)
    for name, value, array in zip(graph.output_names, graph.outputs, expected, strict=True):
        texts = graph.labels[name].texts if name in graph.labels else ()
        found = np.array(texts, object)[values[value]] if texts else values[value]
        agree(found, array, name)
    if folder is None:
        return
    onnx.save(model, folder / "m.onnx")
    webrt.pack(folder / "m.onnx", folder / "pack")
    for kind in ("wasm-1", "llvmpipe"):
        session = run_sync(Session.open(FolderSource(folder / "pack"), device(kind)))
        outputs = session.run({"x": x})
        for name, array in zip(graph.output_names, expected, strict=True):
            agree(outputs[name], array, (kind, name))


class Forest:
    """Random trees, as the operators of opsets 1 to 3 list them."""

    def __init__(self, seed: int, trees: int, depth: int, modes: list[str]) -> None:
        self.random = np.random.default_rng(seed)
        self.rows: list[tuple[Any, ...]] = []
        self.leaves: list[tuple[int, int]] = []
        for tree in range(trees):
            self._grow(tree, 0, depth, modes, len(self.rows))

    def _grow(self, tree: int, level: int, depth: int, modes: list[str], first: int) -> int:
        random, number, place = self.random, len(self.rows) - first, len(self.rows)
        self.rows.append(())
        if level == depth or (level and random.random() < 0.2):
            self.rows[place] = (tree, number, 0, 0.0, "LEAF", 0, 0, 0)
            self.leaves.append((tree, number))
            return number
        feature, value = int(random.integers(4)), round(float(random.normal()), 1)
        mode, missing = str(random.choice(modes)), int(random.random() < 0.5)
        yes, no = (self._grow(tree, level + 1, depth, modes, first) for _ in range(2))
        self.rows[place] = (tree, number, feature, value, mode, yes, no, missing)
        return number

    def attributes(self) -> dict[str, Any]:
        names = ["treeids", "nodeids", "featureids", "values", "modes", "truenodeids"]
        names += ["falsenodeids", "missing_value_tracks_true"]
        columns = zip(*self.rows, strict=True)
        return {f"nodes_{n}": list(c) for n, c in zip(names, columns, strict=True)}

    def weights(
        self, kind: str, targets: int, low: float = -1, each: bool = True
    ) -> dict[str, Any]:
        """Weights of every target, or of one that goes with the tree."""
        rows = [
            (t, n, k) for t, n in self.leaves for k in range(targets) if each or k == t % targets
        ]
        numbers = self.random.uniform(low, 1, len(rows)) / (len({t for t, *_ in rows}) + 1)
        return {
            f"{kind}_treeids": [t for t, *_ in rows], f"{kind}_nodeids": [n for _, n, _ in rows],
            f"{kind}_ids": [k for *_, k in rows], f"{kind}_weights": [float(w) for w in numbers],
        }  # fmt: skip

    def features(self, rows: int) -> Array:
        """Some of them are thresholds, some no numbers."""
        x = np.round(self.random.normal(size=(rows, 4)), 1).astype(np.float32)
        x[self.random.random(x.shape) < 0.15] = np.nan
        return x


@pytest.mark.parametrize("how", ["SUM", "AVERAGE", "MIN", "MAX"])
def test_regressors(how: str) -> None:
    for seed, (transform, targets, based) in enumerate(
        (t, k, b) for t in TRANSFORMS for k in (1, 3) for b in (False, True)
    ):
        forest = Forest(seed, 1 + seed % 4, seed % 5, MODES)
        low = 0.01 if transform == "PROBIT" else -1
        weights = forest.weights("target", targets, low, each=seed % 3 != 0)
        base = {"base_values": [0.01] * targets} if based else {}
        made = node(
            "TreeEnsembleRegressor", "y", **forest.attributes(), **weights, **base,
            n_targets=targets, aggregate_function=how, post_transform=transform,
        )  # fmt: skip
        x = forest.features(9)
        check(model_of([made], x, {"y": F32}), x)


@pytest.mark.parametrize("classes", [2, 3])
def test_classifiers(classes: int) -> None:
    for seed, (transform, low, based) in enumerate(
        (t, p, b) for t in TRANSFORMS[: 3 + classes - 1] for p in (0, -1) for b in (0, 1, 2)
    ):
        two = classes == 2
        if (transform == "PROBIT" and (two or low)) or (based == 1 and not two):
            continue
        forest = Forest(seed, 1 + seed % 4, seed % 4, MODES)
        weights = forest.weights("class", 1 if two else classes, low, each=seed % 2 == 0)
        base = {"base_values": [0.1, 0.2, 0.3][: based if two else classes]} if based else {}
        made = node(
            "TreeEnsembleClassifier", "label scores", **forest.attributes(), **weights, **base,
            classlabels_int64s=[7, -1, 3][:classes], post_transform=transform,
        )  # fmt: skip
        x = forest.features(9)
        check(model_of([made], x, {"label": I64, "scores": F32}), x)


def test_forests_on_devices(tmp_path: Path) -> None:
    """Deeper than one kernel goes, all modes, missing values; labels are strings."""
    forest = Forest(3, 7, 6, MODES)
    chain = LEVELS + 3
    for level in range(chain):
        forest.rows.append(
            (7, level, level % 4, 0.0, "BRANCH_LEQ", level + 1, 2 * chain - level, 0)
        )
    for leaf in range(chain, 2 * chain + 1):
        forest.rows.append((7, leaf, 0, 0.0, "LEAF", 0, 0, 0))
        forest.leaves.append((7, leaf))
    made = node(
        "TreeEnsembleClassifier", "label scores", **forest.attributes(),
        **forest.weights("class", 3), classlabels_strings=["a", "ü", "c"],
        post_transform="SOFTMAX",
    )  # fmt: skip
    x = forest.features(130)
    x[0] = -1
    check(model_of([made], x, {"label": TEXT, "scores": F32}), x, tmp_path)


def test_equal_votes_are_a_tie() -> None:
    """Ten times a tenth of a vote, in whatever order, is as much as ten other ones."""
    rows = [
        (t, n, 0, float(t), "LEAF" if n else "BRANCH_LT", 1, 2, 0)
        for t in range(20)
        for n in range(3)
    ]
    forest = Forest(0, 0, 0, MODES)
    forest.rows = rows
    classes = [t % 2 for t in range(20) for _ in "ab"]
    made = node(
        "TreeEnsembleClassifier", "label scores", **forest.attributes(),
        class_treeids=[t for t in range(20) for _ in "ab"], class_nodeids=[1, 2] * 20,
        class_ids=classes, class_weights=[0.1] * 40, classlabels_int64s=[0, 1, 2],
    )  # fmt: skip
    graph = from_proto(
        model_of([made], np.zeros((1, 1), np.float32), {"label": I64, "scores": F32}), "m"
    )
    values = evaluate(graph, {"x": np.zeros((3, 1), np.float32)}, compute)
    label, scores = (values[v] for v in graph.outputs)
    assert label.tolist() == [0, 0, 0]
    assert (scores[:, 0] == scores[:, 1]).all()


def test_double_thresholds_compare_as_they_are() -> None:
    """x <= 0.1, the double, holds for the float below it alone; x < 0.1 too."""
    edge = np.float32(0.1)  # above the double
    x = np.array([[np.nextafter(edge, np.float32(0))], [edge]], np.float32)
    for mode, expected in (("BRANCH_LEQ", [1, 0]), ("BRANCH_LT", [1, 0]), ("BRANCH_GT", [0, 1])):
        made = node(
            "TreeEnsembleRegressor", "y", nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2],
            nodes_featureids=[0, 0, 0], nodes_modes=[mode, "LEAF", "LEAF"],
            nodes_values_as_tensor=numpy_helper.from_array(np.array([0.1, 0, 0])),
            nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0], target_treeids=[0, 0],
            target_nodeids=[1, 2], target_ids=[0, 0], n_targets=1,
            target_weights_as_tensor=numpy_helper.from_array(np.array([1.0, 0.0])),
        )  # fmt: skip
        graph = from_proto(model_of([made], x, {"y": F32}), "m")
        (value,) = graph.outputs
        assert evaluate(graph, {"x": x}, compute)[value].ravel().tolist() == expected


@pytest.mark.parametrize("kernel", ["LINEAR", "POLY", "RBF", "SIGMOID"])
def test_support_vector_machines(kernel: str) -> None:
    random = np.random.default_rng(5)
    x = random.normal(size=(9, 3)).astype(np.float32)
    for classes, probable in ((2, False), (2, True), (3, False), (4, True)):
        counts = [int(c) for c in random.integers(1, 4, classes)]
        total, pairs = sum(counts), classes * (classes - 1) // 2
        known = {
            "prob_a": [-float(a) - 0.5 for a in random.random(pairs)], "prob_b": [0.1] * pairs,
        } if probable else {}  # fmt: skip
        vectors = [float(v) for v in random.normal(size=total * 3)]
        common = {"kernel_type": kernel, "kernel_params": [0.3, 0.5, 2.0]}
        made = node(
            "SVMClassifier", "label scores", **common, **known, vectors_per_class=counts,
            support_vectors=vectors, rho=[float(v) for v in random.normal(size=pairs)],
            coefficients=[float(v) for v in random.normal(size=total * (classes - 1))],
            classlabels_ints=[4, 2, 9, 1][:classes],
        )  # fmt: skip
        check(model_of([made], x, {"label": I64, "scores": F32}), x)
        for alone in (0, 1):
            made = node(
                "SVMRegressor", "y", **common, n_supports=total, one_class=alone, rho=[0.2],
                support_vectors=vectors, coefficients=[(-0.7) ** j for j in range(total)],
            )  # fmt: skip
            check(model_of([made], x, {"y": F32}), x)


def test_linear_models() -> None:
    random = np.random.default_rng(6)
    x = random.normal(size=(6, 4)).astype(np.float32)
    for transform in TRANSFORMS[:4]:
        for scores in (1, 3):
            weights = [float(v) for v in random.normal(size=scores * 4)]
            bias = [float(v) for v in random.normal(size=scores)]
            common = {"coefficients": weights, "intercepts": bias, "post_transform": transform}
            made = node("LinearRegressor", "y", **common, targets=scores)
            check(model_of([made], x, {"y": F32}, 1), x)
            names = {"classlabels_strings": ["no", "yes", "?"][: max(scores, 2)]}
            made = node("LinearClassifier", "label y", **common, **names)
            check(model_of([made], x, {"label": TEXT, "y": F32}, 1), x)


PREPARED = [
    ("Scaler", {"offset": [1.0, 0.5, -2.0], "scale": [2.0, 0.5, 3.0]}),
    ("Normalizer", {"norm": "MAX"}),
    ("Normalizer", {"norm": "L1"}),
    ("Normalizer", {"norm": "L2"}),
    ("Imputer", {"imputed_value_floats": [7.0, 8.0, 9.0], "replaced_value_float": 0.0}),
    ("Imputer", {"imputed_value_floats": [7.0], "replaced_value_float": float("nan")}),
    ("OneHotEncoder", {"cats_int64s": [-2, 0, 3, -1]}),
    ("LabelEncoder", {"keys_floats": [3.0, -2.0, 3.0], "values_floats": [0.5, 1.5, 2.5]}),
    ("FeatureVectorizer", {"inputdimensions": [3]}),
]


@pytest.mark.parametrize(("op", "attributes"), PREPARED)
def test_encoders(op: str, attributes: dict[str, Any]) -> None:
    x = np.array([[1, -2, 3], [0, 0, 0], [-1, -2, -3]], np.float32)
    opset = 4 if op == "LabelEncoder" else 1
    check(model_of([node(op, "y", **attributes)], x, {"y": F32}, opset), x)


def test_categories_may_have_to_be_known(tmp_path: Path) -> None:
    """As ONNX Runtime has it, a run ends where `zeros` is 0 and an element is of no category."""
    x = np.array([[1, 5], [2, 1]], np.int64)
    model = model_of([node("OneHotEncoder", "y", cats_int64s=[1, 2, 5], zeros=0)], x, {"y": F32}, 1)
    check(model, x, tmp_path)
    session = run_sync(Session.open(FolderSource(tmp_path / "pack"), device("wasm-1")))
    with pytest.raises(ShapeError, match="OneHotEncoder"):
        session.run({"x": x + 1})


def test_label_encoders_name_numbers_and_number_names() -> None:
    x = np.array([[3], [5], [-2], [9]], np.int64)
    first = node("LabelEncoder", "name", keys_int64s=[3, 5, 9], values_strings=["c", "e", "c"])
    second = helper.make_node(
        "LabelEncoder", ["name"], ["number"], domain=ML,
        keys_strings=["e", "_Unused"], values_int64s=[50, 60], default_int64=-7,
    )  # fmt: skip
    flat = helper.make_node("Flatten", ["name"], ["flat"], axis=0)
    outputs = {"name": TEXT, "number": I64, "flat": TEXT}
    check(model_of([first, second, flat], x, outputs), x)


def classifier() -> onnx.ModelProto:
    """As scikit-learn's converter writes one: labels are strings, a map for each row."""
    made = node(
        "LinearClassifier", "place scores", coefficients=[1.0, 0.0, 0.0, 1.0, -1.0, -1.0],
        intercepts=[0.0, 0.0, 0.1], classlabels_ints=[0, 1, 2], post_transform="SOFTMAX",
    )  # fmt: skip
    names = numpy_helper.from_array(np.array(["setosa", "ver\u2028si", "vi"], object), "classes")
    picked = helper.make_node("ArrayFeatureExtractor", ["classes", "place"], ["row"], domain=ML)
    label = helper.make_node("Reshape", ["row", "minus"], ["label"])
    maps = helper.make_node(
        "ZipMap",
        ["scores"],
        ["maps"],
        domain=ML,
        classlabels_strings=["setosa", "ver\u2028si", "vi"],
    )
    x = np.zeros((1, 2), np.float32)
    model = model_of([made, picked, label, maps], x, {"label": TEXT, "maps": None})
    model.graph.initializer.extend([names, numpy_helper.from_array(np.array([-1]), "minus")])
    return model


def test_labels_and_maps_of_a_classifier(tmp_path: Path) -> None:
    onnx.save(classifier(), tmp_path / "m.onnx")
    report = webrt.pack(tmp_path / "m.onnx", tmp_path / "pack", check_inputs=1)
    names = ("setosa", "ver\u2028si", "vi")
    assert {n: (v.texts, v.columns) for n, v in report.labels.items()} == {
        "label": (names, ()), "maps": ((), names),
    }  # fmt: skip
    x = np.array([[3, 0], [0, 3], [-3, -3]], np.float32)
    with webrt.load(tmp_path / "pack", device="wasm") as session:
        found = session.run({"x": x})
        assert found["label"].tolist() == list(names)
        assert found["maps"].shape == (3, 3)
        assert [o.dtype for o in session.outputs] == ["string", "float32"]
        assert session.outputs[1].labels.columns == names
        assert session.verify().ok
    text = CliRunner().invoke(app, ["info", str(tmp_path / "pack")]).output
    assert "label: string [n]: strings out of setosa, ver\\u2028si, vi" in text
    assert "maps: float32 [n, 3]: a column for each of setosa, ver\\u2028si, vi" in text
    checked = CliRunner().invoke(
        app,
        ["check", str(tmp_path / "pack"), str(tmp_path / "m.onnx"), "--device", "wasm", "--json"],
    )
    assert json.loads(checked.stdout)["ok"], checked.output


def test_labels_that_are_not_there_end_a_run(tmp_path: Path) -> None:
    onnx.save(classifier(), tmp_path / "m.onnx")
    webrt.pack(tmp_path / "m.onnx", tmp_path / "pack")
    with webrt.load(tmp_path / "pack", device="wasm") as session:
        port = session.pack.plan.outputs[0]
        object.__setattr__(port.labels, "texts", ("setosa",))
        with pytest.raises(PackError, match="a label is number 1 of 1"):
            session.run({"x": np.array([[0, 3]], np.float32)})
    assert read_pack(tmp_path / "pack").plan.outputs[0].labels.texts[1] == "ver\u2028si"


LEAF = {
    "nodes_treeids": [0], "nodes_nodeids": [0], "nodes_featureids": [0], "nodes_values": [0.0],
    "nodes_modes": ["LEAF"], "nodes_truenodeids": [0], "nodes_falsenodeids": [0], "n_targets": 1,
    "target_treeids": [0], "target_nodeids": [0], "target_ids": [0], "target_weights": [1.0],
}  # fmt: skip
REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"nodes_modes": ["BRANCH_LEQ"]}, ShapeError, "trees of at most 4096 levels"),
    ({"nodes_modes": ["BRANCH_SIDEWAYS"]}, UnsupportedOpError, "the mode 'BRANCH_SIDEWAYS'"),
    ({"nodes_modes": ["BRANCH_LT"], "nodes_truenodeids": [9]}, ShapeError, "children that are"),
    ({"nodes_values": [0.0, 1.0]}, ShapeError, "expected 1 nodes_values, found 2"),
    ({"target_nodeids": [4]}, ShapeError, "weights of nodes"),
    ({"target_ids": [3]}, ShapeError, "target_ids below 1"),
]


@pytest.mark.parametrize(("changed", "error", "message"), REFUSED)
def test_malformed_trees(changed: dict[str, Any], error: type[Exception], message: str) -> None:
    made = node("TreeEnsembleRegressor", "y", **(LEAF | changed))
    with pytest.raises(error, match=message):
        from_proto(model_of([made], np.zeros((1, 1), np.float32), {"y": F32}), "m.onnx")


def test_strings_that_are_not_run() -> None:
    """What a model takes can't be strings, nor what is computed of them."""
    model = classifier()
    model.graph.node.append(helper.make_node("StringConcat", ["label", "label"], ["twice"]))
    model.graph.output.append(helper.make_tensor_value_info("twice", TEXT, None))
    with pytest.raises(UnsupportedOpError, match="StringConcat"):
        from_proto(model, "m.onnx")
    model = classifier()
    model.graph.node.append(helper.make_node("Shape", ["label"], ["size"]))
    model.graph.output.append(helper.make_tensor_value_info("size", I64, None))
    with pytest.raises(UnsupportedOpError, match="takes strings"):
        from_proto(model, "m.onnx")
    model = classifier()
    model.graph.initializer[0].string_data.append(b"one more")
    with pytest.raises(ModelError, match="4 strings for shape"):
        from_proto(model, "m.onnx")
    model = classifier()
    model.graph.input[0].type.tensor_type.elem_type = TEXT
    with pytest.raises(UnsupportedOpError, match="elements of type STRING"):
        from_proto(model, "m.onnx")
