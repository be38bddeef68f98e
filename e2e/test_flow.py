"""Models that decide something while they run, in a page: the answers of ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from browsers import Chromium
from flow_models import FLOW_MODELS, FlowModel
from test_models import PYODIDE, RUN, from_json, to_json
from test_pyodide import python

import webrt


@pytest.fixture(scope="module")
def flow_packs(packs: Path) -> Path:
    for model in FLOW_MODELS:
        file = packs / f"{model.name}.onnx"
        file.write_bytes(model.proto.SerializeToString())
        webrt.pack(file, packs / f"flow-{model.name}")
    return packs


def args_of(model: FlowModel, device: str) -> dict[str, Any]:
    feeds = [{name: to_json(array) for name, array in feed.items()} for feed in model.feeds]
    options = {"device": device}
    return {"url": f"/packs/flow-{model.name}", "feeds": feeds, "options": options, **options}


def check(model: FlowModel, results: list[dict[str, Any]]) -> None:
    session = onnxruntime.InferenceSession(model.proto.SerializeToString())
    names = [o.name for o in session.get_outputs()]
    for feeds, found in zip(model.feeds, results, strict=True):
        for name, wanted in zip(names, session.run(None, feeds), strict=True):
            array = from_json(found[name])
            assert array.shape == wanted.shape
            np.testing.assert_allclose(array, wanted, 1e-4, 1e-5)


@pytest.mark.parametrize("device", ["webgpu", "wasm"])
@pytest.mark.parametrize("model", FLOW_MODELS, ids=lambda m: m.name)
def test_the_player(model: FlowModel, device: str, chromium: Chromium, flow_packs: Path) -> None:
    found = chromium.run(RUN, args_of(model, device))
    check(model, found["results"])
    assert found["compiled"] == 0, "kernels were compiled after loading"


@pytest.mark.parametrize("name", ["picked", "halved"])
def test_the_python_session_in_a_page(
    name: str, chromium: Chromium, wheel: str, flow_packs: Path
) -> None:
    model = next(m for m in FLOW_MODELS if m.name == name)
    report = python(chromium, wheel, PYODIDE, args_of(model, "webgpu"))
    check(model, report["found"]["results"])
