"""How the player loads a pack: resumed, kept in the browser's storage, offline, cancelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browsers import Chromium, Performer
from site_server import Fault, Site
from test_player import SHARD, altered

from webrt.pack.digest import BLOCK_BYTES, file_hash

LOAD = """async ({InferenceSession, Tensor, clearCache, rejection}, args) => {
  const {url, options, clear, times} = args;
  if (clear) await clearCache();
  const found = [];
  for (let j = 0; j < (times ?? 1); j++) {
    const progress = [];
    const created = InferenceSession.create(url, {device: "wasm", threads: 1, ...options,
      onProgress: (p) => p.file === args.shard && progress.push(p)});
    const error = await rejection(created);
    if (error.name !== "nothing") { found.push(error); continue; }
    const session = await created;
    const {pooled} = await session.run({
      ids: new Tensor("int64", [1, 2], [1, 2]), scale: new Tensor("float32", [1, 2, 3, 4])});
    await session.release();
    found.push({pooled: [...pooled.data], progress});
  }
  return found;
}"""


@pytest.fixture
def browser(returning: Performer) -> Performer:
    return returning


def files_of(site: Site, url: str) -> list[str]:
    return [r.removeprefix(f"{url}/") for r in site.requests if r.startswith(url)]


@pytest.fixture
def pack(packs: Path, sample: str, request: pytest.FixtureRequest) -> str:
    """A pack of the test's own."""
    return altered(packs, f"own-{abs(hash(request.node.name))}", SHARD, lambda data: data)


def load(browser: Performer, url: str, **more: Any) -> Any:
    arguments = {"url": url, "options": {}, "clear": True, "shard": SHARD}
    return browser.run(LOAD, arguments | more)


def site_of(browser: Performer) -> Site:
    return browser.site  # type: ignore[attr-defined, no-any-return]


def test_a_second_visit_downloads_the_manifest_only(browser: Performer, pack: str) -> None:
    (first,) = load(browser, pack)
    site = site_of(browser)
    site.requests.clear()
    (second,) = load(browser, pack, clear=False)
    assert second["pooled"] == first["pooled"]
    assert files_of(site, pack) == ["manifest.json"]
    (announced, done) = second["progress"]
    assert announced["status"] == "initiate"
    assert (done["status"], done["cached"], done["loaded"]) == ("done", True, 300)


def test_without_a_network_what_was_kept_runs(browser: Performer, packs: Path, pack: str) -> None:
    (first,) = load(browser, pack)
    offline = """
      const real = fetch;
      globalThis.fetch = async () => { throw new TypeError("no network"); };
      const found"""
    script = LOAD.replace("const found", offline)
    script = script.replace("return found", "globalThis.fetch = real; return found")
    arguments = {"url": pack, "options": {}, "clear": False}
    assert browser.run(script, arguments)[0]["pooled"] == first["pooled"]
    (error,) = browser.run(script, arguments | {"clear": True})
    assert (error["name"], error["code"]) == ("PackError", "ERR_WEBRT_PACK")
    assert error["message"].endswith("manifest.json: can't be fetched: no network")


def test_a_download_that_breaks_off_goes_on_where_it_stopped(browser: Performer, pack: str) -> None:
    site = site_of(browser)
    site.ranges.clear()
    site.faults[f"{pack}/{SHARD}"] = [Fault(cut=100), Fault(status=503), Fault(cut=50)]
    (found,) = load(browser, pack)
    states = [p["status"] for p in found["progress"]]
    assert states[:2] + states[-1:] == ["initiate", "download", "done"]
    assert set(states[2:-1]) == {"progress"}
    assert [p["loaded"] for p in found["progress"]][-2:] == [300, 300]
    ranges = [r.removeprefix(f"{pack}/{SHARD} ") for r in site.ranges]
    assert ranges == ["bytes=100-", "bytes=100-", "bytes=150-"]


