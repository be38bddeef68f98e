"""Sessions on the sample pack: results, shapes, counters, errors word for word."""

from __future__ import annotations

import array
import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from adapters import ADAPTERS, opened
from sample_pack import TABLE_VALUES, write_sample

from webrt.errors import DeviceError, DeviceLostError, PackError, ShapeError, UsageError
from webrt.runtime import session as session_module
from webrt.runtime.device import Dispatch
from webrt.runtime.devices.wgpu import WgpuDevice, WgpuRecording
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


@pytest.fixture(params=ADAPTERS, scope="module")
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
    assert session.compiled_kernels == 4


def test_nothing_is_allocated_in_the_steady_state(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = ids_of(2, 5)
    session.run({"ids": ids, "scale": SCALE})
    made: list[str] = []
    for name in ("allocate", "compile", "record"):
        monkeypatch.setattr(WgpuDevice, name, lambda *_, name=name: made.append(name))
    check(session.run({"ids": ids, "scale": SCALE}), ids)
    assert made == []


def test_a_smaller_shape_reuses_the_buffers(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.run({"ids": ids_of(4, 40), "scale": SCALE})
    labels: list[str] = []
    allocate = WgpuDevice.allocate

    def counting(device: WgpuDevice, size: int, label: str) -> object:
        labels.append(label)
        return allocate(device, size, label)

    monkeypatch.setattr(WgpuDevice, "allocate", counting)
    ids = ids_of(4, 39)
    check(session.run({"ids": ids, "scale": SCALE}), ids)
    assert labels == ["symbols"]


def test_old_recordings_are_dropped(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "MAX_RECORDINGS", 2)
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
        session = run_sync(Session.open(FolderSource(folder), device))
        session.run({"ids": IDS, "scale": SCALE})
        device.raw.destroy()
        for _ in range(2):
            with pytest.raises(DeviceLostError, match="; load the pack again"):
                session.run({"ids": IDS, "scale": SCALE})


def test_a_failed_allocation_leaves_the_session_usable(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened() as device:
        session = run_sync(Session.open(FolderSource(folder), device))
        ids = ids_of(2, 3)
        session.run({"ids": ids, "scale": SCALE})
        allocate = WgpuDevice.allocate

        def failing(device: WgpuDevice, size: int, label: str) -> object:
            if label == "arena":
                raise DeviceError("out of memory")
            return allocate(device, size, label)

        with monkeypatch.context() as patch:
            patch.setattr(WgpuDevice, "allocate", failing)
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


@pytest.mark.parametrize("name", ["manifest.json", "weights-00000.safetensors"])
def test_a_flipped_byte_closes_the_device(folder: Path, tmp_path: Path, name: str) -> None:
    for file in folder.iterdir():
        data = bytearray(file.read_bytes())
        if file.name == name:
            data[len(data) // 2] ^= 1
        (tmp_path / file.name).write_bytes(data)
    with opened() as device:
        with pytest.raises(PackError, match="was altered"):
            run_sync(Session.open(FolderSource(tmp_path), device))
        with pytest.raises(DeviceError, match="the device is closed"):
            device.allocate(16, "late")


def test_a_missing_shard(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes((folder / "manifest.json").read_bytes())
    with opened() as device, pytest.raises(PackError, match="no such file; the pack is incomplete"):
        run_sync(Session.open(FolderSource(tmp_path), device))
