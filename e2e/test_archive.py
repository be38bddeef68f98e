"""A pack in one file in the page: from a URL as it arrives, from bytes; kept, resumed, refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browsers import Chromium, Performer
from sample_pack import write_sample
from site_server import Fault, Site
from test_player import SHARD, expected, rows

from webrt.pack.archive import entries, write_archive

LOAD = """async ({InferenceSession, Tensor, clearCache, rejection}, args) => {
  const {url, options, clear, ids, as, file} = args;
  if (clear) await clearCache();
  let source = url;
  if (as) {
    const data = await (await fetch(url)).arrayBuffer();
    source = as === "File" ? new File([data], "mine.webrt") : as === "blob:"
      ? URL.createObjectURL(new Blob([data])) : as === "view"
      ? new Uint8Array([1, 2, 3, ...new Uint8Array(data)]).subarray(3) : data;
    if (as === "shared" || as === "part") {
      const {buffer} = new WebAssembly.Memory({initial: 1, maximum: 1, shared: as === "shared"});
      const start = as === "part" ? 8 : 0;
      source = new buffer.constructor(data.byteLength + 2 * start);
      new Uint8Array(source).set(new Uint8Array(data), start);
    }
  }
  const told = [];
  const all = {device: "wasm", threads: 1, ...options, onProgress: (info) => told.push(info)};
  const creating = as === "part" ? InferenceSession.create(source, 8, source.byteLength - 16, all)
    : InferenceSession.create(source, all);
  const error = await rejection(creating);
  if (error.name !== "nothing") return error;
  const session = await creating;
  const outputs = await session.run({
    ids: new Tensor("int64", ids.flat(), [ids.length, ids[0].length]),
    scale: new Tensor("float32", [1, 2, 3, 4])});
  await session.release();
  return {told, size: source.byteLength ?? null,
    outputs: Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => (
      [name, {type: tensor.type, dims: tensor.dims, data: Array.from(tensor.data, Number)}])))};
}"""

IDS = rows(2, 3)


@pytest.fixture
def browser(returning: Performer) -> Performer:
    return returning


@pytest.fixture
def archive(packs: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The sample pack as a file of the test's own."""
    write_sample(tmp_path / "sample")
    path = packs / f"one-{abs(hash(request.node.name))}.webrt"
    write_archive(tmp_path / "sample", path)
    return path


def load(browser: Performer, path: Path, **more: Any) -> Any:
    arguments = {"url": f"/packs/{path.name}", "options": {}, "clear": True, "ids": IDS}
    return browser.run(LOAD, arguments | more)


def site_of(browser: Performer) -> Site:
    return browser.site  # type: ignore[attr-defined, no-any-return]


def test_from_a_url_and_from_storage(browser: Performer, archive: Path) -> None:
    site, url = site_of(browser), f"/packs/{archive.name}"
    for visit in range(2):
        site.requests.clear()
        found = load(browser, archive, clear=not visit)
        assert found["outputs"] == expected(IDS)
        assert [r for r in site.requests if "/packs/" in r] == [url]
        done = {i["file"]: i["cached"] for i in found["told"] if i["status"] == "done"}
        kept = bool(visit)
        assert done == {"manifest.json": False, "kernels-relaxed.wasm": kept, SHARD: kept}
        assert found["told"][-1] == {"status": "ready", "name": url}


@pytest.mark.parametrize("source", ["ArrayBuffer", "part", "shared", "view", "File", "blob:"])
@pytest.mark.parametrize("worker", [False, True])
def test_from_bytes(visitor: Chromium, archive: Path, source: str, worker: bool) -> None:
    found = load(visitor, archive, **{"as": source, "options": {"worker": worker}})
    assert found["outputs"] == expected(IDS)
    if source in ("ArrayBuffer", "part", "shared", "view"):
        around = 16 if source == "part" else 0
        size = archive.stat().st_size + around
        assert found["size"] == size  # the caller's bytes are still there


