"""The package in Node.js: packs by path and by URL, on threads; it ends when it is through."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from site_server import Site
from test_player import expected, rows

from webrt.cli.export import write_package
from webrt.pack.archive import write_archive

PROGRAM = """
import { readFile } from "node:fs/promises";
import { InferenceSession, Tensor } from "webrt";

const { source, bytes, options, ids } = JSON.parse(process.argv[2]);
const given = bytes ? [await readFile(source), options] : [source, options];
try {
  const session = await InferenceSession.create(...given);
  const outputs = await session.run({
    ids: new Tensor("int64", ids.flat(), [ids.length, ids[0].length]),
    scale: new Tensor("float32", [1, 2, 3, 4], [4]),
  });
  const shown = {};
  for (const [name, tensor] of Object.entries(outputs)) {
    const data = Array.from(await tensor.getData(), Number);
    shown[name] = { type: tensor.type, dims: tensor.dims, data };
  }
  const { kind, threads } = session.deviceInfo;
  console.log(JSON.stringify({ outputs: shown, kind, threads }));
} catch (error) {
  console.log(JSON.stringify({ name: error.name, message: error.message }));
}
"""
IDS = rows(2, 3)


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a program and the package installed."""
    folder = tmp_path_factory.mktemp("application")
    write_package(folder / "node_modules" / "webrt")
    (folder / "program.mjs").write_text(PROGRAM)
    return folder


def run(application: Path, source: object, bytes_: bool = False, **options: object) -> Any:
    """What the program prints; it has to end by itself, though nobody closes the session."""
    job = {"source": str(source), "bytes": bytes_, "options": options, "ids": IDS}
    done = subprocess.run(
        ["node", "program.mjs", json.dumps(job)],
        cwd=application, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_pack_by_path_and_by_url(
    application: Path, packs: Path, sample: str, site: Site, tmp_path: Path
) -> None:
    folder = packs / Path(sample).name
    (application / "beside").symlink_to(folder)
    archive = tmp_path / "sample.webrt"
    write_archive(folder, archive)
    for source in (folder, "./beside", folder.as_uri(), f"{site.url}{sample}", archive):
        assert run(application, source)["outputs"] == expected(IDS), source
    assert run(application, archive, bytes_=True)["outputs"] == expected(IDS)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_on_threads(application: Path, packs: Path, sample: str, threads: int) -> None:
    found = run(application, packs / Path(sample).name, threads=threads, worker=True)
    assert found == {"outputs": expected(IDS), "kind": "wasm", "threads": threads}


def test_errors(application: Path, packs: Path, sample: str, tmp_path: Path) -> None:
    found = run(application, tmp_path / "nothing")
    assert found["name"] == "PackError"
    assert "nothing/manifest.json: HTTP status 404" in found["message"]
    found = run(application, packs / Path(sample).name, device="webgpu")
    assert found["name"] == "DeviceError"
