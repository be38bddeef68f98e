"""Decoders generate the tokens that ONNX Runtime generates, from empty caches on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from decoders import FAMILIES, Array, Decoder, decoder, following, prompt
from runtimes import check, device, oracle

import webrt
from webrt.errors import ShapeError
from webrt.runtime.session import Session
from webrt.runtime.source import FolderSource
from webrt.runtime.sync import run_sync

LENGTH = 5
TOLERANCE = {np.dtype(np.float32): 1e-3, np.dtype(np.float16): 3e-2}


def generated(
    path: Path, of: Decoder, batch: int, steps: int
) -> Iterator[tuple[dict[str, Array], list[Array]]]:
    """What each run is fed and answers, by ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options)
    names = [o.name for o in session.get_outputs()]
    feeds = prompt(of, batch, LENGTH)
    for _ in range(steps + 1):
        outputs = session.run(None, feeds)
        yield feeds, outputs
        feeds = following(feeds, dict(zip(names, outputs, strict=True)))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_decoder_generates(family: str, tmp_path: Path) -> None:
    of = FAMILIES[family]
    onnx.save(decoder(of), tmp_path / "m.onnx")
    webrt.pack(tmp_path / "m.onnx", tmp_path / "pack")
    for name, batch, steps in (("wasm-1", 1, 20), ("wasm-1", 2, 6), ("llvmpipe", 2, 6)):
        session = run_sync(Session.open(FolderSource(tmp_path / "pack"), device(name)))
        fed: dict[str, Array] | None = None
        for feeds, wanted in generated(tmp_path / "m.onnx", of, batch, steps):
            fed = feeds if fed is None else fed
            np.testing.assert_array_equal(fed["input_ids"], feeds["input_ids"], err_msg=name)
            outputs = {k: np.asarray(v) for k, v in session.run(fed).items()}
            rows = feeds["attention_mask"][:, -feeds["input_ids"].shape[1] :, None]
            bound = TOLERANCE[fed["past_key_values.0.key"].dtype]
            assert np.abs((outputs["logits"] - wanted[0]) * rows).max() < bound
            assert outputs["present.0.key"].shape == wanted[1].shape
            fed = following(fed, outputs)


def test_what_a_cache_may_hold(tmp_path: Path) -> None:
    of = FAMILIES["llama"]
    onnx.save(decoder(of), tmp_path / "m.onnx")
    webrt.pack(tmp_path / "m.onnx", tmp_path / "pack")
    session = webrt.load(tmp_path / "pack", device="wasm")
    named = {i.name: i.shape for i in session.inputs}
    assert named["past_key_values.0.key"] == ("batch_size", 2, "past_sequence_length", 16)
    feeds = prompt(of, 1, LENGTH)
    with pytest.raises(ShapeError, match="sequence_length at axis 1 is 0, expected 1 to"):
        session.run(feeds | {"input_ids": feeds["input_ids"][:, :0]})
    with pytest.raises(ShapeError, match="expected past_sequence_length = 0 "):
        session.run(feeds | {"past_key_values.1.value": np.zeros((1, 2, 3, 16), np.float32)})


MERGED = """<ir_version: 9, opset_import: ["" : 17]>
    g (float[b, e] mask, float[b, s, 4] x, float[b, e, 4] states, float[b, p, 4] past,
       float[b, q, 4] cross, bool[1] cached)
      => (float[b, s, 4] y, float[b, t, 4] present, float[b, u, 4] kept) {
        y, present, kept = If (cached) <
            then_branch = more () => (float[b, s, 4] y1, float[b, t1, 4] k1, float[b, u1, 4] c1) {
                k1 = Concat <axis = 1> (past, x)
                c1 = Identity (cross)
                turned1 = Transpose <perm = [0, 2, 1]> (c1)
                score1 = MatMul (x, turned1)
                wide1 = Unsqueeze (mask, one)
                masked1 = Add (score1, wide1)
                weight1 = Softmax <axis = -1> (masked1)
                found1 = MatMul (weight1, c1)
                sum1 = ReduceSum (k1, one)
                y1 = Add (found1, sum1)
            },
            else_branch = first () => (float[b, s, 4] y2, float[b, t2, 4] k2, float[b, u2, 4] c2) {
                k2 = Identity (x)
                c2 = Tanh (states)
                sum2 = ReduceSum (k2, one)
                y2 = Add (x, sum2)
            }>
    }"""


def test_a_decoder_of_two_branches() -> None:
    """As optimum merges them: the first run has empty caches, in lengths of their own."""
    model = onnx.parser.parse_model(MERGED)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1], np.int64), "one"))
    random = np.random.default_rng(3)
    shapes = {"mask": (1, 6), "x": (1, 3, 4), "states": (1, 6, 4), "past": (1, 0, 4),
              "cross": (1, 0, 4)}  # fmt: skip
    feeds = {n: random.standard_normal(s).astype(np.float32) for n, s in shapes.items()}
    feeds["cached"] = np.array([False])
    check(model, feeds)
    _, past, cross = oracle(model, feeds)
    feeds |= {"past": past, "cross": cross, "x": feeds["x"][:, :1], "cached": np.array([True])}
    check(model, feeds)
