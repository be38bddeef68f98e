"""The CPU natively, beyond what every device does: threads, modules, memory, kernels that fail."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest
from adapters import WASM, opened
from device_kernels import LAYOUTS, add, add_module, dispatch, floats, uniform

from webrt.codegen import abi, wasm
from webrt.codegen.encoder import Module
from webrt.errors import CompileError, DeviceError, DeviceLostError
from webrt.runtime.device import Device, KernelCode, Pipeline, Slice, WasmCode
from webrt.runtime.devices import wasmtime as device_module
from webrt.runtime.devices.wasmtime import LIMIT, WasmtimeDevice, default_threads, open_device
from webrt.runtime.sync import run_sync
from webrt.tune.records import device_key


@pytest.fixture(params=WASM)
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    with opened(request.param) as device:
        yield device


def kernel(device: Device, module: bytes, scratch: int = 0) -> Pipeline:
    (made,) = run_sync(device.compile([KernelCode("k", WasmCode(module, 0, scratch), LAYOUTS)]))
    return made


def test_describes_itself() -> None:
    with opened("wasm-2") as device:
        assert device.info.adapter == "wasm (relaxed SIMD, 2 threads) in wasmtime"
        assert (device.info.kind, device.info.threads) == ("wasm", 2)
        assert device.info.features == ("relaxed-simd",)
    with opened("wasm-plain-1") as device:
        assert device.info.adapter == "wasm (SIMD, 1 thread) in wasmtime"
        assert device.info.features == ()


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    device = run_sync(open_device())
    assert device.info.threads == default_threads()
    device.close()
    for count in (0, 17):
        with pytest.raises(DeviceError) as caught:
            run_sync(open_device(count))
        assert str(caught.value) == f"{count} threads: expected 1 to 16"
    cores = {0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"}
    monkeypatch.setattr(device_module, "_core", cores.__getitem__)
    monkeypatch.setattr(device_module.os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    assert default_threads() == 2
    monkeypatch.setattr(device_module.os, "sched_getaffinity", lambda _: set(range(99)))
    monkeypatch.setattr(device_module, "_core", str)
    assert default_threads() == 16


def test_kernels_of_several_modules_run_in_one_recording(device: Device) -> None:
    """What a tuner needs: a candidate's module comes later than the pack's."""
    pipelines = [kernel(device, add_module(relaxed=False, plus=plus)) for plus in (0, 10, 200)]
    one, data = device.allocate(16, "one"), device.allocate(16, "data")
    device.upload(one, 0, floats(1, 2, 3, 4))
    slices = Slice(one, 0, 16), Slice(data, 0, 16)
    steps = [dispatch(device, p, *slices) for p in [*pipelines, pipelines[1]]]
    device.replay(device.record(steps, uniform(device, 4)))
    assert run_sync(device.read(data, 16)) == floats(224, 228, 232, 236)


def test_a_module_is_compiled_once(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(device, WasmtimeDevice)
    added: list[bytes] = []
    add_to_crew = device._crew.add

    def adding(module: bytes) -> range:
        added.append(module)
        return add_to_crew(module)

    monkeypatch.setattr(device._crew, "add", adding)
    run_sync(device.compile([add(device)] * 5))
    assert len(added) == 1


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (b"", "kernel k: the module doesn't begin as webrt's do"),
        (bytes(100), "kernel k: the module doesn't begin as webrt's do"),
        (add_module(relaxed=False)[:-9], "kernel k: unexpected end"),
        (
            add_module(relaxed=False).replace(b"\x06replay", b"\x06delays"),
            "kernel k: the module lacks the table or the function that webrt's export",
        ),
        (wasm.module([]), "kernel k: the module has 0 kernels"),
    ],
    ids=["empty", "zeros", "cut", "other exports", "no kernels"],
)
def test_what_is_no_module(device: Device, module: bytes, message: str) -> None:
    with pytest.raises(CompileError) as caught:
        kernel(device, module)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_module_whose_replay_takes_something_else(device: Device) -> None:
    module = Module(abi.TYPES)
    function = module.function(*abi.UNARY, export="replay")
    function.get(0)
    module.table.append(function.index)
    pipeline = kernel(device, module.encode())
    data = device.allocate(32, "data")
    slices = Slice(data, 0, 16), Slice(data, 16, 16)
    recording = device.record([dispatch(device, pipeline, *slices)], uniform(device, 4))
    with pytest.raises(DeviceError, match=r"^running: a kernel failed \(.+\)$"):
        device.replay(recording)


@pytest.mark.parametrize("name", WASM)
@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_kernel_that_fails(name: str, step: int) -> None:
    """It reads outside of the memory; the other workers must not wait for it forever."""
    with opened(name) as device:
        codes = [WasmCode(add_module(relaxed=False), entry, 0) for entry in (0, 1)]
        kernels = [KernelCode("k", code, LAYOUTS) for code in codes]
        good, bad = run_sync(device.compile(kernels))
        data = device.allocate(32, "data")
        slices = Slice(data, 0, 16), Slice(data, 16, 16)
        steps = [dispatch(device, bad if j == step else good, *slices) for j in range(3)]
        recording = device.record(steps, uniform(device, 4))
        with pytest.raises(DeviceError) as caught:
            device.replay(recording)
        reason = "a kernel failed (out of bounds memory access)"
        assert str(caught.value) == f"running: {reason}"
        with pytest.raises(DeviceLostError) as lost:
            run_sync(device.read(data, 16))
        assert str(lost.value) == f"the device was lost: {reason}; load the pack again"


def test_a_run_that_was_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C between the workers' start and the end: the next run must not wait for them."""
    with opened("wasm-2") as device:
        assert isinstance(device, WasmtimeDevice)
        data = device.allocate(32, "data")
        slices = Slice(data, 0, 16), Slice(data, 16, 16)
        steps = [dispatch(device, kernel(device, add_module(relaxed=False)), *slices)]
        recording = device.record(steps, uniform(device, 4))

        def interrupted(*_: int) -> str:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(device._crew, "_first", interrupted)
            with pytest.raises(KeyboardInterrupt):
                device.replay(recording)
        with pytest.raises(DeviceError) as caught:
            device.replay(recording)
        assert str(caught.value) == "running: an earlier run was broken off"