def test_a_download_that_keeps_breaking_off_is_an_error(visitor: Chromium, pack: str) -> None:
    visitor.site.faults[f"{pack}/{SHARD}"] = [Fault(cut=10)] * 5
    (error,) = load(visitor, pack)
    assert error["name"] == "PackError"
    where = f"{visitor.site.url}{pack}/{SHARD}: the download broke off: "
    assert error["message"].startswith(where)


def test_an_answer_that_is_wrong_once_is_asked_for_again(visitor: Chromium, pack: str) -> None:
    script = LOAD.replace("const found", """
      const real = fetch;
      let wrong = 1;
      globalThis.fetch = async (where, options) => {
        const answer = await real(where, options);
        if (!String(where).endsWith("safetensors") || !wrong--) return answer;
        const data = new Uint8Array(await answer.arrayBuffer());
        data[200] ^= 1;
        return new Response(data);
      };
      const found""")  # fmt: skip
    arguments = {"url": pack, "options": {}, "clear": True, "shard": SHARD}
    (found,) = visitor.run(script, arguments)
    loaded = [p["loaded"] for p in found["progress"] if p["status"] == "progress"]
    assert loaded == [300, 0, 300]


def test_what_was_altered_in_storage_is_downloaded_again(visitor: Chromium, pack: str) -> None:
    (first,) = load(visitor, pack)
    script = """async () => {
      const cache = await caches.open("webrt-1");
      for (const {url} of await cache.keys()) {
        if (/[0-9a-f]{64}$/.test(url)) await cache.put(url, new Response(new Uint8Array(300)));
      }
    }"""
    visitor.run(script)
    visitor.site.requests.clear()
    (second,) = load(visitor, pack, clear=False)
    assert second["pooled"] == first["pooled"]
    assert SHARD in files_of(visitor.site, pack)


HASHED = """async (_, {size, steps}) => {
  const {FileHash} = await import("/web/sha256.js");
  const data = Uint8Array.from({length: size}, (_, j) => j % 251);
  const [early, whole] = [new FileHash(), new FileHash()];
  early.advance(data.slice().fill(7), size); // of an answer that is begun again
  early.restart();
  for (const step of steps) early.advance(data, step);
  return [await early.hex(data), await whole.hex(data)];
}"""


