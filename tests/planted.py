"""Packs that something is wrong with: a kernel that writes too much, a weight of the wrong sign."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from webrt.pack.format import MANIFEST
from webrt.pack.read import read_pack
from webrt.pack.write import seal


def chain() -> onnx.ModelProto:
    """Three matmuls in a row with something between them that can't be fused away."""
    random = np.random.default_rng(5)
    weights = [random.standard_normal((24, 24)).astype(np.float32) / 5 for _ in range(3)]
    nodes = []
    name = "x"
    for j in range(3):
        nodes += [
            helper.make_node("MatMul", [name, f"w{j}"], [f"m{j}"], name=f"/layer{j}/MatMul"),
            helper.make_node("Softmax", [f"m{j}"], [f"s{j}"], name=f"/layer{j}/Softmax", axis=-1),
            helper.make_node("Sub", [f"m{j}", f"s{j}"], [f"h{j}"], name=f"/layer{j}/Sub"),
        ]
        name = f"h{j}"
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "length", 24])],
        [helper.make_tensor_value_info("h2", TensorProto.FLOAT, ["batch", "length", 24])],
        [numpy_helper.from_array(w, f"w{j}") for j, w in enumerate(weights)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def altered(folder: Path, target: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy whose manifest is changed and sealed anew; hashes are those of the files there."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target)
    body = json.loads((target / MANIFEST).read_text())
    del body["sha256"]
    change(body)
    for entry in (*body["shards"], *body["wasm"]["modules"]):
        data = (target / entry["file"]).read_bytes()
        entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (target / MANIFEST).write_bytes(seal(body))
    return target


def wrong_kernel(folder: Path, target: Path, problem: int) -> Path:
    """The WGSL of a problem adds a quarter to what it stores last."""

    def change(body: dict[str, Any]) -> None:
        kernel = body["kernels"][problem]
        kernel["wgsl"] = off_by(kernel["wgsl"])

    return altered(folder, target, change)


def off_by(wgsl: str, text: str = " + 0.25") -> str:
    """The last store of a kernel, changed."""
    head, last, tail = wgsl.rpartition("] = ")
    value, end, rest = tail.partition(";")
    return f"{head}{last}({value}){text}{end}{rest}"


def wrong_weight(folder: Path, target: Path, node: str) -> tuple[Path, str]:
    """One weight of the step of a node has the other sign; gives the step's nodes too."""
    pack = read_pack(folder)
    step = next(s for s in pack.plan.steps if node in s.node)
    (weight,) = [t for t in step.inputs if t in pack.placements]
    place = pack.placements[weight]

    def change(body: dict[str, Any]) -> None:
        path = target / pack.shards[place.shard].file
        data = bytearray(path.read_bytes())
        data[place.offset + place.bytes // 2 + 3] ^= 0x80
        path.write_bytes(data)

    return altered(folder, target, change), step.node