def test_scratch_memory_that_there_is_no_room_for(device: Device) -> None:
    """A kernel that needs too much of it is refused; the others go on with what they have."""
    assert isinstance(device, WasmtimeDevice)
    kernel(device, add_module(relaxed=False), 1024)
    before = device._scratch, set(device._buffers)
    with pytest.raises(DeviceError):
        kernel(device, add_module(relaxed=False), LIMIT // device.info.threads)
    assert (device._scratch, device._buffers) == before


def test_growing_keeps_what_is_there(device: Device) -> None:
    small = device.allocate(256, "small")
    device.upload(small, 0, memoryview(b"kept" * 64))
    large = device.allocate(50 << 20, "large")
    device.upload(large, (50 << 20) - 8, memoryview(b"the last"))
    assert run_sync(device.read(small, 256)) == b"kept" * 64
    assert run_sync(device.read(large, 8)) == bytes(8)
    device.free(large)
    assert device.allocate(4 << 20, "again").address == large.address  # type: ignore[attr-defined]


def test_addresses_beyond_2_gib(device: Device) -> None:
    """They are negative as wasm's i32; the memory is only reserved, not touched."""
    filler = device.allocate(3 << 30, "filler")
    one, data = device.allocate(16, "one"), device.allocate(16, "data")
    device.upload(one, 0, floats(1, 2, 3, 4))
    pipeline = kernel(device, add_module(relaxed=False), scratch=4096)
    slices = Slice(one, 0, 16), Slice(data, 0, 16)
    device.replay(device.record([dispatch(device, pipeline, *slices)], uniform(device, 4)))
    assert run_sync(device.read(data, 16)) == floats(1, 2, 3, 4)
    assert filler.size == 3 << 30
    with pytest.raises(DeviceError) as caught:
        device.allocate(1 << 30, "the rest")
    assert str(caught.value).startswith(
        "allocating 1073741824 bytes for the rest: wasm has 4 GiB of memory, 3221"
    )


def test_every_buffer_ends_before_the_slack() -> None:
    with opened("wasm-1") as device:
        most = device.info.limits.max_buffer_size
        assert abi.FIRST_ADDRESS + most == LIMIT == (1 << 32) - abi.SLACK
        assert device.info.limits.max_total_size is not None
        assert device.info.limits.max_total_size < most


def test_closing_ends_the_threads() -> None:
    before = set(threading.enumerate())
    with opened("wasm-2") as device:
        (thread,) = set(threading.enumerate()) - before
        run_sync(device.compile([add(device)]))
    thread.join(10)
    assert not thread.is_alive()


def test_a_device_that_is_forgotten_ends_its_threads() -> None:
    before = set(threading.enumerate())
    device = run_sync(open_device(3))
    threads = set(threading.enumerate()) - before
    assert len(threads) == 2
    del device
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_without_wasmtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wasmtime", None)
    with pytest.raises(DeviceError, match=r"wasmtime can't be loaded \(.*\): pip install wasmtime"):
        run_sync(open_device())


def test_records_tell_processors_engines_and_threads_apart() -> None:
    keys = set()
    for name in ("wasm-1", "wasm-2", "wasm-plain-1"):
        with opened(name) as device:
            assert device.info.vendor.startswith("wasmtime ")
            assert device.info.vendor.partition(", ")[2]
            keys.add(device_key(device.info))
    assert len(keys) == 3
