"""Weights of 8 and 4 bits on CPUs: webrt beside onnxruntime-web in one Chromium, taking turns.

`python bench/quantised.py [--model NAME] [--forms …] [--lengths 16 128] [--threads 1]` quantises a
model as users do: dynamically (`quantize_dynamic`: int8 weights; uint8 ones, a scale a column),
statically (QDQ), and in blocks of 32 (`MatMulNBits`, 4 and 8 bits). f32 is the model as it is; our
own run of it takes turns with every other form too.
Figures go to `bench/results/quantised.json`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import wasm
from browser import open_site
from browsers import open_chromium
from models import DEFAULT_DIR, build
from onnx import helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from results import save, table
from site_server import Site

import webrt

FORMS = ("f32", "int8", "uint8", "qdq", "nbits8", "nbits4")
F32 = "webrt f32"
"""The page that runs the model as it is beside each form: what quantising gains is a ratio too."""
BLOCK = 32
WITHIN = 0.1
"""Largest difference of the two's outputs: where a value lies on the edge of two steps of its
quantisation, rounding before it decides, and a layer norm's outputs reach 4."""


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Three batches of random tokens."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.names = [i.name for i in model.graph.input]
        self.left = 3

    def get_next(self) -> dict[str, Any] | None:
        self.left -= 1
        if self.left < 0:
            return None
        tokens = np.random.default_rng(self.left).integers(1000, 20000, (1, 64))
        plain = {"mask": np.ones_like(tokens), "type": np.zeros_like(tokens)}
        return {n: next((v for k, v in plain.items() if k in n), tokens) for n in self.names}


def _in_blocks(weight: np.ndarray[Any, Any], bits: int) -> tuple[Any, Any]:
    """(numbers as MatMulNBits wants them, scales), around the middle of the range."""
    k, n = weight.shape
    blocks = -(-k // BLOCK)
    padded = np.zeros((blocks * BLOCK, n), np.float32)
    padded[:k] = weight
    cut = padded.reshape(blocks, BLOCK, n)
    middle = 1 << bits - 1
    scales = np.maximum(np.abs(cut).max(axis=1) / (middle - 1), 1e-12)
    numbers = np.clip(np.rint(cut / scales[:, None]) + middle, 0, 2 * middle - 1)
    whole = numbers.astype(np.uint8).transpose(2, 0, 1)
    if bits == 4:
        whole = whole[..., 0::2] | whole[..., 1::2] << 4
    return np.ascontiguousarray(whole), np.ascontiguousarray(scales.T.astype(np.float32)).ravel()


def nbits(model: onnx.ModelProto, bits: int) -> onnx.ModelProto:
    """The model with MatMulNBits for every product with a constant matrix."""
    known = {i.name: i for i in model.graph.initializer}
    nodes, made = [], []
    for node in model.graph.node:
        weight = known.get(node.input[1]) if node.op_type == "MatMul" else None
        if weight is None or len(weight.dims) != 2:
            nodes.append(node)
            continue
        k, n = weight.dims
        names = f"{weight.name}.numbers", f"{weight.name}.scales"
        arrays = _in_blocks(numpy_helper.to_array(weight), bits)
        made += [numpy_helper.from_array(a, name) for a, name in zip(arrays, names, strict=True)]
        nodes.append(
            helper.make_node(
                "MatMulNBits", [node.input[0], *names], node.output, node.name,
                domain="com.microsoft", K=k, N=n, bits=bits, block_size=BLOCK,
            )
        )  # fmt: skip
    used = {name for node in nodes for name in node.input}
    kept = [i for i in known.values() if i.name in used] + made
    result = onnx.ModelProto()
    result.CopyFrom(model)
    for field, values in (("node", nodes), ("initializer", kept)):
        result.graph.ClearField(field)  # type: ignore[arg-type]
        getattr(result.graph, field).extend(values)
    result.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return result


def quantise(source: Path, target: Path, form: str) -> None:
    """Write the model in one of `FORMS`."""
    model = onnx.load(source)
    match form:
        case "f32":
            onnx.save(model, target)
        case "int8":
            quantize_dynamic(source, target, weight_type=QuantType.QInt8)
        case "uint8":
            quantize_dynamic(source, target, weight_type=QuantType.QUInt8, per_channel=True)
        case "qdq":
            quantize_static(
                source, target, _Reader(model), quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, per_channel=True,
            )  # fmt: skip
        case _:
            onnx.save(nbits(model, int(form.removeprefix("nbits"))), target)


def spread(path: Path) -> float:
    """Twice what ONNX Runtime's optimisations make of its own answers, natively.

    Where every value is rounded to 8 bits, layer after layer, a step more or less goes far.
    """
    answers = []
    for level in ("ORT_ENABLE_ALL", "ORT_DISABLE_ALL"):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        session = onnxruntime.InferenceSession(path, options)
        reader = _Reader(onnx.load(path))
        answers.append([session.run(None, feeds)[0] for feeds in iter(reader.get_next, None)])
    return 2 * max(float(np.abs(a - b).max()) for a, b in zip(*answers, strict=True))


def measure(site: Site, folder: Path, form: str, options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds of a run of one form, by contestant, threads and length."""
    webrt.pack(folder / f"{form}.onnx", folder / form)
    within = spread(folder / f"{form}.onnx") if form == "qdq" else WITHIN
    size = sum(f.stat().st_size for f in (folder / form).iterdir())
    found: dict[str, Any] = {"form": form, "bytes": size, "lengths": {}}
    with open_chromium() as browser:
        found["chromium"] = browser.version
        pages = {
            f"{who} {count}": wasm.open_page(browser, site, who, form, count)
            for count in options.threads
            for who in ("webrt", "ort")
        }
        if form != "f32":
            pages[F32] = wasm.open_page(browser, site, "webrt", "f32", options.threads[0])
        for length in options.lengths:
            found["lengths"][length] = wasm.take_turns(pages, length, options.rounds, within, F32)
    return found


def report(everything: list[dict[str, Any]]) -> None:
    """Least milliseconds of each: others load the machine too."""
    rows: list[list[object]] = []
    keys = list(next(iter(everything[-1]["lengths"].values())))
    for found in everything:
        for length, times in found["lengths"].items():
            least = {key: min(values) for key, values in times.items()}
            row: list[object] = [found["form"], f"{found['bytes'] / 1e6:.1f}", length]
            rows.append([*row, *(f"{least[key]:.1f}" if key in least else "" for key in keys)])
    print(table(["form", "MB", "length", *(f"{key} ms" for key in keys)], rows), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="minilm-l6")
    parser.add_argument("--models-dir", type=Path, default=DEFAULT_DIR)
    parser.add_argument("--forms", nargs="+", default=list(FORMS), choices=FORMS)
    parser.add_argument("--lengths", nargs="+", type=int, default=[16, 128])
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    source = build(options.model, options.models_dir)
    everything = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        site = open_site(folder, folder)
        for form in dict.fromkeys(["f32", *options.forms]):
            quantise(source, folder / f"{form}.onnx", form)
            everything.append(measure(site, folder, form, options))
            report(everything)
        site.close()
    print(f"written to {save('quantised', {'model': options.model, 'forms': everything})}")


if __name__ == "__main__":
    main()
