"""The player on the CPU, in each browser: wasm on one thread or more, its errors and its limits."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import onnx
import onnx.parser
import pytest
from browsers import Chromium, Performer
from sample_pack import TABLE_VALUES
from site_server import STRICT_CSP, Site
from test_player import CREATE, altered, expected, flip, rows

import webrt
from webrt.codegen import abi
from webrt.codegen.encoder import Module
from webrt.codegen.wasm_replay import replay
from webrt.pack.format import MODULES, SEAL

RUN = """async ({InferenceSession, Tensor, lines}, {url, options, batches}) => {
  const session = await InferenceSession.create(url, options);
  const results = [];
  for (const ids of batches) {
    const outputs = await session.run({
      ids: new Tensor("int64", ids.flat(), [ids.length, ids[0].length]),
      scale: new Tensor("float32", [1, 2, 3, 4], [4]),
    });
    results.push(Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => (
      [name, {type: tensor.type, dims: tensor.dims, data: Array.from(tensor.data, Number)}]))));
  }
  const {kind, threads, features, note} = session.deviceInfo;
  await session.release();
  return {results, kind, threads, features, note, lines, compiled: session.compiledKernels};
}"""

ON_A_DEVICE = """
  const modules = ["wasm", "fetch", "kernels", "weights", "bound", "webrt"];
  const [{WasmDevice}, {Files}, {compileKernels, moduleFor}, {Weights}, {Shapes},
    {InferenceSession}] = await Promise.all(modules.map((name) => import(`/web/${name}.js`)));
  const files = new Files(new URL(`${url}/`, location.href));
  const pack = await files.manifest();
  const open = async (device) => {
    const module = await files.module(moduleFor(pack, device.info));
    const kernels = await compileKernels(pack, device, module, () => {});
    const weights = new Weights(pack, device);
    await weights.load(files, Promise.resolve(kernels));
    const shapes = new Shapes(pack, device, kernels, weights);
    return new InferenceSession({pack, device, kernels, shapes, float16: null});
  };
