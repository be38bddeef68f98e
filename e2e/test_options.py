"""The options of `InferenceSession.create`: what a page is told, which device it gets, queues."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from browsers import Chromium, Performer
from test_player import SHARD


@pytest.fixture
def visitor(chromium: Chromium) -> Iterator[Chromium]:
    """A visitor with a storage of their own."""
    context = chromium.browser.new_context()  # type: ignore[union-attr]
    yield Chromium(chromium.site, context)
    context.close()


TOLD = """async ({InferenceSession, Tensor}, {url, options}) => {
  const told = [];
  const session = await InferenceSession.create(url, {
    ...options, onProgress: (info) => told.push(info)});
  const count = told.length;
  await session.run({
    ids: new Tensor("int64", [1, 2], [1, 2]), scale: new Tensor("float32", [1, 2, 3, 4])});
  await session.release();
  return {told, late: told.length - count};
}"""


@pytest.mark.parametrize("device", ["webgpu", "wasm"])
def test_a_page_is_told_of_every_file(visitor: Chromium, sample: str, device: str) -> None:
    files = ["manifest.json", SHARD] + (["kernels-relaxed.wasm"] if device == "wasm" else [])
    for cached in (False, True):
        found = visitor.run(TOLD, {"url": sample, "options": {"device": device}})
        told: list[dict[str, Any]] = found["told"]
        assert {info["name"] for info in told} == {sample}
        assert told[-1] == {"status": "ready", "name": sample}
        assert found["late"] == 0
        assert {info["file"] for info in told if "file" in info} == set(files)
        for file in files:
            mine = [info for info in told if info.get("file") == file]
            kept = cached and file != "manifest.json"
            states = ["initiate", "done"] if kept else ["initiate", "download", "progress", "done"]
            assert [info["status"] for info in mine] == states
            last = mine[-1]
            assert (last["progress"], last["cached"]) == (100, kept)
            assert last["loaded"] == last["total"] > 0
        compiled = [info for info in told if info["status"] == "compile"]
        assert compiled[-1]["loaded"] == compiled[-1]["total"] >= 4


def test_a_handler_that_throws_doesn_t_stop_loading(browser: Performer, sample: str) -> None:
    script = """async ({InferenceSession}, {url}) => {
      const reported = [];
      addEventListener("error", (event) => {
        reported.push(event.message);
        event.preventDefault();
      });
      const session = await InferenceSession.create(url, {
        device: "wasm", threads: 1, onProgress: () => { throw new Error("mine"); }});
      await session.release();
      return [...new Set(reported)];
    }"""
    assert [m.split(": ")[-1] for m in browser.run(script, {"url": sample})] == ["mine"]
