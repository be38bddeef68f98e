"""GroupQueryAttention whose lengths are data: caches that grow, or that have room."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from decoders import LLAMA, decoder, following, prompt
from onnx import helper
from runtimes import MICROSOFT, Array, check, device, model_of, oracle

import webrt
from webrt.errors import ShapeError, UnsupportedOpError
from webrt.frontend.onnx import from_proto
from webrt.passes import pipeline
from webrt.plan.plan import HostStep
from webrt.runtime.session import Session
from webrt.runtime.source import FolderSource
from webrt.runtime.sync import run_sync

RANDOM = np.random.default_rng(23)
HEADS, KEPT, WIDTH = 4, 2, 16
ANGLE = RANDOM.random((32, WIDTH // 2)).astype(np.float32)
ANGLES = {"c": np.cos(ANGLE), "s": np.sin(ANGLE)}


def floats(*shape: int) -> Array:
    return RANDOM.standard_normal(shape).astype(np.float32)


def feeds_of(lengths: list[int], total: int, room: int, rows: int = 1) -> dict[str, Array]:
    """Three inputs, caches that hold what each sample has, and lengths."""
    batch = len(lengths)
    feeds = {"q": floats(batch, rows, HEADS * WIDTH)}
    feeds |= {name: floats(batch, rows, KEPT * WIDTH) for name in "kv"}
    held = np.arange(room) < np.array(lengths)[:, None] + 1 - rows
    for name in ("pk", "pv"):
        feeds[name] = floats(batch, KEPT, room, WIDTH) * held[:, None, :, None].astype(np.float32)
    feeds["n"] = np.array(lengths, np.int32)
    feeds["t"] = np.array(total, np.int32)
    return feeds


def model(
    feeds: Mapping[str, Array], inputs: str = "q k v pk pv n t c s",
    dynamic: Mapping[int, str] | None = None, **attributes: Any,
) -> onnx.ModelProto:  # fmt: skip
    names = ["" if n == "_" else n for n in inputs.split()]
    node = helper.make_node(
        "GroupQueryAttention", names, ["y", "a", "b"], domain=MICROSOFT, num_heads=HEADS,
        kv_num_heads=KEPT, **attributes,
    )  # fmt: skip
    constants = {n: a for n, a in ANGLES.items() if n in names}
    made = model_of([node], feeds, ["y", "a", "b"], constants)
    for info in made.graph.input:
        for dim in info.type.tensor_type.shape.dim:
            if dynamic and dim.dim_value in dynamic:
                dim.dim_param = dynamic[dim.dim_value]
    return made


def opened(made: onnx.ModelProto, folder: Path) -> Session:
    onnx.save(made, folder / "m.onnx")
    webrt.pack(folder / "m.onnx", folder / "pack")
    return run_sync(Session.open(FolderSource(folder / "pack"), device("wasm-1")))


def test_a_cache_grows_by_a_length_that_is_fed() -> None:
    feeds = feeds_of([5, 7, 0], 8, 7)
    dynamic = {3: "batch", 7: "past_sequence_length", 1: "sequence_length"}
    check(model(feeds, dynamic=dynamic, do_rotary=1, local_window_size=3, softcap=9.0), feeds)


def test_a_cache_with_room_takes_rows_where_lengths_say() -> None:
    feeds = feeds_of([5, 7], 8, 15) | {"r": floats(2, 1, 1, 8)}
    inputs = "q k v pk pv n t c s _ r"
    dynamic = {15: "past_sequence_length"}
    check(model(feeds, inputs, dynamic, do_rotary=1, rotary_interleaved=1), feeds)


def test_a_prompt_in_a_cache_with_room() -> None:
    feeds = feeds_of([5, 5], 6, 9, rows=6)
    check(model(feeds, do_rotary=1, smooth_softmax=1), feeds)
    feeds = feeds_of([8], 9, 6, rows=3)  # a prompt goes on
    check(model(feeds, do_rotary=1), feeds)


def test_attention_to_what_follows() -> None:
    feeds = feeds_of([5, 7], 8, 9)
    check(model(feeds, "q k v pk pv n t", causal=0), feeds)


def test_norms_of_heads() -> None:
    """ONNX Runtime's CPU provider has none: they are written out for it."""
    feeds, gains = feeds_of([5, 7], 8, 8), {n: floats(WIDTH) for n in ("g", "h")}
    inputs = "q k v pk pv n t _ _ _ _ _ _ _ g h"
    made = model(feeds | gains, inputs, qk_norm_epsilon=1e-3)
    plain = dict(feeds)
    for name, gain in (("q", gains["g"]), ("k", gains["h"])):
        split = feeds[name].reshape(2, 1, -1, WIDTH)
        mean = (split**2).mean(-1, keepdims=True)
        plain[name] = (split / np.sqrt(mean + 1e-3) * gain).reshape(feeds[name].shape)
    wanted = oracle(model(plain, "q k v pk pv n t"), plain)
    check(made, feeds | gains, wanted)