"""

BATCHES = [rows(1, 1), rows(2, 3), rows(3, 300), rows(1, 2), rows(2, 3)]
NOT_ISOLATED = "the page isn't cross-origin isolated: "
SCALE = 'scale: new Tensor("float32", [1, 2, 3, 4])'


@pytest.fixture(params=["chromium", "firefox"])
def isolated_browser(request: pytest.FixtureRequest) -> Performer:
    """Each browser in turn, on cross-origin isolated pages."""
    name = {"chromium": "isolated", "firefox": "isolated_firefox"}[request.param]
    found: Performer = request.getfixturevalue(name)
    return found


def test_threads_over_one_memory(isolated_browser: Performer, sample: str) -> None:
    args = {"url": sample, "options": {"device": "wasm", "threads": 3}, "batches": BATCHES}
    found = isolated_browser.run(RUN, args)
    assert found["results"] == [expected(ids) for ids in BATCHES]
    assert (found["kind"], found["threads"], found["note"]) == ("wasm", 3, None)
    assert found["features"] == ["relaxed-simd"]
    assert found["compiled"] == 5  # four kernels and a packer
    assert found["lines"] == []


def test_one_thread_where_memory_is_not_shared(browser: Performer, sample: str) -> None:
    args = {"url": sample, "options": {"device": "wasm", "threads": 3}, "batches": BATCHES}
    found = browser.run(RUN, args)
    assert found["results"] == [expected(ids) for ids in BATCHES]
    assert (found["kind"], found["threads"]) == ("wasm", 1)
    assert found["note"].startswith(NOT_ISOLATED)
    assert found["lines"] == [f"webrt: one thread: {found['note']}"]
    found = browser.run(RUN, args | {"options": {"device": "wasm", "threads": 1}})
    assert (found["threads"], found["note"], found["lines"]) == (1, None, [])


@pytest.mark.parametrize("relaxed", [True, False])
def test_only_the_module_that_runs_is_loaded(
    chromium: Chromium, sample: str, site: Site, relaxed: bool
) -> None:
    options = {"device": "wasm", "relaxedSimd": relaxed}
    site.requests.clear()
    found = chromium.run(RUN, {"url": sample, "options": options, "batches": BATCHES[:2]})
    assert found["results"] == [expected(ids) for ids in BATCHES[:2]]
    assert found["features"] == (["relaxed-simd"] if relaxed else [])
    loaded = [r.rsplit("/", 1)[1] for r in site.requests if r.endswith(".wasm")]
    assert loaded == [MODULES[relaxed]]


def test_which_device_is_taken(chromium: Chromium, sample: str) -> None:
    script = """async ({InferenceSession, rejection}, {url}) => {
      const kinds = [];
      const create = async (options) => {
        const session = await InferenceSession.create(url, options);
        kinds.push(session.deviceInfo.kind);
        await session.release();
      };
      const [gpu, wasm] = [["webgpu", "wasm"], [{name: "wasm"}, "webgpu"]];
      await create();
      await create({executionProviders: gpu});
      await create({executionProviders: wasm});
      Object.defineProperty(navigator, "gpu", {value: undefined});
      await create({executionProviders: gpu});
      globalThis.Worker = undefined;
      const error = await rejection(InferenceSession.create(url, {executionProviders: gpu}));
      return {kinds, error};
    }"""
    found = chromium.run(script, {"url": sample})
    # The GPU is software here: auto takes the CPU itself.
    assert found["kinds"] == ["wasm", "webgpu", "wasm", "wasm"]
    assert found["error"]["name"] == "DeviceError"
    assert found["error"]["message"].startswith("webgpu: this browser has no WebGPU")
    assert "; wasm: a wasm worker can't start" in found["error"]["message"]


def test_threads_are_a_number(chromium: Chromium, sample: str) -> None:
    for threads in (0, 1.5, "2"):
        options = {"device": "wasm", "threads": threads}
        error = chromium.run(CREATE, {"url": sample, "options": options})
        assert (error["name"], error["message"]) == (
            "UsageError", f"threads: expected a whole number from 1 on, found {threads}",
        )  # fmt: skip


def test_runs_queue_and_release_stops_the_workers(isolated: Chromium, sample: str) -> None:
    script = """async ({InferenceSession, Tensor, rejection}, {url}) => {
      let started = 0, stopped = 0;
      const {Worker} = globalThis;
      globalThis.Worker = class extends Worker {
        constructor(...args) { super(...args); started += 1; }
        terminate() { super.terminate(); stopped += 1; }
      };
      const session = await InferenceSession.create(url, {device: "wasm", threads: 2});
      const feeds = (n) => ({
        ids: new Tensor("int64", Array(n).fill(n), [1, n]),
        scale: new Tensor("float32", [1, 1, 1, 1]),
      });
      const runs = [1, 2, 3, 4, 5].map((n) => session.run(feeds(n), ["pooled"]));
      const released = session.release();
      const results = (await Promise.all(runs)).map(({pooled}) => [...pooled.data]);
      await released;
      return {results, started, stopped, after: await rejection(session.run(feeds(1)))};
    }"""
    found = isolated.run(script, {"url": sample})
    assert found["results"] == [
        [sum(TABLE_VALUES[n][c] for _ in range(n)) for c in range(4)] for n in range(1, 6)
    ]
    assert (found["started"], found["stopped"]) == (2, 2)
    assert found["after"]["message"] == "the session is closed"


def with_module(packs: Path, name: str, module: bytes) -> str:
    """A copy of the sample's pack with other modules, sealed as it should be."""

    def reseal(data: bytearray) -> bytes:
        body = json.loads(bytes(data))
        for entry in body["wasm"]["modules"]:
            entry |= {"bytes": len(module), "sha256": hashlib.sha256(module).hexdigest()}
        del body["sha256"]
        head = json.dumps(body, separators=(",", ":"))[:-1].encode() + b","
        return head + SEAL % hashlib.sha256(head + SEAL % (b"0" * 64)).hexdigest().encode()

    url = altered(packs, name, "manifest.json", reseal)
    for file in MODULES:
        (packs / name / file).write_bytes(module)
    return url


