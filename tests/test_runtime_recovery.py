"""A session whose device is lost has another one: right answers or typed errors, never others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapters import WASM
from sample_pack import write_sample
from test_runtime_session import SCALE, check, ids_of

from webrt.errors import DeviceError, DeviceLostError, PackError
from webrt.kernel.problem import specialise
from webrt.runtime import load as load_module
from webrt.runtime.device import Device
from webrt.runtime.devices import wasmtime, wgpu
from webrt.runtime.load import Opening
from webrt.runtime.session import Session
from webrt.runtime.source import FolderSource
from webrt.runtime.sync import run_sync
from webrt.tune.candidate import candidates, generate

IDS = ids_of(2, 3)
FEEDS = {"ids": IDS, "scale": SCALE}
Plant = Callable[[Device], None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("packs") / "sample"
    write_sample(target)
    return target


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module, "PAUSES", (0.0, 0.001, 0.001))


class Machine:
    """Opens devices, unless `broken` says why there is none."""

    def __init__(self) -> None:
        self.had: list[Device] = []
        self.broken: dict[str, Exception] = {}

    async def open(self, name: str) -> Device:
        if name in self.broken:
            raise self.broken[name]
        if name == "wasm":
            self.had.append(await wasmtime.open_device(*WASM["wasm-2"]))
        else:
            self.had.append(await wgpu.open_device("llvmpipe"))
        return self.had[-1]

    def session(self, folder: Path, asked: str = "webgpu") -> Session:
        opening = Opening(asked, self.open)
        device = run_sync(self.open(asked))
        return run_sync(Session.open(FolderSource(folder), device, opening=opening))


@pytest.fixture
def machine() -> Iterator[Machine]:
    made = Machine()
    yield made
    for device in made.had:
        device.close()


def lose(device: Device) -> None:
    if isinstance(device, wgpu.WgpuDevice):
        device.raw.destroy()
    else:
        device._lost = "planted"  # type: ignore[attr-defined]


def planted(device: Device, stage: str, befall: Plant) -> None:
    """`befall` the device in the next call of a method."""
    original = getattr(device, stage)

    def falling(*args: Any) -> Any:
        delattr(device, stage)
        befall(device)
        return original(*args)

    setattr(device, stage, falling)


def same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert {k: v.tobytes() for k, v in found.items()} == {k: v.tobytes() for k, v in wanted.items()}


@pytest.mark.parametrize("kind", ["webgpu", "wasm"])
def test_a_device_that_is_lost_is_had_again(machine: Machine, folder: Path, kind: str) -> None:
    """Bit for bit what a fresh session answers, wherever it was lost."""
    with machine.session(folder, kind) as session:
        wanted = session.run(FEEDS)
        check(wanted, IDS)
        compiled = session.compiled_kernels
        for count, stage in enumerate(("idle", "upload", "replay", "read_many"), 1):
            if stage == "idle":
                lose(session.device)
            else:
                planted(session.device, stage, lose)
            same(session.run(FEEDS), wanted)
            assert session.recovered == count
            assert session.compiled_kernels == compiled * (count + 1)
        lose(session.device)
        assert session.trace(FEEDS)
        assert session.recovered == 5


def test_lost_while_results_are_mapped(
    machine: Machine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wgpu as wgpu_py

    with machine.session(folder) as session:
        wanted = session.run(FEEDS)
        original = wgpu_py.GPUBuffer.map_async

        def map_async(buffer: Any, *args: Any) -> Any:
            monkeypatch.undo()
            promise = original(buffer, *args)
            lose(session.device)
            return promise

        monkeypatch.setattr(wgpu_py.GPUBuffer, "map_async", map_async)
        same(session.run(FEEDS), wanted)


@pytest.mark.parametrize("stage", ["allocate", "upload", "replay", "read_many"])
@pytest.mark.parametrize("kind", ["webgpu", "wasm"])
def test_other_errors_are_said_once(machine: Machine, folder: Path, kind: str, stage: str) -> None:
    def refuse(device: Device) -> None:
        raise DeviceError("no memory")

    with machine.session(folder, kind) as session:
        wanted = session.run(FEEDS)
        planted(session.device, stage, refuse)
        with pytest.raises(DeviceError, match=r"^no memory$"):
            session.run({"ids": ids_of(40, 70), "scale": SCALE})
        same(session.run(FEEDS), wanted)
        assert (session.recovered, len(machine.had)) == (0, 1)


def test_where_none_can_be_had_the_next_run_asks_again(machine: Machine, folder: Path) -> None:
    with machine.session(folder) as session:
        wanted = session.run(FEEDS)
        lose(session.device)
        machine.broken["webgpu"] = DeviceError("no adapter")
        for _ in range(2):
            with pytest.raises(DeviceLostError) as caught:
                session.run(FEEDS)
            text = str(caught.value)
            assert text.startswith("upload: the device was lost (")
            assert text.endswith("); it can't be had again: no adapter")
        machine.broken.clear()
        same(session.run(FEEDS), wanted)
        assert session.recovered == 1


def test_a_pack_that_has_gone_is_said(
    machine: Machine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*args: object) -> memoryview:
        raise PackError("the shard is gone")

    with machine.session(folder) as session:
        wanted = session.run(FEEDS)
        lose(session.device)
        with monkeypatch.context() as patch:
            patch.setattr(FolderSource, "file", gone)
            with pytest.raises(DeviceLostError, match=r"can't be had again: the shard is gone$"):
                session.run(FEEDS)
        assert len(machine.had) == 2  # another device wouldn't help
        same(session.run(FEEDS), wanted)


def test_auto_goes_to_the_cpu_where_the_gpu_is_gone(machine: Machine, folder: Path) -> None:
    with machine.session(folder, "auto") as session:
        session.run(FEEDS)
        lose(session.device)
        machine.broken["auto"] = DeviceError("no adapter")
        check(session.run(FEEDS), IDS)
        assert (session.device_info.kind, session.recovered) == ("wasm", 1)


def test_runs_that_overlap_recover_once(machine: Machine, folder: Path) -> None:
    async def several(session: Session) -> None:
        asked: list[Awaitable[dict[str, Any]]] = []
        for n in range(1, 5):
            asked.append(session.run_async({"ids": ids_of(1, n), "scale": SCALE}))
        planted(session.device, "read_many", lose)
        for n, outputs in enumerate(await asyncio.gather(*asked), 1):
            check(outputs, ids_of(1, n))

    with machine.session(folder) as session:
        session.run(FEEDS)
        asyncio.run(several(session))
        assert session.recovered == 1


def test_a_session_that_was_closed_stays_closed(machine: Machine, folder: Path) -> None:
    async def closing(name: str) -> Device:
        session.close()
        return await machine.open(name)

    opening = Opening("wasm", closing)
    device = run_sync(machine.open("wasm"))
    session = run_sync(Session.open(FolderSource(folder), device, opening=opening))
    lose(device)
    with pytest.raises(DeviceLostError):
        session.run(FEEDS)
    with pytest.raises(DeviceError, match="closed"):
        machine.had[-1].allocate(16, "nothing")


@pytest.mark.parametrize("kind", ["webgpu", "wasm"])
def test_what_tuning_found_serves_on(machine: Machine, folder: Path, kind: str) -> None:
    """On a device of the same make; another kind of device has the pack's own kernels."""
    with machine.session(folder, kind) as session:
        wanted = session.run(FEEDS)
        plan, info = session.pack.plan, session.device_info
        bindings = dict(zip(plan.given, (2, 3), strict=True))
        here = specialise(plan.problems[0], bindings)
        candidate = generate(here, candidates(here, info)[-1], info)
        run_sync(session.swap(bindings, 0, candidate))
        found = session.run(FEEDS)
        lose(session.device)
        same(session.run(FEEDS), found)
        for name, array in wanted.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-6)
        assert "tuned in this session" in str(session.explain())