def test_lengths_that_do_not_go_together_end_a_run(tmp_path: Path) -> None:
    feeds = feeds_of([5, 7, 6], 8, 8)
    made = model(feeds, "q k v pk pv n t", {1: "rows", 3: "batch"})
    session = opened(made, tmp_path)
    session.run(feeds)
    wrong = [([5, 9, 6], 8, 1), ([5, -1, 6], 8, 1), ([7, 1, 7], 8, 3), ([5, 5, 5], 0, 1)]
    for lengths, total, rows in wrong:
        with pytest.raises(ShapeError, match="a size or place is -1"):
            session.run(feeds_of(lengths, total, 8, rows))


def test_all_layers_read_the_lengths_once() -> None:
    feeds = feeds_of([5, 7], 8, 7)
    made = model(feeds)
    second = onnx.NodeProto()
    second.CopyFrom(made.graph.node[0])
    second.input[0], second.name = "y", "second"
    second.output[:] = ["y2", "a2", "b2"]
    made.graph.node.append(second)
    for name in second.output:
        made.graph.output.append(helper.make_tensor_value_info(name, 1, None))
    plan = pipeline.build(from_proto(made, "m.onnx")).plan
    assert sum(isinstance(item, HostStep) for item in plan.flow) == 1


@pytest.mark.parametrize(
    "attributes", [{"k_quant_type": "PER_TENSOR"}, {"sliding_window_cache": 1}]
)
def test_what_other_runtimes_have_is_refused(attributes: dict[str, Any]) -> None:
    feeds = feeds_of([5, 7], 8, 8)
    with pytest.raises(UnsupportedOpError, match="isn't run"):
        from_proto(model(feeds, "q k v pk pv n t", **attributes), "m.onnx")


@pytest.mark.parametrize("layouts", [1, 2])
def test_sparse_attention(layouts: int) -> None:
    """ONNX Runtime wants its caches in one buffer: dense attention under a bias is the oracle."""
    block, room = 4, 16
    table = np.tril(RANDOM.random((layouts, 4, 4)) < 0.5) | np.eye(4, dtype=bool)
    starts = np.concatenate([np.zeros((layouts, 1)), table.sum(2).cumsum(1)], 1).astype(np.int32)
    places = np.full((layouts, starts.max()), -1, np.int32)
    for layout in range(layouts):
        found = np.nonzero(table[layout])[1]
        places[layout, : len(found)] = found
    feeds = feeds_of([5, 13], 14, room)
    at = feeds["n"] // block
    seen = table[:, at].repeat(block, 2).transpose(1, 0, 2)[:, :, None]  # [B, layouts, 1, T]
    seen = np.tile(seen, (1, HEADS // layouts, 1, 1))[..., :14]
    wanted = oracle(
        model(feeds | {"r": np.where(seen, 0, -1e30).astype(np.float32)}, "q k v pk pv n t c s _ r",
              do_rotary=1),
        feeds | {"r": np.where(seen, 0, -1e30).astype(np.float32)},
    )  # fmt: skip
    node = helper.make_node(
        "SparseAttention", ["q", "k", "v", "pk", "pv", "starts", "places", "t", "n", "c", "s"],
        ["y", "a", "b"], domain=MICROSOFT, num_heads=HEADS, kv_num_heads=KEPT,
        sparse_block_size=block, do_rotary=1,
    )  # fmt: skip
    given = feeds | {"n": feeds["n"] + 1}
    constants = {**ANGLES, "starts": starts, "places": places}
    devices = ("wasm-1", "llvmpipe")[:layouts]
    check(model_of([node], given, ["y", "a", "b"], constants), given, wanted, devices=devices)


def test_a_decoder_over_caches_with_room(tmp_path: Path) -> None:
    """As onnxruntime-genai feeds them where past and present share a buffer."""
    made = decoder(LLAMA)
    session = opened(made, tmp_path)
    feeds = prompt(LLAMA, 2, 5)
    room = np.zeros((2, LLAMA.kept, 12, LLAMA.width), np.float32)
    feeds = {n: room if n.startswith("past") else a for n, a in feeds.items()}
    names = [o.name for o in made.graph.output]
    for _ in range(3):
        wanted = dict(zip(names, oracle(made, feeds), strict=True))
        found = session.run(feeds)
        used = feeds["attention_mask"].sum(1)
        rows = feeds["input_ids"].shape[1]
        for sample, count in enumerate(used):
            kept = slice(0, count if rows > 1 else 1)
            np.testing.assert_allclose(
                np.asarray(found["logits"])[sample, kept], wanted["logits"][sample, kept], 1e-3,
                1e-4,
            )  # fmt: skip
        assert np.asarray(found["present.0.key"]).shape[2] == 12
        feeds = following(feeds, wanted)
