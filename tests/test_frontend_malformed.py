"""Models that can't be read: the error's type and its words. Nothing else may come out."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import TensorProto, helper, numpy_helper

from webrt.errors import ModelError, ShapeError, UnsupportedOpError, WebrtError
from webrt.frontend.onnx import load_bytes, load_model
from webrt.passes.lower import lower

HEADER = '<ir_version: 8, opset_import: ["" : 17]>\n'


def _load(text: str, header: str = HEADER) -> None:
    load_bytes(onnx.parser.parse_model(header + text).SerializeToString(), "m.onnx")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("a = Relu (x)\n y = Add (a, nowhere)",
         "m.onnx: node 'Add_1': its input 'nowhere' is defined nowhere"),
        ("a = Add (x, b)\n b = Relu (a)\n y = Relu (b)",
         "m.onnx: node 'Add_0' is part of a cycle, or depends on one"),
        ("y = Relu (x)\n y = Exp (x)",
         "m.onnx: node 'Exp_1': the name 'y' is defined twice"),
        ("x = Relu (x)\n y = Exp (x)",
         "m.onnx: node 'Relu_0': the name 'x' is defined twice"),
        ("a = Relu (x)", "m.onnx: the output 'y' is defined nowhere"),
        ("y = Add (x)", "m.onnx: node 'Add_0' (Add): expected 2 inputs, found 1"),
        ("y = Relu (x, x)", "m.onnx: node 'Relu_0' (Relu): expected 1 input, found 2"),
        ("y = Add (x, )", "m.onnx: node 'Add_0' (Add): expected 2 inputs, found 1"),
        ("y = Concat (x, x)",
         "m.onnx: node 'Concat_0' (Concat): expected an attribute 'axis', found none"),
        ("y = Concat <axis = 1.5> (x, x)",
         "m.onnx: node 'Concat_0' (Concat): expected attribute 'axis' to be of type int"),
    ],
)  # fmt: skip
def test_structure(body: str, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        _load(f"g (float[2, 3] x) => (float[2, 3] y) {{ {body} }}")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("inputs", "body", "message"),
    [
        ("float[2, 3] x, float[4] w", "y = Add (x, w)",
         "m.onnx: node 'Add_0' (Add): expected shapes that broadcast, found [2, 3] and [4]"),
        ("float[2, 3] x, float[4, 5] w", "y = MatMul (x, w)",
         "m.onnx: node 'MatMul_0' (MatMul): expected equal inner dims, found [2, 3] and [4, 5]"),
        ("float[2, 3] x", "y = Softmax <axis = 2> (x)",
         "m.onnx: node 'Softmax_0' (Softmax): expected an axis in -2 … 1, found 2"),
        ("float[2, 3] x, int64[3] w", "y = Add (x, w)",
         "m.onnx: node 'Add_0' (Add): input 1: expected dtype f32, found i64"),
        ("bool[2] x", "y = Exp (x)",
         "m.onnx: node 'Exp_0' (Exp): input 0 may not be of dtype bool"),
        ("float[2, 3] x", "s = Constant <value_ints = [4, 2]> ()\n y = Reshape (x, s)",
         "m.onnx: node 'Reshape_1' (Reshape): expected the 6 elements of [2, 3], found [4, 2]"),
        ("float[2, 3] x", "i = Constant <value_int = 2> ()\n y = Gather (x, i)",
         "m.onnx: node 'Gather_1' (Gather): expected indices in -2 … 1, found 2"),
        ("float[2, 3] x", "p = Constant <value_ints = [0, -2, 0, -2]> ()\n y = Pad (x, p)",
         "m.onnx: node 'Pad_1' (Pad): expected no negative dim, found [2, -1]"),
    ],
)  # fmt: skip
def test_shapes(inputs: str, body: str, message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        _load(f"g ({inputs}) => (float[a, b] y) {{ {body} }}")
    assert str(caught.value) == message


def test_all_unsupported_nodes_are_listed_at_once() -> None:
    text = """g (float[2] x) => (float[2] y) {
        a = Relu (x)
        b = StringNormalizer (a)
        c = other.Thing (b)
        y = StringNormalizer (x)
    }"""
    with pytest.raises(UnsupportedOpError) as caught:
        _load(text, '<ir_version: 8, opset_import: ["" : 17, "other" : 1]>\n')
    assert str(caught.value) == (
        "m.onnx: node 'StringNormalizer_1' (StringNormalizer) isn't run; "
        "node 'other.Thing_2' (other.Thing) isn't "
        "run; node 'StringNormalizer_3' (StringNormalizer) isn't run"
    ).replace("other.Thing_2", "Thing_2")


def test_shapes_that_depend_on_data_are_listed_at_once() -> None:
    text = """g (float[2, 3] x, int64[n] s) => (float[a, b] y, float[c, d] z) {
        y = Reshape (x, s)
        z = Expand (x, s)
    }"""
    with pytest.raises(UnsupportedOpError) as caught:
        _load(text)
    assert str(caught.value) == (
        "m.onnx: node 'Reshape_0' (Reshape): its shape depends on data; "
        "node 'Expand_1' (Expand): its shape depends on data"
    )


@pytest.mark.parametrize(
    ("opsets", "message"),
    [
        ('"" : 6', "m.onnx: expected an opset from 7 to 28, found 6; "
         "convert it with onnx.version_converter"),
        ('"" : 29', "m.onnx: expected an opset from 7 to 28, found 29; "
         "convert it with onnx.version_converter"),
        ('"ai.onnx.ml" : 2', "m.onnx: expected an opset of ai.onnx, found none"),
    ],
)  # fmt: skip
def test_opsets(opsets: str, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        _load(
            "g (float[2] x) => (float[2] y) { y = Relu (x) }",
            f"<ir_version: 8, opset_import: [{opsets}]>\n",
        )
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("kind", "shape", "message"),
    [
        (TensorProto.COMPLEX64, [2], "m.onnx: input 'x': elements of type COMPLEX64 aren't run"),
        (TensorProto.BFLOAT16, [2], "m.onnx: input 'x': elements of type BFLOAT16 aren't run"),
        (TensorProto.STRING, [2], "m.onnx: input 'x': elements of type STRING aren't run"),
        (TensorProto.FLOAT, None,
         "m.onnx: input 'x': expected a shape, found none; give it a rank and dims"),
    ],
)  # fmt: skip
def test_inputs(kind: int, shape: list[int] | None, message: str) -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "g",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, shape)],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    with pytest.raises(ModelError) as caught:
        load_bytes(model.SerializeToString(), "m.onnx")
    assert str(caught.value) == message


def _with_tensor(tensor: TensorProto) -> onnx.ModelProto:
    model = onnx.parser.parse_model(HEADER + "g (float[2] x) => (float[2] y) { y = Add (x, w) }")
    model.graph.initializer.append(tensor)
    return model


def _tensor(**fields: object) -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2])
    for name, value in fields.items():
        if isinstance(value, list):
            getattr(tensor, name).extend(value)
        else:
            setattr(tensor, name, value)
    return tensor


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (_tensor(raw_data=b"1234567"), "initializer 'w': expected 8 bytes, found 7"),
        (_tensor(raw_data=b""), "initializer 'w': expected 8 bytes, found 0"),
        (_tensor(float_data=[1.0, 2.0, 3.0]), "initializer 'w': expected 2 elements, found 3"),
        (_tensor(), "initializer 'w': expected 2 elements, found 0"),
        (TensorProto(name="w", data_type=1, dims=[-2]),
         "initializer 'w' has shape [-2], expected fewer than 2^31 elements"),
        (TensorProto(name="w", data_type=1, dims=[1 << 40, 1 << 40]),
         f"initializer 'w' has shape [{1 << 40}, {1 << 40}], expected fewer than 2^31 elements"),
        (TensorProto(name="w", data_type=TensorProto.STRING, dims=[1]),
         "initializer 'w' has 0 strings for shape [1]"),
        (TensorProto(name="w", data_type=99, dims=[1]),
         "initializer 'w': elements of type number 99 aren't run"),
    ],
)  # fmt: skip
def test_initializers(tensor: TensorProto, message: str) -> None:
    with pytest.raises(WebrtError) as caught:
        load_bytes(_with_tensor(tensor).SerializeToString(), "m.onnx")
    assert str(caught.value) == f"m.onnx: {message}"


def _external(folder: Path, location: str, **entries: str) -> Path:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    path = folder / "m.onnx"
    path.write_bytes(_with_tensor(tensor).SerializeToString())
    return path


def test_external_data_inside_the_folder_is_mapped(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "w.bin").write_bytes(b"abcd" + np.array([1, 2], np.float32).tobytes())
    graph = load_model(_external(tmp_path, "sub/w.bin", offset="4", length="8"))
    weight = graph.nodes[0].inputs[1]
    assert weight is not None
    np.testing.assert_array_equal(np.asarray(weight.data), [1, 2])


@pytest.mark.parametrize("location", ["../w.bin", "sub/../../w.bin", "/etc/hostname", "", "link"])
def test_external_data_outside_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "w.bin").write_bytes(bytes(8))
    os.symlink(tmp_path / "w.bin", folder / "link")
    with pytest.raises(ModelError) as caught:
        load_model(_external(folder, location))
    assert str(caught.value) == (
        f"m.onnx: initializer 'w': external data must lie in the model's folder, found {location!r}"
    )


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, "expected 8 bytes in 'w.bin', found 7"),
        ({"offset": "-1"}, "expected an offset of at least 0, found -1"),
        ({"length": "7"}, "expected 8 bytes of external data, found 7"),
        ({"offset": "x"}, "offset or length of its external data isn't a number"),
    ],
)
def test_external_data_that_doesnt_fit_is_refused(
    tmp_path: Path, entries: dict[str, str], message: str
) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(7))
    with pytest.raises(ModelError, match="initializer 'w'") as caught:
        load_model(_external(tmp_path, "w.bin", **entries))
    assert str(caught.value) == f"m.onnx: initializer 'w': {message}"


def test_external_data_that_isnt_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"m.onnx: initializer 'w': no external data file 'w.bin'"):
        load_model(_external(tmp_path, "w.bin"))


def test_external_data_of_bytes_without_a_folder_is_refused(tmp_path: Path) -> None:
    content = _external(tmp_path, "w.bin").read_bytes()
    with pytest.raises(ModelError, match="must lie in the model's folder"):
        load_bytes(content, "m.onnx")


def test_a_file_that_isnt_there(tmp_path: Path) -> None:
    path = tmp_path / "none.onnx"
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert str(caught.value) == f"{path}: can't be read (No such file or directory)"


def test_names_of_a_model_cant_break_a_message() -> None:
    node = helper.make_node("Evil\nOp", ["x"], ["y"], name="a\x1b[31m\nb")
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in "xy"]
    graph = helper.make_graph([node], "g", info[:1], info[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    with pytest.raises(UnsupportedOpError) as caught:
        load_bytes(model.SerializeToString(), "m.onnx")
    assert str(caught.value) == r"m.onnx: node 'a\x1b[31m\nb' (Evil\nOp) isn't run"


FUZZED = """g (int64[batch, seq] ids, float[batch, seq, 4] x)
=> (float[batch, 2] y, float[batch, n] z)
<float[2, 4] table = {1, 2, 3, 4, 5, 6, 7, 8}, float[4, 2] w = {1, 2, 3, 4, 5, 6, 7, 8}> {
    e = Gather (table, ids)
    a = Add (e, x)
    s = Shape (a)
    one = Constant <value = int64 {1}> ()
    length = Gather <axis = 0> (s, one)
    axes = Constant <value_ints = [0]> ()
    u = Unsqueeze (length, axes)
    b = MatMul (a, w)
    y = ReduceMean <axes = [1], keepdims = 0> (b)
    t = Transpose <perm = [0, 2, 1]> (a)
    f = Flatten (t)
    z = Softmax <axis = -1> (f)
}"""


def _attempt(content: bytes) -> None:
    """Anything but a model, or a one-line error of ours, fails."""
    try:
        lower(load_bytes(content, "m.onnx"))
    except WebrtError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_truncated_models() -> None:
    content = onnx.parser.parse_model(HEADER + FUZZED).SerializeToString()
    for length in range(len(content)):
        _attempt(content[:length])


@pytest.mark.parametrize("seed", range(4))
def test_models_with_flipped_bytes(seed: int) -> None:
    content = onnx.parser.parse_model(HEADER + FUZZED).SerializeToString()
    rng = random.Random(seed)
    for _ in range(250):
        changed = bytearray(content)
        for _ in range(rng.choice([1, 1, 2, 8])):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        _attempt(bytes(changed))


def test_random_bytes() -> None:
    rng = random.Random(0)
    for _ in range(100):
        with pytest.raises(ModelError, match=r"^m.onnx: "):
            load_bytes(rng.randbytes(rng.randrange(1, 300)), "m.onnx")


def test_an_empty_file() -> None:
    with pytest.raises(ModelError) as caught:
        load_bytes(b"", "m.onnx")
    assert str(caught.value) == "m.onnx: holds no graph: not an ONNX model, or cut short"


def test_sparse_initializers_are_refused() -> None:
    model = onnx.parser.parse_model(HEADER + "g (float[2] x) => (float[2] y) { y = Relu (x) }")
    sparse = model.graph.sparse_initializer.add()
    sparse.values.CopyFrom(numpy_helper.from_array(np.ones(1, np.float32), "w"))
    with pytest.raises(UnsupportedOpError, match="sparse initializers aren't run"):
        load_bytes(model.SerializeToString(), "m.onnx")


def test_what_a_subgraph_cannot_run_is_named() -> None:
    branch = helper.make_graph(
        [helper.make_node("StringNormalizer", ["x"], ["b"])], "b", [],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, [1])],
    )  # fmt: skip
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1]),
        helper.make_tensor_value_info("c", TensorProto.BOOL, []),
    ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([node], "g", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    where = r"node 'If_0/then_branch/StringNormalizer_0' \(StringNormalizer\)"
    with pytest.raises(UnsupportedOpError, match=f"{where} isn't run"):
        load_bytes(model.SerializeToString(), "m.onnx")
