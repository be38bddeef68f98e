"""One backend case an operator, all the way: packed, loaded, run in WGSL and in wasm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from adapters import opened
from onnx_cases import Case, all_cases, assert_close

import webrt
from webrt.frontend.onnx import from_proto
from webrt.runtime.device import Device
from webrt.runtime.session import Session
from webrt.runtime.source import FolderSource
from webrt.runtime.sync import run_sync


def _one_an_operator() -> dict[str, Case]:
    """The last single-node case of each operator: the later ones are the richer ones."""
    found: dict[str, Case] = {}
    for case in all_cases():
        if case.is_ours and case.reason is None and len(case.model.graph.node) == 1:
            found[case.model.graph.node[0].op_type] = case
    return found


CASES = _one_an_operator()


@pytest.fixture(scope="module", params=["llvmpipe", "wasm-2", "wasm-plain-1"])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    with opened(request.param) as found:
        yield found


@pytest.mark.parametrize("op", sorted(CASES))
def test_an_operator_on_a_device(op: str, device: Device, tmp_path: Path) -> None:
    case = CASES[op]
    model = case.runnable()
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    webrt.pack(tmp_path / "model.onnx", tmp_path / "pack")
    graph = from_proto(model, case.name)
    session = run_sync(Session.open(FolderSource(tmp_path / "pack"), device))
    outputs = session.run(case.feeds(graph))
    for name, wanted in zip(graph.output_names, case.outputs, strict=False):
        assert_close(outputs[name], wanted)
