"""Small twins of the decoders that people run, as onnxruntime-genai's model builder writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

MICROSOFT = "com.microsoft"
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Decoder:
    """What tells one family of decoders from another."""

    layers: int = 2
    hidden: int = 64
    heads: int = 4
    kept: int = 2
    width: int = 16
    ffn: int = 96
    vocab: int = 97
    positions: int = 64
    bits: int = 0
    block: int = 32
    zero_points: bool = False
    half: bool = False
    packed: bool = False
    rotary_inside: bool = True
    norms_of_heads: bool = False
    window: int = -1
    softcap: float = 0.0
    sinks: bool = False
    table_bits: int = 0
    gelu: bool = False


LLAMA = Decoder()
QWEN3 = Decoder(bits=4, table_bits=4, norms_of_heads=True, rotary_inside=False)
GEMMA3 = Decoder(half=True, bits=4, norms_of_heads=True, window=6, softcap=30.0, gelu=True, kept=1)
PHI = Decoder(bits=4, packed=True, half=True, zero_points=True, kept=4, window=7)
SINKS = Decoder(sinks=True, window=8, bits=8)
FAMILIES = {"llama": LLAMA, "qwen3": QWEN3, "gemma3": GEMMA3, "phi": PHI, "sinks": SINKS}


class _Writer:
    """Collects nodes and initializers; every method gives the name of what it made."""

    def __init__(self, of: Decoder, seed: int) -> None:
        self.of = of
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []
        self.float = np.float16 if of.half else np.float32

    def node(
        self, op: str, inputs: list[str], domain: str = "", outputs: int = 1, **attributes: Any
    ) -> list[str]:
        name = f"/model/{op}_{len(self.nodes)}"
        names = [f"{name}/output_{j}" for j in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name, domain=domain, **attributes))
        return names

    def one(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        return self.node(op, list(inputs), domain, **attributes)[0]

    def constant(self, array: Array) -> str:
        name = f"/model/constants/{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def integers(self, *elements: int) -> str:
        return self.constant(np.array(elements, np.int64))

    def floats(self, *shape: int, around: float = 0.0) -> Array:
        drawn = self.random.standard_normal(shape, np.float32)
        return np.asarray(drawn * (0.1 if around else 1.0) + around, np.float32)

    def weight(self, *shape: int, around: float = 0.0) -> str:
        return self.constant(self.floats(*shape, around=around).astype(self.float))

    def quantised(self, rows: int, columns: int, bits: int) -> tuple[str, str, str]:
        """Numbers in blocks along the columns, their scales and their zero points."""
        block = self.of.block
        blocks, each = -(-columns // block), 8 // bits
        raw = self.random.integers(0, 256, (rows, blocks, block // each), np.uint8)
        steps = 0.5 + self.random.random((rows, blocks), np.float32)
        scales = steps * 2.0 / (1 << bits) / np.sqrt(columns)
        points = ""
        if self.of.zero_points:
            wide = self.random.integers(0, 256, (rows, -(-blocks // each)), np.uint8)
            points = self.constant(wide & 0x77 if bits == 4 else wide)
        return self.constant(raw), self.constant(scales.astype(self.float)), points

    def product(self, x: str, k: int, n: int) -> str:
        if not self.of.bits:
            weight = self.floats(k, n) / np.sqrt(k)
            return self.one("MatMul", x, self.constant(weight.astype(self.float)))
        raw, scales, points = self.quantised(n, k, self.of.bits)
        inputs = [x, raw, scales, points] if points else [x, raw, scales]
        return self.one(
            "MatMulNBits", *inputs, domain=MICROSOFT, K=k, N=n, bits=self.of.bits,
            block_size=self.of.block, accuracy_level=0,
        )  # fmt: skip

    def norm(self, x: str, width: int) -> str:
        scale = self.weight(width, around=1.0)
        return self.one("SimplifiedLayerNormalization", x, scale, axis=-1, epsilon=1e-5)


def _lengths(w: _Writer) -> tuple[str, str]:
    """seqlens_k and total_sequence_length, of the mask."""
    sums = w.one("ReduceSum", "attention_mask", w.integers(1), keepdims=1)
    held = w.one("Cast", w.one("Sub", sums, w.integers(1)), to=TensorProto.INT32)
    shape = w.one("Shape", "attention_mask")
    total = w.one("Gather", shape, w.constant(np.array(1, np.int64)), axis=0)
    return held, w.one("Cast", total, to=TensorProto.INT32)


def _attention(
    w: _Writer, x: str, layer: int, lengths: tuple[str, str], tables: tuple[str, str]
) -> str:
    of = w.of
    wide, narrow = of.heads * of.width, of.kept * of.width
    if of.packed:
        q, k, v = w.product(x, of.hidden, wide + 2 * narrow), "", ""
    else:
        q, k, v = (w.product(x, of.hidden, n) for n in (wide, narrow, narrow))
    if of.norms_of_heads:
        split = w.integers(0, -1, of.width)
        q, k = (
            w.one("Reshape", w.norm(w.one("Reshape", x, split), of.width), w.integers(0, -1, n))
            for x, n in ((q, wide), (k, narrow))
        )
    if not of.rotary_inside:
        q, k = (
            w.one("RotaryEmbedding", x, "position_ids", *tables, domain=MICROSOFT, num_heads=n)
            for x, n in ((q, of.heads), (k, of.kept))
        )
    inside = list(tables) if of.rotary_inside else ["", ""]
    pasts = [f"past_key_values.{layer}.{side}" for side in ("key", "value")]
    inputs = [q, k, v, *pasts, *lengths, *inside, "", ""]
    inputs.append(w.weight(of.heads) if of.sinks else "")
    rest: dict[str, Any] = {"scale": of.width**-0.5, "local_window_size": of.window}
    if of.softcap:
        rest["softcap"] = of.softcap
    made = w.node(
        "GroupQueryAttention", inputs, MICROSOFT, 3, num_heads=of.heads, kv_num_heads=of.kept,
        do_rotary=int(of.rotary_inside), rotary_interleaved=0, **rest,
    )  # fmt: skip
    w.nodes[-1].output[1:] = [f"present.{layer}.key", f"present.{layer}.value"]
    return w.product(made[0], wide, of.hidden)


def _feed_forward(w: _Writer, x: str) -> str:
    of = w.of
    gate, up = (w.product(x, of.hidden, of.ffn) for _ in range(2))
    if of.gelu:
        active = w.one("FastGelu", gate, domain=MICROSOFT)
    else:
        active = w.one("Mul", gate, w.one("Sigmoid", gate))
    return w.product(w.one("Mul", active, up), of.ffn, of.hidden)


def _embedded(w: _Writer) -> str:
    of = w.of
    if not of.table_bits:
        return w.one("Gather", w.weight(of.vocab, of.hidden), "input_ids")
    raw, scales, points = w.quantised(of.vocab, of.hidden, of.table_bits)
    table = w.constants[-3 if points else -2]
    flat = numpy_helper.to_array(table).reshape(of.vocab, -1)
    table.CopyFrom(numpy_helper.from_array(flat, raw))
    inputs = [raw, "input_ids", scales, points] if points else [raw, "input_ids", scales]
    return w.one(
        "GatherBlockQuantized", *inputs, domain=MICROSOFT, bits=of.table_bits,
        block_size=of.block, gather_axis=0, quantize_axis=1,
    )  # fmt: skip


def _tables(w: _Writer) -> tuple[str, str]:
    half = w.of.width // 2
    angle = np.arange(w.of.positions)[:, None] * 10000.0 ** (-np.arange(half) / half)
    return (
        w.constant(np.cos(angle).astype(w.float)),
        w.constant(np.sin(angle).astype(w.float)),
    )


def _skipped(w: _Writer, x: str, skip: str) -> tuple[str, str]:
    made = w.node(
        "SkipSimplifiedLayerNormalization", [x, skip, w.weight(w.of.hidden, around=1.0)],
        MICROSOFT, 4, epsilon=1e-5,
    )  # fmt: skip
    w.nodes[-1].output[1:3] = ["", ""]
    return made[0], made[3]


def decoder(of: Decoder, seed: int = 1) -> onnx.ModelProto:
    """The model: input_ids, attention_mask, perhaps position_ids, caches; logits and caches."""
    w = _Writer(of, seed)
    lengths, tables = _lengths(w), _tables(w)
    root = _embedded(w)
    normal = w.norm(root, of.hidden)
    for layer in range(of.layers):
        normal, root = _skipped(w, root, _attention(w, normal, layer, lengths, tables))
        normal, root = _skipped(w, root, _feed_forward(w, normal))
    logits = w.product(normal, of.hidden, of.vocab)
    if of.half:
        logits = w.one("Cast", logits, to=TensorProto.FLOAT)
    w.nodes[-1].output[0] = "logits"
    kind = TensorProto.FLOAT16 if of.half else TensorProto.FLOAT
    rows, past = "sequence_length", "past_sequence_length"
    total = "total_sequence_length"
    inputs = [("input_ids", TensorProto.INT64, ["batch_size", rows]),
              ("attention_mask", TensorProto.INT64, ["batch_size", total])]  # fmt: skip
    if not of.rotary_inside:
        inputs.append(("position_ids", TensorProto.INT64, ["batch_size", rows]))
    caches = [f"{n}.{side}" for n in range(of.layers) for side in ("key", "value")]
    outputs = [("logits", TensorProto.FLOAT, ["batch_size", rows, of.vocab])]
    for name in caches:
        inputs.append((f"past_key_values.{name}", kind, ["batch_size", of.kept, past, of.width]))
        outputs.append((f"present.{name}", kind, ["batch_size", of.kept, total, of.width]))
    infos = [[helper.make_tensor_value_info(*i) for i in side] for side in (inputs, outputs)]
    graph = helper.make_graph(w.nodes, "main_graph", *infos, w.constants)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def prompt(of: Decoder, batch: int, length: int, seed: int = 2) -> dict[str, Array]:
    """What the first run is fed; all but the first sample of a batch are padded on the right."""
    ids = np.random.default_rng(seed).integers(0, of.vocab, (batch, length))
    mask = np.ones((batch, length), np.int64)
    for sample in range(1, batch):
        mask[sample, length - sample :] = 0
    empty = np.zeros((batch, of.kept, 0, of.width), np.float16 if of.half else np.float32)
    feeds = {"input_ids": ids.astype(np.int64), "attention_mask": mask}
    if not of.rotary_inside:
        feeds["position_ids"] = np.broadcast_to(np.arange(length), (batch, length)).copy()
    for layer in range(of.layers):
        feeds |= {f"past_key_values.{layer}.{side}": empty for side in ("key", "value")}
    return feeds


def following(feeds: dict[str, Array], outputs: dict[str, Array]) -> dict[str, Array]:
    """What the next run is fed: the likeliest token of each sample, and the caches.

    A sample that was padded goes on behind its last token, as GroupQueryAttention does it.
    """
    mask = feeds["attention_mask"]
    first = feeds["input_ids"].shape[1] == mask.shape[1]
    last = mask.sum(1) - 1 if first else np.zeros(len(mask), np.int64)
    rows = np.asarray(outputs["logits"])[np.arange(len(mask)), last]
    grown = np.concatenate([mask, np.ones((len(mask), 1), np.int64)], 1)
    made = {"input_ids": rows.argmax(-1)[:, None].astype(np.int64), "attention_mask": grown}
    if "position_ids" in feeds:
        made["position_ids"] = mask.sum(1, keepdims=True)
    for name, array in outputs.items():
        if name.startswith("present."):
            made[name.replace("present", "past_key_values")] = array
    return made
