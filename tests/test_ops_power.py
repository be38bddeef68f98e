"""Pow of integers: exact as far as 32 bits go, and beyond as they wrap around."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from adapters import opened
from onnx import helper

import webrt
from webrt.runtime.device import Device
from webrt.runtime.session import Session
from webrt.runtime.source import FolderSource
from webrt.runtime.sync import run_sync

PAIRS = [
    (3, 19), (-3, 19), (2, 30), (-2, 31), (46341, 1), (46340, 2), (-46340, 2), (1290, 3), (215, 4),
    (7, 11), (5, 13), (0, 0), (0, 5), (0, 64), (1, 1000), (-1, 1001), (-1, 1000), (9, 0),
    (16777217, 1), (3, 20), (12345, 7), (2, -1), (-1, -3), (-1, -2), (1, -5), (-7, -1),
]  # fmt: skip


@pytest.fixture(params=["llvmpipe", "wasm-1"], scope="module")
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    with opened(request.param) as found:
        yield found


@pytest.mark.parametrize("exponent", [np.int32, np.int64])
def test_whole_powers(exponent: type, device: Device, tmp_path: Path) -> None:
    x = np.array([x for x, _ in PAIRS], np.int32)
    y = np.array([y for _, y in PAIRS], exponent)
    kinds = [helper.np_dtype_to_tensor_dtype(np.dtype(t)) for t in (np.int32, exponent, np.int32)]
    infos = [
        helper.make_tensor_value_info(name, kind, ["n"])
        for name, kind in zip("xyz", kinds, strict=True)
    ]
    graph = helper.make_graph(
        [helper.make_node("Pow", ["x", "y"], ["z"])], "g", infos[:2], infos[2:]
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]),
        tmp_path / "model.onnx",
    )
    webrt.pack(tmp_path / "model.onnx", tmp_path / "pack")
    session = run_sync(Session.open(FolderSource(tmp_path / "pack"), device))
    (found,) = session.run({"x": x, "y": y}).values()
    exact = [a**b if b >= 0 else {1: 1, -1: (-1) ** -b}.get(a, 0) for a, b in PAIRS]
    wanted = np.array([e % (1 << 32) for e in exact], np.uint32).view(np.int32)
    np.testing.assert_array_equal(found, wanted)