def test_without_storage_and_without_a_network(visitor: Chromium, archive: Path) -> None:
    found = load(visitor, archive, options={"cache": False})
    assert found["outputs"] == expected(IDS)
    load(visitor, archive)
    offline = """
      const real = fetch;
      globalThis.fetch = async () => { throw new TypeError("no network"); };
      if (clear)"""
    arguments = {"url": f"/packs/{archive.name}", "options": {}, "clear": False, "ids": IDS}
    script = LOAD.replace("if (clear)", offline, 1)
    script = script.replace("return {told", "globalThis.fetch = real; return {told")
    assert visitor.run(script, arguments)["outputs"] == expected(IDS)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_breaks_off_goes_on(
    browser: Performer, archive: Path, ranges: bool
) -> None:
    site, url = site_of(browser), f"/packs/{archive.name}"
    shard = next(e for e in entries(memoryview(archive.read_bytes()), "") if e.name == SHARD)
    site.ranges.clear()
    site.faults[url] = [Fault(cut=1000), Fault(status=503), Fault(cut=shard.start - 900)]
    script = LOAD
    if not ranges:  # a server that knows no ranges sends everything again
        ignoring = """const real = fetch;
          const options_ = (init) => ({...init, headers: undefined});
          globalThis.fetch = (where, init) => (
            String(where).endsWith(".webrt") ? real(where, options_(init)) : real(where, init));
          if (clear)"""
        script = LOAD.replace("if (clear)", ignoring, 1)
        script = script.replace("return {told", "globalThis.fetch = real; return {told")
        site.faults[url] = [Fault(cut=1000), Fault(cut=shard.start + 50)]
    arguments = {"url": url, "options": {}, "clear": True, "ids": IDS}
    assert browser.run(script, arguments)["outputs"] == expected(IDS)
    if ranges:
        assert [r.removeprefix(f"{url} ") for r in site.ranges] == [
            "bytes=1000-", "bytes=1000-", f"bytes={shard.start + 100}-",
        ]  # fmt: skip


REFUSED = """async ({InferenceSession, rejection}, {urls}) => {
  const found = [await rejection(InferenceSession.create(7)),
    await rejection(InferenceSession.create(new Uint8Array(8), 4))];
  for (const url of urls) {
    found.push(await rejection(InferenceSession.create(url, {device: "wasm", threads: 1})));
    const answer = await fetch(url);
    if (answer.status !== 200) continue;
    const file = new File([await answer.arrayBuffer()], "mine.webrt");
    found.push(await rejection(InferenceSession.create(file, {device: "wasm", threads: 1})));
  }
  return found;
}"""


def test_what_is_no_pack_is_said(visitor: Chromium, packs: Path, archive: Path) -> None:
    data = archive.read_bytes()
    stored = {e.name: e for e in entries(memoryview(data), "")}
    altered, named = bytearray(data), bytearray(data)
    altered[stored[SHARD].start + 200] ^= 1
    for at in (stored["kernels.wasm"].offset + 30, named.rindex(b"kernels.wasm")):
        named[at : at + 7] = b"Kernels"
    wrong = {
        bytes(altered): f"/{SHARD}: was altered: sha256 ",
        bytes(named): ": Kernels.wasm is no file of this pack; pack the model again",
        data[: stored[SHARD].start + 9]: ": is cut short or altered; copy the pack again",
        b"\x08\x0a\x12\x07pytorch": ": is an ONNX model: pack it first: webrt pack",
        b"<!doctype html>": ": is no pack: make one with `webrt pack",
    }
    urls, said = [], ["InferenceSession.create takes the URL of a pack", ""]
    for number, (content, message) in enumerate(wrong.items()):
        (packs / f"wrong-{number}.webrt").write_bytes(content)
        urls.append(f"/packs/wrong-{number}.webrt")
        said += [f"{visitor.site.url}{urls[-1]}{message}", f"mine.webrt{message}"]
    urls += ["/packs/model.onnx", "/packs/none.webrt"]
    said.append(f"{visitor.site.url}/packs/model.onnx: is an ONNX model: pack it first: ")
    said.append(f"{visitor.site.url}/packs/none.webrt: HTTP status 404; ")
    found = visitor.run(REFUSED, {"urls": urls})
    kinds = ["UsageError", "TypeError"]  # a view has an offset of its own
    assert [e["name"] for e in found] == kinds + ["PackError"] * (len(said) - 2)
    for error, start in zip(found, said, strict=True):
        assert error["message"].startswith(start)
