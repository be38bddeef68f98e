"""A session in a worker: the same answers, errors, events; cancelled, released, lost."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from browsers import Chromium, Performer
from site_server import ROOT, Fault, Site
from test_player import altered, expected, flip, rows

WORKER_CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self';"
    " connect-src 'self'"
)
RUN = """async ({InferenceSession, Tensor, counts}, {url, options, batches}) => {
  const told = [];
  const session = await InferenceSession.create(url, {
    worker: true, ...options, onProgress: (info) => told.push(info)});
  const feeds = batches.map((ids) => ({
    ids: new Tensor("int64", ids.flat(), [ids.length, ids[0].length]),
    scale: new Tensor("float32", new Float32Array([9, 1, 2, 3, 4]).subarray(1), [4]),
  }));
  const results = (await Promise.all(feeds.map((f) => session.run(f)))).map((outputs) => (
    Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name,
      {type: tensor.type, dims: tensor.dims, data: Array.from(tensor.data, Number)}]))));
  const {inputNames, outputNames, inputMetadata, outputMetadata, compiledKernels} = session;
  const {kind, threads} = session.deviceInfo;
  const still = feeds.map((f) => [f.ids.data.length, [...f.scale.data]]);
  const only = Object.keys(await session.run(feeds[0], ["pooled"]));
  const same = session instanceof InferenceSession;
  await session.release();
  return {results, told, inputNames, outputNames, inputMetadata, compiledKernels, kind, threads,
    pipelines: counts.pipelines, only, same, still, outputs: outputMetadata.length,
    tuned: await session.tuned};
}"""

BATCHES = [rows(2, 3), rows(1, 1), rows(1, 40), rows(2, 3)]


def check(found: dict[str, Any], url: str) -> None:
    assert found["results"] == [expected(ids) for ids in BATCHES]
    assert found["still"] == [[len(ids) * len(ids[0]), [1, 2, 3, 4]] for ids in BATCHES]
    assert found["inputNames"] == ["ids", "scale"]
    assert found["outputNames"] == ["hidden", "pooled", "mask", "echo", "release"]
    assert found["inputMetadata"][0]["shape"] == ["batch", "length"]
    assert (found["outputs"], found["only"], found["same"]) == (5, ["pooled"], True)
    assert found["compiledKernels"] >= 4
    assert found["pipelines"] == 0  # none of the page's own
    assert found["told"][-1] == {"status": "ready", "name": url}
    assert {info["name"] for info in found["told"]} == {url}
    assert found["tuned"] is None


@pytest.mark.parametrize("device", ["webgpu", "wasm"])
def test_everything_off_the_page_s_thread(browser: Performer, sample: str, device: str) -> None:
    arguments = {"url": sample, "options": {"device": device}, "batches": BATCHES}
    found = browser.run(RUN, arguments, csp=WORKER_CSP)
    check(found, sample)
    assert found["kind"] == device


def test_threads_of_an_isolated_page(isolated: Chromium, sample: str) -> None:
    options = {"device": "wasm", "threads": 2}
    found = isolated.run(RUN, {"url": sample, "options": options, "batches": BATCHES})
    check(found, sample)
    assert (found["kind"], found["threads"]) == ("wasm", 2)


ERRORS = """async (tools, {url, altered, worker}) => {
  const {InferenceSession, Tensor, rejection, WebrtError, ShapeError, PackError} = tools;
  const told = async (promise) => {
    const error = await promise.then(() => null, (e) => e);
    const {name, code, message} = error;
    const kind = [WebrtError, ShapeError, PackError].map((Kind) => error instanceof Kind);
    return {name, code, message, kind};
  };
  const create = (where, options) => (
    InferenceSession.create(where, {device: "wasm", threads: 1, worker, ...options}));
  const found = [await told(create(altered)), await told(create(url, {device: "cuda"}))];
  const session = await create(url);
  const scale = new Tensor("float32", [1, 2, 3, 4]);
  const ids = new Tensor("int64", [1, 2], [1, 2]);
  const run = (change, fetches) => told(session.run({ids, scale, ...change}, fetches));
  found.push(await run({ids: new Tensor("int64", [1, 10], [1, 2])}), await run({ids: undefined}),
    await run({ids: [1, 2]}), await run({more: ids}), await run({}, ["nothing"]),
    await run({ids: {type: "int64", data: [1], dims: [2]}}));
  const {pooled} = await session.run({ids: {type: "int64", data: ids.data, dims: [1, 2]}, scale});
  let released = false;
  session.release().then(() => { released = true; });
  await session.release(); // which is over when the first one is
  return [...found, [...pooled.data], await run({}), released];
}"""


def test_errors_are_the_same_ones(chromium: Chromium, packs: Path, sample: str) -> None:
    wrong = altered(packs, "altered-worker", "manifest.json", flip)
    arguments = {"url": sample, "altered": wrong}
    with_worker, without = (
        chromium.run(ERRORS, arguments | {"worker": worker}) for worker in (True, False)
    )
    assert with_worker == without
    assert with_worker[-1] is True
    assert [e["kind"] for e in with_worker[:3]] == [
        [True, False, True], [True, False, False], [True, True, False],
    ]  # fmt: skip


STOPPED = """async ({InferenceSession, Tensor, rejection}, {url, at}) => {
  const workers = [];
  const Real = Worker;
  globalThis.Worker = class extends Real {
    constructor(...args) { super(...args); workers.push(this); }
  };
  const controller = new AbortController();
  const options = {worker: true, device: "wasm", threads: 1, signal: controller.signal,
    tune: "background", wheel: "/none.whl"};
  const creating = InferenceSession.create(url, options);
  if (at === "create") {
    setTimeout(() => controller.abort(new DOMException("enough", "AbortError")), 300);
    return rejection(creating);
  }
  const session = await creating;
  const feeds = {
    ids: new Tensor("int64", [1, 2], [1, 2]), scale: new Tensor("float32", [1, 2, 3, 4])};
  if (at === "run") {
    const mine = new AbortController();
    const runs = [session.run(feeds), session.run(feeds, ["pooled"], {signal: mine.signal}),
      session.run(feeds, ["pooled"])].map(rejection);
    mine.abort(new DOMException("enough", "AbortError"));
    const found = await Promise.all(runs);
    await session.release();
    return found;
  }
  const run = rejection(session.run(feeds));
  workers[0].terminate();
  return [await run, await rejection(session.run(feeds)), await rejection(session.release()),
    await Promise.all([session.tuned, session.compared])];
}"""


def test_loading_is_cancelled(chromium: Chromium, packs: Path, sample: str) -> None:
    url = altered(packs, "slow-worker", "manifest.json", lambda data: data)
    chromium.site.faults[f"{url}/manifest.json"] = [Fault(wait=1.5)]
    error = chromium.run(STOPPED, {"url": url, "at": "create"})
    assert (error["name"], error["message"]) == ("AbortError", "enough")


def test_one_run_is_cancelled(browser: Performer, sample: str) -> None:
    names = [e["name"] for e in browser.run(STOPPED, {"url": sample, "at": "run"})]
    assert names == ["nothing", "AbortError", "nothing"]


def test_a_worker_that_dies_is_told(browser: Performer, sample: str) -> None:
    *runs, released, ended = browser.run(STOPPED, {"url": sample, "at": "death"}, timeout=20)
    for error in runs:
        assert error == {
            "name": "DeviceLostError",
            "code": "ERR_WEBRT_DEVICE_LOST",
            "message": "the session's worker is lost: it ended; create the session again",
        }
    assert released["name"] == "nothing"
    assert ended == [None, None]


def test_a_player_from_another_origin(chromium: Chromium, isolated_site: Site, sample: str) -> None:
    script = """async (tools, {url, player, batches, options}) => {
      const elsewhere = await import(player);
      return (RUN)({...tools, ...elsewhere}, {url, batches, options});
    }""".replace("RUN", RUN)
    arguments = {"url": sample, "options": {"device": "wasm"}, "batches": BATCHES}
    found = chromium.run(script, arguments | {"player": f"{isolated_site.url}/web/webrt.js"})
    check(found, sample)


def test_no_worker_may_start(chromium: Chromium, sample: str) -> None:
    script = """async ({InferenceSession, rejection}, {url}) =>
      rejection(InferenceSession.create(url, {worker: true}))"""
    policy = WORKER_CSP.replace("worker-src 'self'", "worker-src 'none'")
    error = chromium.run(script, {"url": sample}, csp=policy)
    assert error["name"] == "DeviceError"
    assert error["message"].startswith("the session's worker can't start")
    assert "worker-src 'self'" in error["message"]


def imports_of(name: str, dynamic: bool) -> set[str]:
    text = (ROOT / "web" / name).read_text()
    text = re.sub(r"/\*\*.*?\*/", "", text, flags=re.S)  # types are imported in comments
    pattern = r'import\("\./([\w-]+\.js)"\)' if dynamic else r'(?:from|import) "\./([\w-]+\.js)"'
    return set(re.findall(pattern, text))


def reached(first: str, dynamic: bool) -> set[str]:
    """What a module imports, and what that does, and so on."""
    found: set[str] = set()
    todo = {first}
    while todo:
        name = todo.pop()
        found.add(name)
        todo |= imports_of(name, dynamic=False) - found
        todo |= imports_of(name, dynamic=True) - found if dynamic else set()
    return found


def test_a_bundled_worker_has_all_that_a_session_may_load() -> None:
    """A bundler's worker is one file: what is imported dynamically has to stand in it too."""
    wanted = reached("session-worker.js", dynamic=True)
    assert wanted <= reached("session-bundle.js", dynamic=False)
    assert "remote.js" not in wanted  # bundlers would go in circles
