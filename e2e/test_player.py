"""The player on a hand-made pack, in each browser: results, errors, what it loads."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from browsers import Chromium, Performer
from sample_pack import TABLE_VALUES
from site_server import ROOT, STRICT_CSP, JobError, Site

from webrt.cli.join import joined_player
from webrt.pack.format import SEAL
from webrt.resources import shipped

RUN = """async ({InferenceSession, Tensor, counts}, {url, batches}) => {
  const progress = [];
  const session = await InferenceSession.create(url, {
    device: "webgpu", onProgress: (p) => progress.push(p)});
  const results = [];
  for (const ids of batches) {
    const dims = [ids.length, ids[0].length];
    const outputs = await session.run({
      ids: new Tensor("int64", ids.flat(), dims),
      scale: new Tensor("float32", [1, 2, 3, 4], [4]),
    });
    const shown = {};
    for (const [name, tensor] of Object.entries(outputs)) {
      const data = Array.from(await tensor.getData(), Number);
      shown[name] = {type: tensor.type, dims: tensor.dims, data};
    }
    results.push({outputs: shown, pipelines: counts.pipelines});
  }
  const {inputNames, outputNames, inputMetadata, compiledKernels} = session;
  await session.release();
  return {results, progress, inputNames, outputNames, inputMetadata, compiledKernels};
}"""

CREATE = """async ({InferenceSession, rejection}, {url, options}) =>
  rejection(InferenceSession.create(url, options))"""

FEED = """async ({InferenceSession, Tensor, rejection}, {url}) => {
  const session = await InferenceSession.create(url, {device: "webgpu"});
  const scale = new Tensor("float32", [1, 2, 3, 4]);
  const ids = new Tensor("int64", [1, 2], [1, 2]);
  const run = (change, fetches) => rejection(session.run({ids, scale, ...change}, fetches));
  const found = [
    await run({ids: new Tensor("int64", [1, 10], [1, 2])}),
    await run({ids: new Tensor("int32", [1, 1], [1, 2])}),
    await run({scale: new Tensor("float32", [1, 2, 3])}),
    await run({}, ["nothing"]),
    await run({}),
  ];
  await session.release();
  return [...found, await run({})];
}"""


def expected(ids: list[list[int]]) -> dict[str, Any]:
    scale = [1, 2, 3, 4]
    b, n = len(ids), len(ids[0])
    flat = [i for row in ids for i in row]
    hidden = [v * s for i in flat for v, s in zip(TABLE_VALUES[i], scale, strict=True)]
    pooled = [sum(TABLE_VALUES[i][c] for i in row) for row in ids for c in range(4)]
    return {
        "hidden": {"type": "float32", "dims": [b, n, 4], "data": hidden},
        "pooled": {"type": "float32", "dims": [b, 4], "data": pooled},
        "mask": {"type": "bool", "dims": [b, n], "data": [int(i > 0) for i in flat]},
        "echo": {"type": "int64", "dims": [b, n], "data": flat},
        "release": {"type": "int64", "dims": [3], "data": [2, 0, 1]},
    }


def rows(batch: int, length: int) -> list[list[int]]:
    return [[(r * 7 + c * 3) % 10 for c in range(length)] for r in range(batch)]


def test_every_shape_from_one_pack(browser: Performer, sample: str) -> None:
    batches = [rows(1, 1), rows(2, 3), rows(3, 300), rows(1, 2), rows(2, 3)]
    found = browser.run(RUN, {"url": sample, "batches": batches})
    for ids, result in zip(batches, found["results"], strict=True):
        assert result["outputs"] == expected(ids)
        assert result["pipelines"] == found["compiledKernels"] == 4
    assert found["inputNames"] == ["ids", "scale"]
    assert found["outputNames"] == ["hidden", "pooled", "mask", "echo", "release"]
    assert found["inputMetadata"][0] == {
        "name": "ids", "isTensor": True, "type": "int64", "shape": ["batch", "length"],
        "low": 0, "high": 9,
    }  # fmt: skip
    share = {"loaded": 4, "total": 4, "progress": 100}
    assert {"status": "compile", "name": sample} | share in found["progress"]


def test_calls_queue(chromium: Chromium, sample: str) -> None:
    script = """async ({InferenceSession, Tensor}, {url}) => {
      const where = new URL(url, location.href);
      const session = await InferenceSession.create(where, {device: "webgpu"});
      const runs = [1, 2, 3, 4, 5].map((n) => session.run({
        ids: new Tensor("int64", Array(n).fill(n), [1, n]),
        scale: new Tensor("float32", [1, 1, 1, 1]),
      }, ["pooled"]));
      return (await Promise.all(runs)).map((o) => [Object.keys(o), [...o.pooled.data]]);
    }"""
    found = chromium.run(script, {"url": sample})
    assert found == [
        [["pooled"], [sum(TABLE_VALUES[n][c] for _ in range(n)) for c in range(4)]]
        for n in range(1, 6)
    ]


def test_feeds_are_checked_word_for_word(browser: Performer, sample: str) -> None:
    found = browser.run(FEED, {"url": sample})
    assert [(e["name"], e["message"]) for e in found] == [
        ("ShapeError", "input 'ids': the value 10 is outside of 0 … 9"),
        ("ShapeError", "input 'ids': expected int64 [batch, length], found int32 [1, 2]"),
        ("ShapeError", "input 'scale': expected 4 at axis 0, found 3 in [3]"),
        (
            "UsageError",
            "unknown output 'nothing': this model's outputs are"
            " hidden, pooled, mask, echo, release",
        ),
        ("nothing", "it resolved"),
        ("UsageError", "the session is closed"),
    ]


def altered(packs: Path, name: str, file: str, change: Any) -> str:
    target = packs / name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(packs / "sample", target)
    data = bytearray((target / file).read_bytes())
    (target / file).write_bytes(change(data))
    return f"/packs/{name}"


def flip(data: bytearray) -> bytearray:
    data[len(data) // 2] ^= 1
    return data


CUT = "doesn't end in its sha256; it is cut short or no manifest"
SHARD = "weights-00000.safetensors"


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("manifest.json", flip, "was altered: sha256 "),
        ("manifest.json", lambda d: d[:-9], CUT),
        (SHARD, flip, "was altered: sha256 "),
        (SHARD, lambda d: d[:-1], "expected 300 bytes, found 299; copy the pack again"),
        (SHARD, lambda d: d + b"x", "expected 300 bytes, found 301; copy the pack again"),
    ],
)
def test_altered_packs_are_refused(
    chromium: Chromium, packs: Path, sample: str, file: str, change: Any, message: str
) -> None:
    url = altered(packs, "altered", file, change)
    error = chromium.run(CREATE, {"url": url, "options": {"device": "webgpu"}})
    assert (error["name"], error["code"]) == ("PackError", "ERR_WEBRT_PACK")
    assert error["message"].startswith(f"{chromium.site.url}{url}/{file}: {message}")


def test_no_pack_and_unknown_devices(chromium: Chromium, sample: str) -> None:
    error = chromium.run(CREATE, {"url": "/packs/none", "options": {}})
    url = f"{chromium.site.url}/packs/none/manifest.json"
    assert error["name"] == "PackError"
    assert error["message"] == f"{url}: HTTP status 404; the pack is not there or incomplete"
    error = chromium.run(CREATE, {"url": sample, "options": {"device": "cuda"}})
    assert (error["name"], error["message"]) == (
        "DeviceError", "unknown device 'cuda': expected auto, webgpu or wasm",
    )  # fmt: skip


def test_no_webgpu(chromium: Chromium, sample: str) -> None:
    script = """async ({InferenceSession, rejection}, {url, gpu}) => {
      Object.defineProperty(navigator, "gpu", {value: gpu && {requestAdapter: async () => null}});
      let unhandled = 0;
      addEventListener("unhandledrejection", () => { unhandled += 1; });
      const error = await rejection(InferenceSession.create(url, {device: "webgpu"}));
      await new Promise((resolve) => setTimeout(resolve, 20));
      return {...error, unhandled};
    }"""
    found = [chromium.run(script, {"url": sample, "gpu": gpu}) for gpu in (False, True)]
    assert [e["unhandled"] for e in found] == [0, 0]
    assert [e["name"] for e in found] == ["DeviceError", "DeviceError"]
    assert found[0]["message"].startswith("this browser has no WebGPU: use a current Chrome")
    assert found[1]["message"].startswith("no WebGPU adapter: the GPU or its driver is blocked")


def test_a_kernel_that_is_refused_is_named(
    browser: Performer, packs: Path, sample: str, site: Site
) -> None:
    def change(data: bytearray) -> bytes:
        body = bytes(data).replace(b"var sum = 0.0;", b"var sum = 0u;")
        head = body[: body.rindex(b'"sha256":')]
        return head + SEAL % hashlib.sha256(head + SEAL % (b"0" * 64)).hexdigest().encode()

    url = altered(packs, "broken", "manifest.json", change)
    error = browser.run(CREATE, {"url": url, "options": {"device": "webgpu"}})
    assert error["name"] == "CompileError"
    assert error["message"].startswith("kernel pool: line ")
    assert "\n" not in error["message"]


def test_an_error_on_the_gpu_rejects_the_run(chromium: Chromium, sample: str) -> None:
    script = """async ({InferenceSession, Tensor, rejection}, {url}) => {
      const session = await InferenceSession.create(url, {device: "webgpu"});
      const feeds = {
        ids: new Tensor("int64", [1], [1, 1]), scale: new Tensor("float32", [1, 1, 1, 1])};
      const make = GPUDevice.prototype.createBuffer;
      GPUDevice.prototype.createBuffer = function (options) {
        const change = options.label === "arena" ? {usage: GPUBufferUsage.COPY_DST} : {};
        return make.call(this, {...options, ...change});
      };
      return rejection(session.run(feeds));
    }"""
    error = chromium.run(script, {"url": sample})
    assert error["name"] == "DeviceError"
    assert error["message"].startswith("the GPU refused a run: ")


def test_a_strict_content_security_policy_is_enough(browser: Performer, sample: str) -> None:
    batches = [rows(2, 3)]
    found = browser.run(RUN, {"url": sample, "batches": batches}, csp=STRICT_CSP)
    assert found["results"][0]["outputs"] == expected(batches[0])


@pytest.mark.parametrize(
    ("device", "loaded", "spared"),
    [("wasm", "wasm-worker.js", "device.js"), ("webgpu", "device.js", "wasm.js")],
)
def test_what_a_page_loads_is_small(
    chromium: Chromium, sample: str, site: Site, device: str, loaded: str, spared: str
) -> None:
    script = """async ({InferenceSession}, {url, device}) => {
      const session = await InferenceSession.create(url, {device});
      await session.release();
    }"""
    site.requests.clear()
    chromium.run(script, {"url": sample, "device": device})
    files = {r for r in site.requests if r.startswith("/web/")}
    assert {"/web/webrt.js", f"/web/{loaded}"} <= files
    assert f"/web/{spared}" not in files
    size = sum(len(gzip.compress(shipped(ROOT / f[1:]))) for f in files)
    assert size <= 45_000, f"{size} bytes gzip in {len(files)} files"  # 44,900; 39,200


def test_pages_load_the_player_without_its_comments() -> None:
    """What is left out is comments, nothing else: a minifier makes the same of both."""
    program = """
      import { transformSync } from "esbuild";
      import { readFileSync } from "node:fs";
      for (const { name, text } of JSON.parse(readFileSync(0, "utf8"))) {
        const options = { minify: true, legalComments: "none" };
        const [one, other] = [readFileSync(name, "utf8"), text]
          .map((code) => transformSync(code, options).code);
        if (one !== other) throw new Error(`${name} is another program`);
      }
      console.log("same");
    """
    names = sorted((ROOT / "web").glob("**/*.js"))
    given = json.dumps([{"name": str(p), "text": shipped(p).decode()} for p in names])
    command = ["node", "--input-type=module", "-e", program]
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, cwd=ROOT / "e2e", timeout=60
    )
    assert done.stdout == "same\n", done.stderr
    assert all(b"@param" not in shipped(p) for p in names)


def test_joined_files_export_what_modules_do(tmp_path: Path) -> None:
    """And the same things, whichever file they are had from."""
    files = joined_player()
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    names = ["webrt.js", *re.findall(rb'\$joined\["([\w-]+\.js)"\] = ', b"".join(files.values()))]
    program = """
      const [web, joined, ...names] = process.argv.slice(1);
      const errors = await import(`${joined}/errors.js`);
      for (const name of names) {
        const source = await import(`${web}/${name}`), own = await import(`${joined}/${name}`);
        const missing = Object.keys(source).filter((key) => !(key in own));
        if (missing.length) throw new Error(`${name} lacks ${missing}`);
        for (const key of Object.keys(errors)) {
          if (key in own && own[key] !== errors[key]) throw new Error(`${name} has another ${key}`);
        }
      }
      console.log(names.length);
    """
    given = [str(ROOT / "web"), str(tmp_path), *(os.fsdecode(n) for n in names)]
    command = ["node", "--input-type=module", "-e", program, *given]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{len(names)}\n", done.stderr
    assert len(names) > 25
    lines = b"\n".join(files.values()).decode()
    assert {home for home in re.findall(r'from "\./([\w-]+\.js)"', lines)} <= set(files)


def test_node_tests() -> None:
    command = ["node", "--test", str(ROOT / "e2e" / "node")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


def test_errors_of_a_job_reach_the_test(chromium: Chromium) -> None:
    with pytest.raises(JobError, match="TypeError: no"):
        chromium.run('async () => { throw new TypeError("no"); }')
    assert chromium.run("async (tools, args) => args", json.loads("[1]")) == [1]