def trapping_module(kernels: int) -> bytes:
    """Kernels that store where no memory is."""
    module = Module(abi.TYPES)
    for _ in range(kernels):
        function = module.function(*abi.KERNEL)
        module.table.append(function.index)
        function.i32(-4)
        function.i32(1)
        function.access("i32.store", 1 << 16)
    replay(module)
    return module.encode()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_kernel_that_traps_is_the_end_of_the_device(
    isolated: Chromium, packs: Path, sample: str, threads: int
) -> None:
    url = with_module(packs, "trapping", trapping_module(5))
    options = {"device": "wasm", "threads": threads}
    error = isolated.run(CREATE, {"url": url, "options": options})
    assert error["name"] == "DeviceLostError"
    assert error["message"].startswith("the wasm workers stopped: ")
    assert error["message"].endswith("; create the session again")
    assert "\n" not in error["message"]


def test_modules_that_are_not_webrts(chromium: Chromium, packs: Path, sample: str) -> None:
    options = {"device": "wasm"}
    empty = Module(abi.TYPES)
    replay(empty)
    messages = []
    for module in (b"\0asm\1\0\0\0", b"\0asm\1\0\0\0\1", empty.encode()):
        url = with_module(packs, "strange", module)
        error = chromium.run(CREATE, {"url": url, "options": options})
        assert error["name"] == "CompileError"
        messages.append(error["message"])
    assert messages[0] == (
        "kernel map_0: the module lacks the table or the function that webrt's export"
    )
    assert messages[1].startswith("kernel map_0: WebAssembly.compile(): ")
    assert messages[2] == "kernel map_0: the module has 0 kernels"


@pytest.mark.parametrize("relaxed", [True, False])
def test_altered_modules_are_refused(
    chromium: Chromium, packs: Path, sample: str, relaxed: bool
) -> None:
    file = MODULES[relaxed]
    url = altered(packs, "altered", file, flip)
    options = {"device": "wasm", "relaxedSimd": relaxed}
    error = chromium.run(CREATE, {"url": url, "options": options})
    assert error["name"] == "PackError"
    assert error["message"].startswith(f"{chromium.site.url}{url}/{file}: was altered: sha256 ")


