"""onnxruntime-web's own samples run on webrt with the import and the model changed, nothing else.

The samples in e2e/samples/ are those of microsoft/onnxruntime-inference-examples, folder js/, as of
commit 428b0399b871, unaltered, under the MIT licence that lies beside them.
"""

from __future__ import annotations

import difflib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from browsers import Chromium
from onnx import TensorProto, checker, helper
from site_server import ROOT, Site

import webrt
from webrt.version import __version__

SAMPLES = ROOT / "e2e" / "samples"
MODULES = ROOT / "e2e" / "node_modules"
A = [float(n) for n in range(1, 13)]
B = [10 * n for n in A]
PRODUCT = [[sum(A[4 * r + k] * B[3 * k + c] for k in range(4)) for c in range(3)] for r in range(3)]
ANSWER = [int(value) for row in PRODUCT for value in row]
MODEL = ("./model.onnx", "./pack")


@pytest.fixture(scope="module")
def product(packs: Path) -> Path:
    """The samples' model.onnx, `c = a b`, packed."""
    given = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("a", [3, 4]), ("b", [4, 3]))
    ]
    made = [helper.make_tensor_value_info("c", TensorProto.FLOAT, [3, 3])]
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "g", given, made)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model, full_check=True)
    path = packs / "product.onnx"
    path.write_bytes(model.SerializeToString())
    webrt.pack(path, packs / "product")
    return packs / "product"


def changed(name: str, *changes: tuple[str, str]) -> str:
    """A sample with some strings replaced, each of which stands on one line of it."""
    text = (SAMPLES / name).read_text()
    for old, new in changes:
        assert text.count(old) >= 1, f"{name} has no {old}"
        text = text.replace(old, new)
    return text


def difference(name: str, text: str) -> list[str]:
    """The lines that differ between a sample and what is run, without their indentation."""
    lines = difflib.ndiff((SAMPLES / name).read_text().splitlines(), text.splitlines())
    return [f"{line[0]} {line[2:].strip()}" for line in lines if line[0] in "+-"]


def written(chromium: Chromium, folder: Path, product: Path, page: str = "index.html") -> Any:
    """What a page of a folder writes, on a site that has the pack and the player too."""
    site = Site({"/web/": ROOT / "web", "/pack/": product, "/": folder})
    tab = chromium.browser.new_page()
    lines: list[str] = []
    tab.on("console", lambda message: lines.append(f"{message.location['url']}: {message.text}"))
    tab.on("pageerror", lambda error: lines.append(str(error)))
    try:
        tab.goto(f"{site.url}/{page}")
        tab.wait_for_function("/data of|failed|done/.test(document.body.innerText)", timeout=30_000)
        assert [line for line in lines if "/favicon.ico: " not in line] == []
        return tab.inner_text("body")
    finally:
        tab.close()
        site.close()


TEXT = f"data of result tensor 'c': {','.join(map(str, ANSWER))}"


@pytest.mark.parametrize(
    ("name", "line", "theirs", "ours"),
    [
        ("script-tag.html", '<script src="{}"></script>', "ort.min.js", "/web/ort.js"),
        ("esm.html", 'import * as ort from "{}";', "esm/ort.min.js", "/web/webrt.js"),
    ],
    ids=["script-tag", "module"],
)
def test_the_quick_start(
    chromium: Chromium, product: Path, tmp_path: Path, name: str, line: str, theirs: str, ours: str
) -> None:
    cdn = f"https://cdn.jsdelivr.net/npm/onnxruntime-web/dist/{theirs}"
    text = changed(name, (cdn, ours), MODEL)
    assert difference(name, text) == [
        f"- {line.format(cdn)}",
        f"+ {line.format(ours)}",
        "- const session = await ort.InferenceSession.create('./model.onnx');",
        "+ const session = await ort.InferenceSession.create('./pack');",
    ]
    (tmp_path / "index.html").write_text(text)
    assert written(chromium, tmp_path, product) == TEXT


def test_the_quick_start_with_a_bundler(chromium: Chromium, product: Path, tmp_path: Path) -> None:
    text = changed("bundler.js", ("'onnxruntime-web'", "'webrt'"), MODEL)
    assert difference("bundler.js", text) == [
        "- const ort = require('onnxruntime-web');",
        "+ const ort = require('webrt');",
        "- const session = await ort.InferenceSession.create('./model.onnx');",
        "+ const session = await ort.InferenceSession.create('./pack');",
    ]
    (tmp_path / "main.js").write_text(text)
    bundle(tmp_path, "main.js")
    page = '<!DOCTYPE html><body><script type="module" src="./dist/bundle.min.js"></script></body>'
    (tmp_path / "index.html").write_text(page)
    assert written(chromium, tmp_path, product) == TEXT


