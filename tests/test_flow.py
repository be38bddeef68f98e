"""Models that decide something while they run, on every device: the answers of ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from adapters import opened
from flow_models import FLOW_MODELS, FlowModel

import webrt
from webrt.frontend.onnx import from_proto
from webrt.graph.evaluate import evaluate
from webrt.graph.text import parse_graph, print_graph
from webrt.graph.verify import verify
from webrt.ops.registry import compute
from webrt.pack.read import read_pack
from webrt.plan.flow import host_steps
from webrt.runtime.session import Session
from webrt.runtime.source import FolderSource
from webrt.runtime.sync import run_sync


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flows")
    for model in FLOW_MODELS:
        (folder / f"{model.name}.onnx").write_bytes(model.proto.SerializeToString())
        webrt.pack(folder / f"{model.name}.onnx", folder / model.name)
    return folder


def expected(model: FlowModel) -> list[dict[str, np.ndarray]]:
    session = onnxruntime.InferenceSession(model.proto.SerializeToString())
    names = [o.name for o in session.get_outputs()]
    return [dict(zip(names, session.run(None, f), strict=True)) for f in model.feeds]


@pytest.mark.parametrize("model", FLOW_MODELS, ids=lambda m: m.name)
def test_the_reference_of_a_graph(model: FlowModel) -> None:
    graph = from_proto(model.proto, model.name)
    verify(graph)
    for feeds, wanted in zip(model.feeds, expected(model), strict=True):
        values = evaluate(graph, feeds, compute)
        for value, name in zip(graph.outputs, graph.output_names, strict=True):
            np.testing.assert_allclose(values[value], wanted[name], 1e-4, 1e-5)


@pytest.mark.parametrize("model", FLOW_MODELS, ids=lambda m: m.name)
def test_the_text_of_a_graph_with_graphs_inside(model: FlowModel) -> None:
    text, data = print_graph(from_proto(model.proto, model.name))
    again = parse_graph(text, data)
    assert print_graph(again)[0] == text


@pytest.mark.parametrize("device", ["llvmpipe", "wasm-1", "wasm-2"])
@pytest.mark.parametrize("model", FLOW_MODELS, ids=lambda m: m.name)
def test_a_run(model: FlowModel, device: str, packs: Path) -> None:
    with opened(device) as found:
        session = run_sync(Session.open(FolderSource(packs / model.name), found))
        for feeds, wanted in zip(model.feeds, expected(model), strict=True):
            outputs = session.run(feeds)
            assert outputs.keys() == wanted.keys()
            for name, array in wanted.items():
                assert outputs[name].shape == array.shape
                np.testing.assert_allclose(outputs[name], array, 1e-4, 1e-5)


@pytest.mark.parametrize("model", FLOW_MODELS, ids=lambda m: m.name)
def test_how_often_the_host_decides(model: FlowModel, packs: Path) -> None:
    assert len(host_steps(read_pack(packs / model.name).plan)) == model.stops
