"""Sessions on the sample pack: results, shapes, counters, errors word for word."""

from __future__ import annotations

import array
import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from adapters import DEVICES, WASM, opened
from sample_pack import TABLE_VALUES, write_sample

from webrt.errors import DeviceError, DeviceLostError, PackError, ShapeError, UsageError
from webrt.pack.read import read_pack
from webrt.runtime import flow as flow_module
from webrt.runtime.device import Device, Dispatch
from webrt.runtime.devices.wgpu import WgpuDevice, WgpuRecording
from webrt.runtime.kernels import compile_kernels
from webrt.runtime.memory import Weights
from webrt.runtime.session import Progress, Session
from webrt.runtime.source import FolderSource
from webrt.runtime.sync import run_sync

TABLE = np.array(TABLE_VALUES, np.float32)
SCALE = np.array([1, 2, 3, 4], np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("packs") / "sample"
    write_sample(target)
    return target


@pytest.fixture(params=DEVICES, scope="module")
def session(request: pytest.FixtureRequest, folder: Path) -> Iterator[Session]:
    with opened(request.param) as device:
        yield run_sync(Session.open(FolderSource(folder), device))


def ids_of(batch: int, length: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(batch * 100 + length).integers(0, 10, (batch, length))


def check(outputs: dict[str, Any], ids: npt.NDArray[np.int64]) -> None:
    np.testing.assert_allclose(outputs["hidden"], TABLE[ids] * SCALE, rtol=1e-6)
    np.testing.assert_allclose(outputs["pooled"], TABLE[ids].sum(1), rtol=1e-5)
    np.testing.assert_array_equal(outputs["mask"], ids > 0)
    np.testing.assert_array_equal(outputs["echo"], ids)
    np.testing.assert_array_equal(outputs["release"], [2, 0, 1])
    assert {n: a.dtype.name for n, a in outputs.items()} == {
        "hidden": "float32", "pooled": "float32", "mask": "bool", "echo": "int64",
        "release": "int64",
    }  # fmt: skip


def test_every_shape_from_one_session(session: Session) -> None:
    for batch, length in [(2, 3), (1, 1), (3, 300), (1, 7), (2, 3), (17, 64)]:
        ids = ids_of(batch, length)
        check(session.run({"ids": ids, "scale": SCALE}), ids)
    assert session.compiled_kernels == (5 if session.device_info.kind == "wasm" else 4)


def test_nothing_is_allocated_in_the_steady_state(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = ids_of(2, 5)
    session.run({"ids": ids, "scale": SCALE})
    made: list[str] = []
    for name in ("allocate", "compile", "record"):
        device = type(session._device)
        monkeypatch.setattr(device, name, lambda *_, name=name: made.append(name))
    check(session.run({"ids": ids, "scale": SCALE}), ids)
    assert made == []


def test_a_smaller_shape_reuses_the_buffers(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.run({"ids": ids_of(4, 40), "scale": SCALE})
    labels: list[str] = []
    device = type(session._device)
    allocate = device.allocate

    def counting(self: Device, size: int, label: str) -> object:
        labels.append(label)
        return allocate(self, size, label)

    monkeypatch.setattr(device, "allocate", counting)
    ids = ids_of(4, 39)
    check(session.run({"ids": ids, "scale": SCALE}), ids)
    assert labels == (
        ["symbols", "a program"] if session.device_info.kind == "wasm" else ["symbols"]
    )


def test_old_recordings_are_dropped(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_module, "MAX_SHAPES", 2)
    for length in [5, 6, 7, 8, 5, 6]:
        ids = ids_of(1, length)
        check(session.run({"ids": ids, "scale": SCALE}), ids)


def test_describes_itself(session: Session) -> None:
    assert [(i.name, i.dtype, i.shape) for i in session.inputs] == [
        ("ids", "int64", ("batch", "length")),
        ("scale", "float32", (4,)),
    ]
    assert str(session.outputs[0]) == "float32 [batch, length, 4]"
    assert [o.name for o in session.outputs] == ["hidden", "pooled", "mask", "echo", "release"]
    assert session.adapter == session.device_info.adapter


def test_async_runs_may_overlap(session: Session) -> None:
    batches = [ids_of(2, 9), ids_of(2, 9)[::-1], ids_of(3, 9)]

    async def all_of_them() -> list[dict[str, Any]]:
        runs = [session.run_async({"ids": i, "scale": SCALE}) for i in batches]
        return list(await asyncio.gather(*runs))

    for outputs, ids in zip(asyncio.run(all_of_them()), batches, strict=True):
        check(outputs, ids)


def test_threads_take_turns(session: Session) -> None:
    batches = [ids_of(1 + n % 3, 4 + n % 2) for n in range(12)]
    with ThreadPoolExecutor(4) as pool:
        results = pool.map(lambda ids: session.run({"ids": ids, "scale": SCALE}), batches)
        for outputs, ids in zip(results, batches, strict=True):
            check(outputs, ids)


def test_other_containers_go_in(session: Session) -> None:
    expected = session.run({"ids": np.array([[1, 2]]), "scale": SCALE})
    scale = array.array("f", [1, 2, 3, 4])
    found = session.run({"ids": [[1, 2]], "scale": scale})
    np.testing.assert_array_equal(found["hidden"], expected["hidden"])
    fortran = np.asfortranarray(np.array([[1, 2, 3], [4, 5, 6]]))
    check(session.run({"ids": fortran, "scale": SCALE}), np.ascontiguousarray(fortran))


def test_without_numpy(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    from webrt.runtime import arrays

    monkeypatch.setattr(arrays, "_numpy", lambda: None)
    outputs = session.run({"ids": [[1, 0], [9, 3]], "scale": [1.0, 1, 1, 1]})
    assert outputs["mask"].tolist() == [[True, False], [True, True]]
    assert outputs["echo"].tolist() == [[1, 0], [9, 3]]
    assert outputs["hidden"].tolist()[1][0] == [9.0, 9.25, 9.5, 9.75]
    assert outputs["release"].tolist() == [2, 0, 1]
    assert outputs["release"].shape == (3,)


def test_trace_reads_every_step(session: Session) -> None:
    ids = ids_of(2, 3)
    traced = session.trace({"ids": ids, "scale": SCALE})
    np.testing.assert_allclose(traced[3], TABLE[ids])
    assert sorted(traced) == [3, 4, 5, 6]
    check(session.run({"ids": ids, "scale": SCALE}), ids)


IDS = np.array([[1, 2, 3]])


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({"ids": IDS}, "input 'scale' is missing: expected float32 [4]"),
        (
            {"ids": IDS, "scale": SCALE, "mask": IDS},
            "unknown input 'mask': this model's inputs are ids, scale",
        ),
        (
            {"ids": IDS.astype(np.int32), "scale": SCALE},
            "input 'ids': expected int64 [batch, length], found int32 [1, 3]",
        ),
        (
            {"ids": IDS, "scale": SCALE.astype(np.float64)},
            "input 'scale': expected float32 [4], found float64 [4]",
        ),
        (
            {"ids": IDS[0], "scale": SCALE},
            "input 'ids': expected int64 [batch, length], found int64 [3]",
        ),
        (
            {"ids": IDS, "scale": SCALE[:3]},
            "input 'scale': expected 4 at axis 0, found 3 in [3]",
        ),
        (
            {"ids": np.zeros((0, 3), np.int64), "scale": SCALE},
            "input 'ids': batch at axis 0 is 0, expected 1 to 1048576",
        ),
        (
            {"ids": np.zeros((1, 4097), np.int64), "scale": SCALE},
            "input 'ids': length at axis 1 is 4097, expected 1 to 4096",
        ),
        (
            {"ids": np.array([[1, 10]]), "scale": SCALE},
            "input 'ids': the value 10 is outside of 0 … 9",
        ),
        (
            {"ids": np.array([[1, -1]]), "scale": SCALE},
            "input 'ids': the value -1 is outside of 0 … 9",
        ),
        (
            {"ids": np.array([[1 << 40]]), "scale": SCALE},
            "input 'ids': the value 1099511627776 is outside of 0 … 9",
        ),
        (
            {"ids": "text", "scale": SCALE},
            "input 'ids': expected int64 [batch, length], found a str",
        ),
        (
            {"ids": [[1], [2, 3]], "scale": SCALE},
            "input 'ids': expected int64 [batch, length], found a ragged list",
        ),
        (
            {"ids": [[1.5]], "scale": SCALE},
            "input 'ids': expected int64 [batch, length], found floats",
        ),
        (
            {"ids": np.array([["a"]], object), "scale": SCALE},
            "input 'ids': expected int64 [batch, length], found object",
        ),
    ],
)
def test_feeds_that_do_not_fit(session: Session, feeds: dict[str, object], message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        session.run(feeds)
    assert str(caught.value) == message


def test_limits_are_checked_before_anything_is_allocated(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened() as device:
        session = run_sync(Session.open(FolderSource(folder), device))
        most = device.info.limits.max_storage_buffer_binding_size
        monkeypatch.setattr(device, "allocate", lambda *_: pytest.fail("allocated"))
        length = most // 16 + 1
        ids = np.zeros((length // 9 + 1, 9), np.int64)
        with pytest.raises(DeviceError, match="/embed/Gather: a tensor of ") as caught:
            session.run({"ids": ids, "scale": SCALE})
        assert str(caught.value).endswith(f" binds at once, {most}; try smaller inputs")


def test_costs_cut_long_plans(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    record = WgpuDevice.record

    def watching(device: WgpuDevice, dispatches: list[Dispatch], uniform: Any) -> WgpuRecording:
        seen.extend(d.cost for d in dispatches)
        return record(device, dispatches, uniform)

    monkeypatch.setattr(WgpuDevice, "record", watching)
    with opened() as device:
        session = run_sync(Session.open(FolderSource(folder), device))
        session.run({"ids": ids_of(10, 100), "scale": SCALE})
    assert seen == [0.002, 0.002, 0.00002, 0.0005]


def test_lost_device(folder: Path) -> None:
    with opened() as device:
        assert isinstance(device, WgpuDevice)
        session = run_sync(Session.open(FolderSource(folder), device))
        session.run({"ids": IDS, "scale": SCALE})
        device.raw.destroy()
        for _ in range(2):
            with pytest.raises(DeviceLostError, match="; load the pack again"):
                session.run({"ids": IDS, "scale": SCALE})


@pytest.mark.parametrize("name", ["llvmpipe", "wasm-2"])
def test_a_failed_allocation_leaves_the_session_usable(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(name) as device:
        session = run_sync(Session.open(FolderSource(folder), device))
        ids = ids_of(2, 3)
        session.run({"ids": ids, "scale": SCALE})
        allocate = device.allocate

        def failing(size: int, label: str) -> object:
            if label == "arena":
                raise DeviceError("out of memory")
            return allocate(size, label)

        with monkeypatch.context() as patch:
            patch.setattr(device, "allocate", failing)
            with pytest.raises(DeviceError, match="out of memory"):
                session.run({"ids": ids_of(9, 99), "scale": SCALE})
        check(session.run({"ids": ids, "scale": SCALE}), ids)
        check(session.run({"ids": ids_of(9, 99), "scale": SCALE}), ids_of(9, 99))


def test_closed_session(folder: Path) -> None:
    with opened() as device:
        with run_sync(Session.open(FolderSource(folder), device)) as session:
            session.run({"ids": IDS, "scale": SCALE})
        session.close()
        with pytest.raises(UsageError, match="the session is closed"):
            session.run({"ids": IDS, "scale": SCALE})


def test_progress(folder: Path) -> None:
    seen: list[Progress] = []
    with opened() as device:
        run_sync(Session.open(FolderSource(folder), device, seen.append))
    assert seen[0] == Progress("kernels", 1, 4)
    assert seen[-1] == Progress("weights", 1, 1)


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("llvmpipe", "manifest.json"),
        ("llvmpipe", "weights-00000.safetensors"),
        ("wasm-1", "weights-00000.safetensors"),
        ("wasm-1", "kernels-relaxed.wasm"),
        ("wasm-plain-1", "kernels.wasm"),
    ],
)
def test_a_flipped_byte_closes_the_device(
    folder: Path, tmp_path: Path, device: str, name: str
) -> None:
    for file in folder.iterdir():
        data = bytearray(file.read_bytes())
        if file.name == name:
            data[len(data) // 2] ^= 1
        (tmp_path / file.name).write_bytes(data)
    with opened(device) as opened_device:
        with pytest.raises(PackError, match="was altered") as caught:
            run_sync(Session.open(FolderSource(tmp_path), opened_device))
        assert str(caught.value).startswith(f"{tmp_path}/{name}: ")
        with pytest.raises(DeviceError, match="the device is closed"):
            opened_device.allocate(16, "late")


@pytest.mark.parametrize(
    ("name", "missing"),
    [("llvmpipe", "weights-00000.safetensors"), ("wasm-1", "kernels-relaxed.wasm")],
)
def test_a_missing_file(folder: Path, tmp_path: Path, name: str, missing: str) -> None:
    for file in folder.iterdir():
        if file.name != missing:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with opened(name) as device, pytest.raises(PackError) as caught:
        run_sync(Session.open(FolderSource(tmp_path), device))
    assert str(caught.value) == f"{tmp_path}/{missing}: no such file; the pack is incomplete"


@pytest.mark.parametrize("name", WASM)
def test_constants_in_panels_are_on_the_device_once(folder: Path, name: str) -> None:
    with opened(name) as device:
        session = run_sync(Session.open(FolderSource(folder), device))
        assert session._weights.slices == {}  # nothing reads the table as it is, nor `release`
        ((tensor, packer),) = session._weights.panels
        panel = session._weights.panels[tensor, packer]
        assert (tensor, packer) == (2, 0)
        found = np.frombuffer(run_sync(device.read(panel.buffer, 160)), np.float32)
        np.testing.assert_array_equal(found.reshape(4, 10), TABLE.T)
        assert session._weights.total == 256


@pytest.mark.parametrize("name", ["wasm-1", "wasm-2"])
def test_memory_of_4_gib_is_counted_before_anything_is_allocated(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(name) as device:
        session = run_sync(Session.open(FolderSource(folder), device))
        monkeypatch.setattr(device, "allocate", lambda *_: pytest.fail("allocated"))
        most = device.info.limits.max_total_size
        # ids 4 bytes, hidden 16, its parts in the arena 16, the mask 4: each tensor fits alone.
        with pytest.raises(DeviceError) as caught:
            session._runner.bound((26_200, 4096), session._kernels)
        assert str(caught.value).startswith("weights, inputs, outputs and activations of 429")
        assert str(caught.value).endswith(
            f" bytes in all pass the {most} that {device.info.adapter} has;"
            " try smaller inputs, or a GPU"
        )


def test_weights_of_4_gib_are_counted_before_anything_is_allocated(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened("wasm-1") as device:
        pack = read_pack(folder)
        kernels = run_sync(compile_kernels(pack, FolderSource(folder), device))
        monkeypatch.setattr(device, "allocate", lambda *_: pytest.fail("allocated"))
        packer = replace(pack.wasm.packers[0], bytes=1 << 30)
        Weights(replace(pack, wasm=replace(pack.wasm, packers=(packer,))), device, kernels)
        tensors = (*pack.plan.tensors, *[pack.plan.tensors[2]] * 3)
        steps = [replace(pack.plan.steps[0], inputs=(0, table)) for table in (2, 8, 9, 10)]
        plan = replace(pack.plan, tensors=tensors, steps=tuple(steps))
        places = {t: pack.placements[2] for t in (2, 8, 9, 10)}
        large = replace(
            pack, plan=plan, placements=places, wasm=replace(pack.wasm, packers=(packer,))
        )
        with pytest.raises(DeviceError, match=r"^weights of 4294967552 bytes in all pass the "):
            Weights(large, device, kernels)