def bundle(folder: Path, entry: str) -> None:
    """What a sample's own webpack does: one file of the program and what it imports."""
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "webrt").symlink_to(ROOT / "web")
    esbuild = [str(MODULES / "esbuild" / "bin" / "esbuild"), entry, "--bundle", "--format=esm"]
    options = ["--outfile=dist/bundle.min.js", "--log-level=warning", "--minify"]
    subprocess.run([*esbuild, *options], cwd=folder, check=True, timeout=120)
    for worker in ("wasm-worker.js",):
        (folder / "dist" / worker).write_bytes((ROOT / "web" / worker).read_bytes())


WATCH = """
import {InferenceSession} from "/web/webrt.js";
const {run} = InferenceSession.prototype;
const results = [];
InferenceSession.prototype.run = async function (...args) {
  const outputs = await run.apply(this, args);
  results.push([...outputs.c.data].join());
  if (results.length === 8) document.body.append(`done ${JSON.stringify(results)}`);
  return outputs;
};
"""


def test_every_way_to_run(chromium: Chromium, product: Path, tmp_path: Path) -> None:
    """By options, names, nulls and tensors made beforehand."""
    name = "inference-session-run.js"
    old, new = "const ort = require('onnxruntime-node');", "import ort from '/web/webrt.js';"
    text = changed(name, (old, new), MODEL)
    assert difference(name, text) == [
        f"- {old}",
        f"+ {new}",
        "- const session = await InferenceSession.create('./model.onnx');",
        "+ const session = await InferenceSession.create('./pack');",
    ]
    (tmp_path / "main.js").write_text(text)
    (tmp_path / "watch.js").write_text(WATCH)
    scripts = [f'<script type="module" src="{file}.js"></script>' for file in ("watch", "main")]
    (tmp_path / "index.html").write_text(f"<!DOCTYPE html><body>{''.join(scripts)}</body>")
    found = written(chromium, tmp_path, product)
    assert json.loads(found.removeprefix("done ")) == [",".join(map(str, ANSWER))] * 8


TYPED = """import ort, { type Env } from "webrt";
import * as all from "webrt";

const options: all.InferenceSession.SessionOptions = {
  executionProviders: ["webgpu", { name: "webgpu", preferredLayout: "NCHW" }, "wasm"],
  graphOptimizationLevel: "all", enableMemPattern: false, enableCpuMemArena: false,
  freeDimensionOverrides: { batch: 1 }, logSeverityLevel: 0,
  extra: { session: { disable_prepacking: "1" } },
  preferredOutputLocation: { hidden: "gpu-buffer" },
};
const env: Env = ort.env;
env.logLevel = "verbose";
env.wasm.numThreads = 1;
env.wasm.simd = true;
env.wasm.proxy = false;
env.wasm.wasmPaths = "dist/";
env.webgpu.profiling = { mode: "default", ondata: (data) => { console.log(data); } };

export async function chain(url: string): Promise<Float32Array> {
  const gpu: GPUDevice = await env.webgpu.device;
  const session: all.InferenceSession = await ort.InferenceSession.create(url, options);
  const ids = new all.Tensor("int64", BigInt64Array.of(1n), [1, 1]);
  const first: bigint = ids.data[0];
  const scale: all.TypedTensor<"float32"> = new ort.Tensor("float32", [1, 2, 3, 4], [4]);
  const feeds: all.InferenceSession.FeedsType = { ids, scale };
  const results = await session.run(feeds, ["hidden"], { tag: String(first) });
  const buffer: GPUBuffer = results.hidden.gpuBuffer;
  const kept = all.Tensor.fromGpuBuffer(buffer, { dataType: "float32", dims: [4] });
  const made: Record<string, all.Tensor> = { scale: kept };
  const location: all.Tensor.DataLocation = kept.location;
  const { pooled }: all.InferenceSession.ReturnType = await session.run(
    { ...made, ids }, { pooled: null }, { logSeverityLevel: 2 });
  const metadata: readonly all.InferenceSession.ValueMetadata[] = session.inputMetadata;
  console.log(location, metadata[0].shape, pooled.size, gpu.label);
  const data: Float32Array = await kept.getData(true);
  await using other = await all.InferenceSession.create(url);
  using tensor = (await other.run(feeds, { tag: "x" })).pooled;
  tensor.reshape([4]).dispose();
  session.startProfiling();
  session.endProfiling();
  await session.release();
  // @ts-expect-error there is no such level
  env.logLevel = "loud";
  // @ts-expect-error an int64 tensor's data are no floats
  const wrong: Float32Array = ids.data;
  return data ?? wrong;
}
"""


