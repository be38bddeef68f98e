"""Tuning in a page: answers stay while kernels are swapped, bad ones are never served, records stay."""

from __future__ import annotations

from typing import Any

import pytest
from browsers import Chromium
from site_server import Site
from test_player import expected, rows

TUNE = """async ({InferenceSession, Tensor}, {url, options, ids, wheel}) => {
  const events = [];
  const session = await InferenceSession.create(url, {
    tune: "background", budget: 4, pyodide: "/pyodide/", wheel, ...options,
    onProgress: (p) => p.stage === "tune" && events.push(p),
  });
  const feeds = {
    ids: new Tensor("int64", ids.flat(), [ids.length, ids[0].length]),
    scale: new Tensor("float32", [1, 2, 3, 4], [4]),
  };
  const results = [];
  const run = async () => {
    const outputs = await session.run(feeds);
    results.push(Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => (
      [name, {type: tensor.type, dims: tensor.dims, data: Array.from(tensor.data, Number)}]))));
  };
  await run();
  const early = events.length;
  let over = false;
  session.tuned.then(() => { over = true; });
  while (!over) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    await run();
  }
  await run();
  const {kind} = session.deviceInfo;
  const outcome = await session.tuned;
  await session.release();
  return {results, early, events, kind, outcome, compiled: session.compiledKernels};
}"""


def tune(
    chromium: Chromium, url: str, wheel: str, ids: list[list[int]], **options: object
) -> dict[str, Any]:
    args = {"url": url, "wheel": wheel, "ids": ids, "options": {"_trials": {"pause": 1}} | options}
    found: dict[str, Any] = chromium.run(TUNE, args)
    return found


@pytest.mark.parametrize("kind", ["webgpu", "wasm"])
def test_tuned_while_it_serves(
    chromium: Chromium, site: Site, sample: str, wheel: str, kind: str
) -> None:
    ids = rows(2, 33)
    found = tune(chromium, sample, wheel, ids, device=kind)
    for event in found["events"]:
        print(event)
    print(found["outcome"], found["compiled"], len(found["results"]))
    assert all(r == expected(ids) for r in found["results"])
    assert found["early"] == 0
    assert found["events"][-1]["state"] == "done"
    assert found["outcome"]["trials"] > 4