@pytest.fixture(scope="module")
def outer(packs: Path) -> str:
    """The URL of a pack of y = x · xᵀ, n × n from n."""
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        outer (float[n, 1] x) => (float[n, n] y) { t = Transpose (x)  y = Mul (x, t) }
    """)
    path = packs / "outer.onnx"
    onnx.save(model, path)
    webrt.pack(path, packs / "outer")
    return "/packs/outer"


def test_more_than_4_gib_is_refused_before_anything_is_allocated(
    browser: Performer, outer: str
) -> None:
    script = """async ({InferenceSession, Tensor, rejection}, {url}) => {
      const session = await InferenceSession.create(url, {device: "wasm"});
      const twos = (n) => new Tensor("float32", new Float32Array(n).fill(2), [n, 1]);
      const run = (n) => session.run({x: twos(n)});
      const found = [];
      for (const n of [2, 40000, 3, 32767]) {
        const result = run(n).then(({y}) => ({sum: y.data.reduce((a, b) => a + b)}));
        found.push(await result.catch(({name, message}) => ({name, message})));
      }
      await session.release();
      return found;
    }"""
    small, one, again, several = browser.run(script, {"url": outer})
    assert (small, again) == ({"sum": 16}, {"sum": 36})
    assert (one["name"], several["name"]) == ("DeviceError", "DeviceError")
    assert one["message"].startswith(
        "Mul_1: a tensor of 6400000000 bytes passes what CPU, 1 thread"
    )
    # The tensor alone would fit.
    assert several["message"].startswith("weights, inputs, outputs and activations of 429")
    assert several["message"].endswith("; try smaller inputs, or a GPU")


@pytest.mark.parametrize("threads", [1, 2])
def test_addresses_beyond_2_gib(isolated_browser: Performer, sample: str, threads: int) -> None:
    script = f"""async ({{Tensor, rejection}}, {{url, threads}}) => {{
      {ON_A_DEVICE}
      const device = await WasmDevice.open({{threads}});
      const filler = device.allocate(2 ** 31 + 2 ** 29, "filler");
      const session = await open(device);
      const ids = new Tensor("int64", [1, 2, 3], [1, 3]);
      const outputs = await session.run({{ids, {SCALE}}});
      const message = await rejection((async () => device.allocate(2 ** 31, "too much"))());
      device.free(filler);
      const again = await session.run({{ids, {SCALE}}});
      await session.release();
      const shown = (tensors) => [...tensors.hidden.data, ...tensors.pooled.data];
      return {{shown: shown(outputs), again: shown(again), message, top: device.heap.top}};
    }}"""
    found = isolated_browser.run(script, {"url": sample, "threads": threads})
    outputs = expected([[1, 2, 3]])
    assert (
        found["shown"] == found["again"] == [*outputs["hidden"]["data"], *outputs["pooled"]["data"]]
    )
    assert found["top"] > 1 << 31
    assert found["message"]["name"] == "DeviceError"
    assert found["message"]["message"].startswith("allocating 2147483648 bytes for too much: ")


def test_a_memory_that_the_browser_refuses(chromium: Chromium, sample: str) -> None:
    """The worker's memory can't grow: the run fails, the next one that fits does not."""
    script = f"""async ({{Tensor, rejection}}, {{url}}) => {{
      {ON_A_DEVICE}
      const device = await WasmDevice.open();
      const session = await open(device);
      const ones = (n) => new Tensor("int64", Array(n).fill(1), [1, n]);
      const run = (n) => session.run({{ids: ones(n), {SCALE}}});
      await run(1);
      const pages = device.threads.run.bind(device.threads);
      device.threads.run = (count, ...rest) => pages(count > 3 ? 65537 : count, ...rest);
      const refused = await rejection(run(4000));
      const {{pooled}} = await run(2);
      await session.release();
      return {{refused, pooled: [...pooled.data]}};
    }}"""
    found = chromium.run(script, {"url": sample})
    assert found["refused"]["name"] == "DeviceError"
    assert found["refused"]["message"].startswith(
        "the browser refuses a memory of 4295032832 bytes"
    )
    assert found["pooled"] == [2 * TABLE_VALUES[1][c] for c in range(4)]


def test_scratch_memory_that_there_is_no_room_for(chromium: Chromium, sample: str) -> None:
    """A kernel that needs too much of it is refused; the others go on with what they have."""
    script = f"""async ({{Tensor, rejection}}, {{url}}) => {{
      {ON_A_DEVICE}
      const device = await WasmDevice.open();
      const module = await files.module(moduleFor(pack, device.info));
      const compile = (scratch) => device.compile([
        {{name: "k", source: {{module, entry: 0, scratch}}}}]);
      await compile(1024);
      const before = device.held();
      const refused = await rejection(compile(2 ** 33));
      const after = device.held();
      device.close();
      return {{before, after, name: refused.name}};
    }}"""
    found = chromium.run(script, {"url": sample})
    scratch = {"label": "scratch memory", "bytes": 1024}
    assert found == {"before": [scratch], "after": [scratch], "name": "DeviceError"}


WASM_CSP = STRICT_CSP.replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'")


def test_content_security_policies(
    browser: Performer, isolated_browser: Performer, sample: str
) -> None:
    args = {"url": sample, "options": {"device": "wasm", "threads": 2}, "batches": BATCHES[:2]}
    for each in (browser, isolated_browser):
        found = each.run(RUN, args, csp=WASM_CSP)
        assert found["results"] == [expected(ids) for ids in BATCHES[:2]]
    error = browser.run(CREATE, args, csp=STRICT_CSP)
    assert error["name"] == "DeviceError"
    assert "(script-src 'wasm-unsafe-eval')" in error["message"]
    error = browser.run(CREATE, args, csp=f"{WASM_CSP}; worker-src 'none'")
    assert error["name"] == "DeviceError"
    assert error["message"].startswith("a wasm worker can't start")
    assert "(worker-src 'self')" in error["message"]


def test_the_player_of_another_origin(
    browser: Performer, isolated_browser: Performer, sample: str, site: Site
) -> None:
    other = site.url.replace("localhost", "127.0.0.1")
    script = RUN.replace(
        "const session",
        "const {InferenceSession} = await import(`${other}/web/webrt.js`);\nconst session",
    ).replace("{InferenceSession, Tensor, lines}, {url,", "{Tensor, lines}, {other, url,")
    args = {"url": sample, "options": {"device": "wasm", "threads": 2}, "batches": BATCHES[:2]}
    for each in (browser, isolated_browser):
        found = each.run(script, {"other": other, **args})
        assert found["results"] == [expected(ids) for ids in BATCHES[:2]]