@pytest.mark.parametrize("libraries", ["es2023,dom", "es2023,dom,esnext.disposable"])
def test_a_typescript_program_for_onnxruntime_web_has_its_types(
    tmp_path: Path, libraries: str
) -> None:
    """Without `using`, an older `lib` is enough."""
    program = TYPED
    if "disposable" not in libraries:
        program = program.replace("await using", "const").replace("using", "const")
    (tmp_path / "program.ts").write_text(program)
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "webrt").symlink_to(ROOT / "web")
    tsc = [
        "node",
        str(MODULES / "typescript" / "bin" / "tsc"),
        "program.ts",
        "--strict",
        "--noEmit",
    ]
    options = ["--target", "es2022", "--module", "es2022", "--moduleResolution", "bundler"]
    more = ["--preserveSymlinks", "--types", "", "--lib", libraries]
    done = subprocess.run(
        [*tsc, *options, *more], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout


EARLY = """<!DOCTYPE html><body><script src="/web/ort.js"></script><script>
let early = "";
try { new ort.Tensor("float32", [1], [1]); } catch (error) { early = error.name; }
ort.env.wasm.wasmPaths = "dist/";
ort.env.logLevel = "error";
const {InferenceSession} = ort;
ort.ready.then(async () => {
  const session = await InferenceSession.create("./pack", {executionProviders: ["wasm"]});
  const a = new ort.Tensor("float32", new Float32Array(12).fill(1), [3, 4]);
  const {c} = await session.run({a, b: a.reshape([4, 3])});
  const env = [ort.env.logLevel, ort.env.wasm.wasmPaths, ort.env.versions.web];
  document.body.append("done " + JSON.stringify([early, c.data[8], session.deviceInfo.kind, env]));
});
</script></body>"""


def test_a_classic_script_has_what_can_be_had_at_once(
    chromium: Chromium, product: Path, tmp_path: Path
) -> None:
    (tmp_path / "index.html").write_text(EARLY)
    found = json.loads(written(chromium, tmp_path, product).removeprefix("done "))
    assert found == ["TypeError", 4, "wasm", ["error", "dist/", __version__]]


SETTINGS = """async ({InferenceSession, Tensor, env, rejection}, {url, bytes}) => {
  const workers = [];
  const {Worker} = globalThis;
  globalThis.Worker = class extends Worker {
    constructor(url, options) { super(url, options); workers.push(String(url).split("/").pop()); }
  };
  const a = new Tensor("float32", new Float32Array(12).fill(1), [3, 4]);
  const feeds = {a, b: a.reshape([4, 3])};
  const look = async (options, more) => {
    workers.length = 0;
    await using session = await InferenceSession.create(more ?? url, {device: "wasm", ...options});
    using c = (await session.run(feeds)).c;
    return [session.deviceInfo.threads, workers.includes("session-worker.js"), c.data[0]];
  };
  const found = {plain: await look()};
  env.wasm.numThreads = 1;
  found.one = await look();
  found.own = await look({threads: 2});
  env.wasm.proxy = true;
  found.proxy = await look();
  env.wasm.proxy = false;
  let held, tensor;
  {
    const file = await (await fetch(bytes)).arrayBuffer();
    const whole = new Uint8Array(file.byteLength + 24);
    whole.set(new Uint8Array(file), 16);
    await using session = await InferenceSession.create(
      whole.buffer, 16, file.byteLength, {executionProviders: ["cpu"]});
    using kept = (await session.run(feeds)).c;
    [held, tensor] = [session, kept];
    found.part = kept.data[0];
  }
  found.ended = [await rejection(held.run(feeds)), tensor.location];
  env.webgpu.powerPreference = "low-power";
  found.device = await rejection(Promise.resolve().then(() => { env.webgpu.device = {}; }));
  return found;
}"""


def test_what_env_says_goes_for_every_session(isolated: Chromium, product: Path) -> None:
    args = {"url": "/packs/product", "bytes": "/packs/product.webrt"}
    webrt.pack(product.parent / "product.onnx", product.parent / "product.webrt")
    found = isolated.run(SETTINGS, args)
    (plain, *rest), (ended, location) = found.pop("plain"), found.pop("ended")
    assert (plain >= 2, rest) == (True, [False, 4])
    assert (ended["message"], location) == ("the session is closed", "none")
    assert found.pop("device")["message"] == "env.webgpu.device: expected a GPUDevice"
    assert found == {
        "one": [1, False, 4], "own": [2, False, 4], "proxy": [1, True, 4], "part": 4,
    }  # fmt: skip
