"""What every Device does, held on each: memory, uploads, reads, compilation, replay, errors."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest
from adapters import ADAPTERS, DEVICES, opened
from device_kernels import add, broken, dispatch, floats, uniform

from webrt.errors import CompileError, DeviceError, DeviceLostError
from webrt.runtime.device import Device, Slice
from webrt.runtime.devices.wgpu import WgpuDevice
from webrt.runtime.sync import run_sync


@pytest.fixture(params=DEVICES, scope="module")
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    with opened(request.param) as device:
        yield device


def test_info(device: Device) -> None:
    info = device.info
    assert info.kind in ("webgpu", "wasm")
    assert info.threads >= 1
    assert info.adapter_class == "cpu"
    assert info.is_software
    assert info.adapter
    # The least that WebGPU promises of every adapter.
    assert info.limits.max_buffer_size >= 256 << 20
    assert info.limits.max_storage_buffer_binding_size >= 128 << 20
    assert info.limits.max_storage_buffers_per_shader_stage >= 8
    assert info.limits.max_compute_workgroups_per_dimension >= 65535
    assert info.limits.min_storage_buffer_offset_alignment <= 256


def test_memory_is_zeroed(device: Device) -> None:
    buffer = device.allocate(1024, "zeros")
    assert buffer.size == 1024
    assert run_sync(device.read(buffer, 1024)) == bytes(1024)


def test_upload_and_read(device: Device) -> None:
    buffer = device.allocate(64, "data")
    device.upload(buffer, 8, memoryview(b"abcdefgh"))
    assert run_sync(device.read(buffer, 20)) == bytes(8) + b"abcdefgh" + bytes(4)


def test_read_many_in_order(device: Device) -> None:
    buffers = [device.allocate(256, f"b{j}") for j in range(3)]
    for j, buffer in enumerate(buffers):
        device.upload(buffer, 0, memoryview(bytes([j + 1]) * 12))
    read = run_sync(device.read_many([(buffers[2], 12), (buffers[0], 4), (buffers[1], 0)]))
    assert read == [b"\3" * 12, b"\1" * 4, b""]
    assert run_sync(device.read_many([])) == []


def test_replay_runs_dispatches_in_order_every_time(device: Device) -> None:
    (made,) = run_sync(device.compile([add(device)]))
    one = device.allocate(16, "one")
    data = device.allocate(768, "data")
    device.upload(one, 0, floats(1, 2, 3, 4))
    first, second = Slice(data, 0, 16), Slice(data, 256, 16)
    whole = Slice(one, 0, 16)
    # The second dispatch needs what the first has stored; the last element is guarded off.
    pairs = [(whole, first), (first, second)]
    dispatches = [dispatch(device, made, s, t) for s, t in pairs]
    recording = device.record(dispatches, uniform(device, 3))
    device.replay(recording)
    assert run_sync(device.read(data, 272))[256:] == floats(1, 2, 3, 0)
    device.replay(recording)
    assert run_sync(device.read(data, 272))[256:] == floats(3, 6, 9, 0)


def test_constants_are_bound_read_only(device: Device) -> None:
    (made,) = run_sync(device.compile([add(device, constant=True)]))
    one, data = device.allocate(512, "one"), device.allocate(16, "data")
    device.upload(one, 256, floats(5, 6, 7, 8))
    slices = (Slice(one, 256, 16), Slice(data, 0, 16))
    device.replay(device.record([dispatch(device, made, *slices)], uniform(device, 4)))
    assert run_sync(device.read(data, 16)) == floats(5, 6, 7, 8)


def test_long_recordings_are_cut_into_submissions(device: Device) -> None:
    (made,) = run_sync(device.compile([add(device)]))
    one, data = device.allocate(16, "one"), device.allocate(16, "data")
    device.upload(one, 0, floats(1, 1, 1, 1))
    slices = (Slice(one, 0, 16), Slice(data, 0, 16))
    dispatches = [replace(dispatch(device, made, *slices), cost=150.0) for _ in range(7)]
    recording = device.record(dispatches, uniform(device, 4))
    device.replay(recording)
    assert run_sync(device.read(data, 16)) == floats(7, 7, 7, 7)
    if isinstance(device, WgpuDevice):
        assert [len(s) for s in recording.submissions] == [1] * 7  # type: ignore[attr-defined]


def test_compile_reports_progress_and_keeps_order(device: Device) -> None:
    seen: list[tuple[int, int]] = []
    made = run_sync(
        device.compile([add(device), add(device)], lambda done, total: seen.append((done, total)))
    )
    assert len(made) == 2
    assert seen == [(1, 2), (2, 2)]


def test_a_refused_kernel_is_named(device: Device) -> None:
    with pytest.raises(CompileError) as caught:
        run_sync(device.compile([add(device), broken(device)]))
    message = str(caught.value)
    assert message.startswith("kernel broken: ")
    assert "\n" not in message
    assert len(message) > len("kernel broken: ")
    assert caught.value.__notes__  # the compiler's whole text, and the WGSL


def test_too_large_an_allocation_is_an_error(device: Device) -> None:
    size = (device.info.limits.max_buffer_size + 16) // 16 * 16
    with pytest.raises(DeviceError, match=f"allocating {size} bytes for weights 3: ") as caught:
        device.allocate(size, "weights 3")
    assert "\n" not in str(caught.value)


def test_free_twice_is_harmless(device: Device) -> None:
    buffer = device.allocate(16, "short-lived")
    device.free(buffer)
    device.free(buffer)


def test_async_reads_overlap(device: Device) -> None:
    async def both() -> list[bytes]:
        first, second = device.allocate(16, "first"), device.allocate(16, "second")
        device.upload(first, 0, memoryview(b"1" * 16))
        device.upload(second, 0, memoryview(b"2" * 16))
        return list(await asyncio.gather(device.read(first, 4), device.read(second, 8)))

    assert asyncio.run(both()) == [b"1111", b"22222222"]


def test_sync_calls_work_inside_a_running_loop(device: Device) -> None:
    async def blocking() -> bytes:
        return run_sync(device.read(device.allocate(16, "zeros"), 4))

    assert asyncio.run(blocking()) == bytes(4)


@pytest.mark.parametrize("adapter", DEVICES)
def test_closed_device(adapter: str) -> None:
    with opened(adapter) as device:
        device.close()
        device.close()
        with pytest.raises(DeviceError, match="the device is closed"):
            device.allocate(16, "late")


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_lost_device(adapter: str) -> None:
    with opened(adapter) as device:
        assert isinstance(device, WgpuDevice)
        buffer = device.allocate(16, "data")
        device.raw.destroy()  # what a driver's reset looks like from here
        with pytest.raises(DeviceLostError) as caught:
            device.upload(buffer, 0, memoryview(bytes(16)))
        assert str(caught.value).startswith("upload: the device was lost (")
        assert str(caught.value).endswith("; load the pack again")
        with pytest.raises(DeviceLostError):
            run_sync(device.compile([add(device)]))
        with pytest.raises(DeviceLostError):
            run_sync(device.read(buffer, 16))


def test_an_adapter_by_name() -> None:
    with pytest.raises(DeviceError, match="no WebGPU adapter named 'Voodoo'"), opened("Voodoo"):
        pass


def test_a_freed_buffer_is_zeroed_when_it_comes_again(device: Device) -> None:
    for size in (1024, 512, 4096):
        buffer = device.allocate(size, "data")
        assert run_sync(device.read(buffer, size)) == bytes(size)
        device.upload(buffer, 0, memoryview(b"\xff" * size))
        device.free(buffer)


def test_recordings_are_given_back(device: Device) -> None:
    (made,) = run_sync(device.compile([add(device)]))
    one, data = device.allocate(16, "one"), device.allocate(16, "data")
    device.upload(one, 0, floats(1, 2, 3, 4))
    symbols = uniform(device, 4)
    slices = (Slice(one, 0, 16), Slice(data, 0, 16))
    for _ in range(3):
        recording = device.record([dispatch(device, made, *slices)], symbols)
        device.replay(recording)
        device.discard(recording)
    assert run_sync(device.read(data, 16)) == floats(3, 6, 9, 12)


def test_nothing_to_run(device: Device) -> None:
    device.replay(device.record([], uniform(device, 4)))


def test_long_chains_stay_in_order(device: Device) -> None:
    """Every step depends on the one before: x1 += x0, then x0 += x1, as Fibonacci did."""
    (made,) = run_sync(device.compile([add(device)]))
    count, units = 8, 3000
    size = 4 * units
    left, right = device.allocate(size, "left"), device.allocate(size, "right")
    device.upload(left, 0, floats(*range(units)))
    pair = [Slice(left, 0, size), Slice(right, 0, size)]
    steps = [dispatch(device, made, *pair[:: 1 - 2 * (j % 2)], units=units) for j in range(count)]
    recording = device.record(steps, uniform(device, units))
    for _ in range(2):
        device.replay(recording)
    first, second = 1, 0
    for _ in range(count):  # two steps, twice
        second += first
        first += second
    found = memoryview(run_sync(device.read(left, size))).cast("f")
    assert found.tolist() == [i * first for i in range(units)]
