"""The public API: what it names, and the way from a model to results in a few lines."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path

import numpy as np
import pytest
from sample_pack import write_sample

import webrt
from webrt.runtime.devices import wgpu

FEEDS = {"ids": np.array([[1, 2]]), "scale": np.ones(4, np.float32)}


def test_all() -> None:
    assert webrt.__all__ == [
        "CompileError", "DeviceError", "DeviceLostError", "ModelError", "PackError", "ShapeError",
        "UnsupportedOpError", "UsageError", "WebrtError", "__version__", "errors", "load",
        "load_async", "pack",
    ]  # fmt: skip
    for name in webrt.__all__:
        assert hasattr(webrt, name)


def test_pack_stays_a_function() -> None:
    """The subpackage of the same name must not take its place, whoever imports it."""
    from webrt.pack.read import read_pack
    from webrt.pack.write import write_pack

    assert inspect.isfunction(webrt.pack)
    assert inspect.isfunction(read_pack)
    assert inspect.isfunction(write_pack)


def test_every_error_is_one_of_ours() -> None:
    for name in webrt.__all__:
        if name.endswith("Error"):
            assert issubclass(getattr(webrt, name), webrt.WebrtError)
            assert getattr(webrt, name) is getattr(webrt.errors, name)


def test_load(tmp_path: Path) -> None:
    write_sample(tmp_path / "pack")
    with webrt.load(tmp_path / "pack", device="webgpu") as session:
        assert session.run(FEEDS)["mask"].tolist() == [[True, True]]
        assert session.compiled_kernels == 4
    with webrt.load(str(tmp_path / "pack"), "webgpu") as session:
        assert [i.name for i in session.inputs] == ["ids", "scale"]


def test_load_async(tmp_path: Path) -> None:
    write_sample(tmp_path / "pack")

    async def main() -> object:
        with await webrt.load_async(tmp_path / "pack", device="webgpu") as session:
            outputs = await session.run_async(FEEDS)
            return outputs["pooled"].tolist()

    assert asyncio.run(main()) == [[3.0, 3.5, 4.0, 4.5]]


def test_load_inside_a_running_loop(tmp_path: Path) -> None:
    """Notebooks run a loop: blocking calls work there all the same."""
    write_sample(tmp_path / "pack")

    async def main() -> object:
        with webrt.load(tmp_path / "pack", device="webgpu") as session:
            return session.run(FEEDS)["mask"].tolist()

    assert asyncio.run(main()) == [[True, True]]


def test_a_missing_pack_is_told_before_a_device_is_opened(tmp_path: Path) -> None:
    with pytest.raises(webrt.PackError) as caught:
        webrt.load(tmp_path / "none")
    assert str(caught.value) == (
        f"{tmp_path / 'none'}: no such folder; make a pack with `webrt pack`"
    )


def test_unknown_device(tmp_path: Path) -> None:
    with pytest.raises(webrt.DeviceError) as caught:
        webrt.load(tmp_path, device="cuda")
    assert str(caught.value) == "unknown device 'cuda': expected auto, webgpu or wasm"


def test_auto_is_a_gpu_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sample(tmp_path / "pack")
    monkeypatch.setattr(wgpu, "open_hardware", wgpu.open_device)
    with webrt.load(tmp_path / "pack") as session:
        assert session.device_info.kind == "webgpu"


def test_auto_is_the_cpu_where_there_is_no_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Software adapters, which these tests have, are no GPUs."""
    write_sample(tmp_path / "pack")
    monkeypatch.setattr(wgpu, "_may_have_gpu", lambda: True)
    with webrt.load(tmp_path / "pack", threads=2) as session:
        assert session.device_info.kind == "wasm"
        assert session.device_info.threads == 2
    monkeypatch.setattr(wgpu, "_may_have_gpu", lambda: False)
    monkeypatch.setattr(wgpu, "_adapters", lambda: pytest.fail("asked for adapters"))
    with webrt.load(tmp_path / "pack") as session:
        assert session.device_info.kind == "wasm"


def test_a_gpu_that_does_not_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_sample(tmp_path / "pack")

    async def failing() -> None:
        raise webrt.DeviceError("request_device: out of memory")

    monkeypatch.setattr(wgpu, "open_hardware", failing)
    with webrt.load(tmp_path / "pack") as session:
        assert session.device_info.kind == "wasm"
    assert [r.getMessage() for r in caplog.records] == [
        "the GPU can't be used (request_device: out of memory): running on the CPU"
    ]


def test_threads_are_for_the_cpu(tmp_path: Path) -> None:
    with pytest.raises(webrt.UsageError) as caught:
        webrt.load(tmp_path, device="webgpu", threads=2)
    assert str(caught.value) == "threads are for the wasm device, not for webgpu"