@pytest.mark.parametrize("blocks", [0.5, 1, 1.25, 12])
def test_a_file_is_hashed_in_blocks_as_it_arrives(visitor: Chromium, blocks: float) -> None:
    size = int(blocks * BLOCK_BYTES)
    expected = file_hash(bytes(j % 251 for j in range(size)))
    steps = [100, size // 3, size // 2 + 1, size]
    assert visitor.run(HASHED, {"size": size, "steps": steps}) == [expected, expected]


KEPT = """async ({InferenceSession, Tensor, clearCache}, {url}) => {
  await clearCache();
  const order = [], later = [], {put} = Cache.prototype, {setTimeout} = globalThis;
  Cache.prototype.put = function (...args) { order.push("stored"); return put.apply(this, args); };
  globalThis.setTimeout = (work, ms) => (ms === 1000 ? later.push(work) : setTimeout(work, ms));
  const answered = await InferenceSession.create(url, {device: "wasm"});
  await answered.run({
    ids: new Tensor("int64", [1, 2], [1, 2]), scale: new Tensor("float32", [1, 2, 3, 4])});
  order.push("answered");
  await answered.release();
  const first = [order[0], order.at(-1)];
  await clearCache();
  const idle = await InferenceSession.create(url, {device: "wasm"});
  order.length = 0;
  later.forEach((work) => work());
  while (!order.includes("stored")) await new Promise((resolve) => setTimeout(resolve, 10));
  await idle.release();
  return {first, stored: (await (await caches.open("webrt-1")).keys()).length};
}"""


def test_an_answer_does_not_wait_for_storage(visitor: Chromium, pack: str) -> None:
    """Nothing is written before the first answer; where none is asked for, it is after a while."""
    found = visitor.run(KEPT, {"url": pack})
    assert found["first"] == ["answered", "stored"]
    assert found["stored"] == 4  # the manifest, the module, the shard, the index


@pytest.mark.parametrize("refusal", ["caches", "put"])
def test_without_storage_everything_is_downloaded(
    visitor: Chromium, pack: str, refusal: str
) -> None:
    full = "Promise.reject(new DOMException('', 'QuotaExceededError'))"
    refuse = {
        "caches": 'Object.defineProperty(globalThis, "caches", {value: undefined});',
        "put": f"Cache.prototype.put = () => {full};",
    }[refusal]
    script = LOAD.replace("const found", f"{refuse} const found")
    visitor.site.requests.clear()
    arguments = {"url": pack, "options": {}, "clear": False, "times": 2}
    found = visitor.run(script, arguments)
    assert found[0]["pooled"] == found[1]["pooled"]
    assert files_of(visitor.site, pack).count(SHARD) == 2


def test_nothing_is_kept_where_the_page_says_so(visitor: Chromium, pack: str) -> None:
    visitor.site.requests.clear()
    load(visitor, pack, options={"cache": False})
    load(visitor, pack, clear=False)
    assert files_of(visitor.site, pack).count(SHARD) == 2


def test_a_visit_counts_as_use(visitor: Chromium, pack: str) -> None:
    used = """async () => {
      const cache = await caches.open("webrt-1");
      const index = await (await cache.match("https://webrt.invalid/index")).json();
      return Object.values(index).map((entry) => entry.used);
    }"""
    load(visitor, pack)
    first = visitor.run(used)
    load(visitor, pack, clear=False)
    again = visitor.run(used)
    assert len(first) == len(again) == 2  # the shard and the module
    assert min(again) > max(first)


def test_files_not_used_for_longest_make_room(visitor: Chromium, packs: Path, pack: str) -> None:
    other = altered(packs, "roomy", SHARD, lambda data: data)
    load(visitor, pack)
    script = """async () => {
      const cache = await caches.open("webrt-1");
      const old = await (await cache.match("https://webrt.invalid/index")).json();
      const data = new Uint8Array(1000);
      await cache.put("https://webrt.invalid/" + "a".repeat(64), new Response(data));
      const index = {...old, ["a".repeat(64)]: {bytes: 1000, used: 1}};
      await cache.put("https://webrt.invalid/index", new Response(JSON.stringify(index)));
    }"""
    visitor.run(script)
    load(visitor, other, clear=False, options={"cacheBytes": 100_000})
    held = """async () => {
      const cache = await caches.open("webrt-1");
      return (await cache.keys()).map(({url}) => url.slice(22)).filter((u) => u.length === 64);
    }"""
    assert "a" * 64 in visitor.run(held)
    visitor.run("async ({clearCache}) => clearCache()")
    visitor.run(script.replace("const old =", "const old = {}; //"))
    load(visitor, other, clear=False, options={"cacheBytes": 900})
    assert "a" * 64 not in visitor.run(held)


CANCEL = """async ({InferenceSession, clearCache, rejection}, {url, at}) => {
  await clearCache();
  const controller = new AbortController();
  const stop = () => controller.abort(new DOMException("enough", "AbortError"));
  if (at === "before") stop();
  const error = rejection(InferenceSession.create(url, {
    device: "wasm", threads: 1, signal: controller.signal,
    onProgress: ({status, file}) => {
      if ((at === "weights" ? file : status)?.startsWith(at)) stop();
    },
  }));
  if (at === "manifest") setTimeout(stop, 50);
  return error;
}"""


@pytest.mark.parametrize("at", ["before", "manifest", "weights", "compile"])
def test_loading_can_be_cancelled(visitor: Chromium, pack: str, at: str) -> None:
    visitor.site.faults[f"{pack}/manifest.json"] = [Fault(wait=0.5 if at == "manifest" else 0.0)]
    error = visitor.run(CANCEL, {"url": pack, "at": at})
    assert (error["name"], error["message"]) == ("AbortError", "enough")
