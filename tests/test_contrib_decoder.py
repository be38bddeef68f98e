"""Decoders generate the tokens that ONNX Runtime generates, from empty caches on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from decoders import FAMILIES, Array, Decoder, decoder, following, prompt
from runtimes import device

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
