"""The Python session under Pyodide, in Chromium: the project's wheel and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from browsers import Chromium
from test_player import expected, rows

PYTHON = """async ({counts}, {wheel, code, args}) => {
  const {loadPyodide} = await import("/pyodide/pyodide.mjs");
  const python = await loadPyodide({indexURL: new URL("/pyodide/", location.href).href});
  python.unpackArchive(await (await fetch(wheel)).arrayBuffer(), "wheel");
  python.globals.set("args", JSON.stringify(args));
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


def python(chromium: Chromium, wheel: str, code: str, args: dict[str, Any]) -> Any:
    return chromium.run(PYTHON, {"wheel": wheel, "code": code, "args": args})


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
