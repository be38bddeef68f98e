"""Public models in Chromium: small ones always, all of them with WEBRT_FULL=1 (`make e2e-full`)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from browsers import Performer
from check_models import compare
from models import build
from public import MODELS, Public
from site_server import CACHE
from test_models import from_json, to_json

import webrt

FULL = bool(os.environ.get("WEBRT_FULL"))
MODEL_DIR = Path(os.environ.get("WEBRT_MODELS", CACHE / "models"))
ON_CPU = [m for m in MODELS if FULL or not m.large]
ON_GPU = [m for m in MODELS if FULL or m.name == "silero-vad-16k-op15"]
"""SwiftShader takes tens of seconds to compile and run others."""
RUN = """async ({InferenceSession, decodeAll, encodeAll}, {url, feeds, options}) => {
  const session = await InferenceSession.create(url, options);
  const results = [];
  for (const feed of feeds) results.push(encodeAll(await session.run(decodeAll(feed))));
  await session.release();
  return results;
}"""


def check(model: Public, packs: Path, browser: Performer, options: dict[str, Any]) -> None:
    """Every output of every setting is ONNX Runtime's."""
    path = build(model.name, MODEL_DIR)
    webrt.pack(path, packs / model.name)
    silent = onnxruntime.SessionOptions()
    silent.log_severity_level = 4
    oracle = onnxruntime.InferenceSession(str(path), silent, providers=["CPUExecutionProvider"])
    names = [o.name for o in oracle.get_outputs()]
    feeds = model.feeds()
    given = [{name: to_json(array) for name, array in feed.items()} for feed in feeds]
    args = {"url": f"/packs/{model.name}", "feeds": given, "options": options}
    results = browser.run(RUN, args, timeout=600)
    assert len(results) == len(feeds)
    for feed, result in zip(feeds, results, strict=True):
        found = {name: from_json(tensor) for name, tensor in result.items()}
        answer = compare(found, oracle.run(None, feed), names)
        assert answer["ok"], answer


@pytest.mark.parametrize("model", ON_CPU, ids=lambda m: m.name)
def test_on_the_cpu(model: Public, packs: Path, isolated: Performer) -> None:
    check(model, packs, isolated, {"device": "wasm", "threads": 2})


@pytest.mark.parametrize("model", ON_GPU, ids=lambda m: m.name)
def test_on_webgpu(model: Public, packs: Path, chromium: Performer) -> None:
    check(model, packs, chromium, {"device": "webgpu"})
