"""The npm package: what is in it, types for TypeScript, bundles by Vite and esbuild."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from browsers import Chromium
from site_server import ROOT, Site
from test_player import expected

from webrt.cli.export import write_package
from webrt.version import __version__

MODULES = ROOT / "e2e" / "node_modules"
APP = """import { InferenceSession, Tensor } from "webrt";

async function answer(device, worker = false) {
  const session = await InferenceSession.create("/packs/sample", {device, worker, ...OPTIONS});
  const {pooled} = await session.run({
    ids: new Tensor("int64", [1, 2], [1, 2]), scale: new Tensor("float32", [1, 2, 3, 4])});
  await session.release();
  return [...pooled.data];
}
document.title = JSON.stringify([
  await answer("wasm"), await answer("webgpu"), await answer("wasm", true)]);
"""
PROGRAM = """import { InferenceSession, Tensor, PackError, clearCache } from "webrt";
import type { ProgressInfo } from "webrt";

const session: InferenceSession = await InferenceSession.create("./pack", {
  device: "wasm", threads: 2, signal: new AbortController().signal, cache: false,
  onProgress: (info: ProgressInfo) => {
    if (info.status === "progress") console.log(info.file, info.loaded / info.total);
    else if (info.status === "tune") console.log(info.state, info.afterMs);
    else if (info.status === "ready") console.log(info.name);
  },
});
const outputs: Record<string, Tensor> = await session.run({
  ids: new Tensor("int64", new BigInt64Array(2), [1, 2]),
});
const names: readonly string[] = session.outputNames;
const away = await InferenceSession.create(new File([], "model.webrt"), {
  worker: true, device: "auto", assets: new URL("https://example.org/webrt/"),
});
await away.run({}, ["a"], { signal: AbortSignal.timeout(1000) });
const times: { webgpu: number; wasm: number } | null = await away.compared;
console.log(times?.wasm, away.deviceInfo.reason?.length);
for (const name of names) {
  const tensor = outputs[name];
  if (tensor.data instanceof Float32Array) tensor.data.fill(tensor.dims[0]);
}
try {
  await session.release();
} catch (error) {
  if (error instanceof PackError) console.log(error.code);
}
await clearCache();
// @ts-expect-error there is no such option
await InferenceSession.create("./pack", { thread: 2 });
// @ts-expect-error a tensor isn't an array
await session.run({ ids: [1, 2] });
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of an application that has the packed package installed."""
    folder = tmp_path_factory.mktemp("application")
    sources = folder / "sources"
    write_package(sources)
    command = ["npm", "pack", "--json", "--pack-destination", str(folder), "--loglevel=error"]
    done = subprocess.run(command, cwd=sources, check=True, capture_output=True, text=True)
    (made,) = json.loads(done.stdout)
    with tarfile.open(folder / made["filename"]) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # none in Python 3.11.2
        archive.extractall(folder)
    (folder / "node_modules").mkdir()
    (folder / "package").rename(folder / "node_modules" / "webrt")
    (folder / "index.html").write_text(
        '<!doctype html><meta charset="utf-8"><title>…</title>'
        '<script type="module" src="./app.js"></script>'
    )
    return folder


def test_it_holds_the_player_and_nothing_else(package: Path) -> None:
    installed = package / "node_modules" / "webrt"
    names = {str(p.relative_to(installed)) for p in installed.rglob("*") if p.is_file()}
    sources = {p.name for p in (ROOT / "web").glob("*.js")}
    sources |= {f"node/{p.name}" for p in (ROOT / "web" / "node").glob("*.js")}
    types = {f"types/{p.name}" for p in (ROOT / "web" / "types").glob("*.d.ts")}
    assert names == {"package.json", "README.md"} | sources | types
    described: dict[str, Any] = json.loads((installed / "package.json").read_text())
    assert described["version"] == __version__
    assert not described.get("dependencies")


def test_it_comes_without_the_sources_comments(package: Path) -> None:
    text = (package / "node_modules" / "webrt" / "session.js").read_text()
    assert "/**" not in text
    assert "class InferenceSession" in text


def test_a_typescript_program_has_its_types(package: Path) -> None:
    (package / "program.ts").write_text(PROGRAM)
    tsc = ["node", str(MODULES / "typescript" / "bin" / "tsc")]
    options = ["--strict", "--noEmit", "--target", "es2022", "--module", "es2022"]
    options += ["--moduleResolution", "bundler", "--lib", "es2023,dom", "--types", ""]
    done = subprocess.run(
        [*tsc, *options, "program.ts"], cwd=package, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout


def title(chromium: Chromium, folder: Path) -> Any:
    """What the application in a folder says on a site of its own."""
    packs = chromium.site.mounts["/packs/"]
    site = Site({"/packs/": packs, "/": folder})
    page = chromium.browser.new_page()
    try:
        page.goto(f"{site.url}/")
        page.wait_for_function("document.title !== '…'", timeout=60_000)
        return json.loads(page.title())
    finally:
        page.close()
        site.close()


SUMS = expected([[1, 2]])["pooled"]["data"]


def test_vite_builds_it(chromium: Chromium, package: Path, sample: str) -> None:
    (package / "app.js").write_text(APP.replace("...OPTIONS", ""))
    vite = ["node", str(MODULES / "vite" / "bin" / "vite.js"), "build", "--logLevel", "warn"]
    subprocess.run([*vite, "--target", "esnext"], cwd=package, check=True, timeout=120)
    assert title(chromium, package / "dist") == [SUMS] * 3


def test_esbuild_bundles_it(chromium: Chromium, package: Path, sample: str) -> None:
    target = package / "bundle"
    target.mkdir()
    (package / "app.js").write_text(APP.replace("...OPTIONS", 'assets: "/webrt/"'))
    esbuild = [str(MODULES / "esbuild" / "bin" / "esbuild"), "app.js", "--bundle", "--minify"]
    options = ["--format=esm", "--outfile=bundle/app.js", "--log-level=warning"]
    subprocess.run([*esbuild, *options], cwd=package, check=True, timeout=120)
    shutil.copy(package / "index.html", target)
    for path in (package / "node_modules" / "webrt").glob("*.js"):
        (target / "webrt").mkdir(exist_ok=True)
        shutil.copy(path, target / "webrt")
    assert title(chromium, target) == [SUMS] * 3
