"""Tuning for a page, without one: what its worker says and obeys, what its records carry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sample_pack import write_sample

from webrt.cli.main import run_app
from webrt.errors import RecordsError
from webrt.kernel.problem import specialise
from webrt.pack.read import parse_manifest
from webrt.runtime.device import Device, DeviceInfo, Limits, WasmCode
from webrt.runtime.devices import wasmtime
from webrt.runtime.sync import run_sync
from webrt.schedule import to_json
from webrt.schedule.cpu.map import CpuMapSchedule
from webrt.tune.candidate import candidates, generate
from webrt.tune.code import CpuCode, GpuCode, code_from_json, code_of, code_to_json
from webrt.tune.page import serve
from webrt.tune.records import (
    Record,
    Records,
    Trial,
    cache_file,
    device_file,
    device_key,
    make_key,
    problem_key,
)

DIMS = {"s0": 2, "s1": 9}
ROOT = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def device() -> Iterator[Device]:
    opened = run_sync(wasmtime.open_device(1))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("packs") / "sample"
    write_sample(folder)
    return (folder / "manifest.json").read_bytes()


class Page:
    """A page that never has anything to run."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.turns = 0

    async def turn(self) -> None:
        self.turns += 1

    def say(self, message: str) -> None:
        self.said.append(json.loads(message))


def tuned(
    device: Device, manifest: bytes, seconds: float, records: Records, planted: object = ()
) -> tuple[Page, dict[str, Any]]:
    page = Page()
    request = {
        "dims": DIMS, "seconds": seconds, "planted": planted,
        "records": json.loads(records.to_json()),
    }  # fmt: skip
    return page, json.loads(run_sync(serve(json.dumps(request), manifest, device, page)))


def test_what_a_worker_says(device: Device, manifest: bytes) -> None:
    page, report = tuned(device, manifest, 2, Records())
    assert page.turns > report["trials"] > 0
    assert {m["type"] for m in page.said} == {"trying", "tried"}
    for before, after in zip(page.said, page.said[1:], strict=False):
        if after["type"] == "tried":  # nothing is tried that wasn't announced
            assert before["type"] == "trying"
            assert before["problem"] == after["problem"]
            trials = [m["record"]["trials"][0] for m in (before, after)]
            assert trials[0]["schedule"] == trials[1]["schedule"]
            assert "never ended" in trials[0]["failed"]
    records = Records()
    for message in page.said:
        if message["type"] == "tried":
            form = {"format": "webrt records", "version": 1, "records": [message["record"]]}
            for record in Records.from_json(json.dumps(form), "said"):
                records.add(record)
    assert sum(len(r.trials) for r in records) == report["trials"]
    plan = parse_manifest(manifest).plan
    for index, problem in enumerate(plan.problems):
        used = {n: v for n, v in DIMS.items() if n in plan_symbols(plan, index)}
        record = records.get(make_key(device.info, problem, used))
        assert record is not None
        assert record.best is not None
        assert isinstance(record.best.code, CpuCode)


def plan_symbols(plan: Any, index: int) -> tuple[str, ...]:
    from webrt.kernel.problem import symbols

    return symbols(plan.problems[index])


def test_what_is_known_is_not_tried_again(device: Device, manifest: bytes) -> None:
    page, _ = tuned(device, manifest, 1, Records())
    trying = next(m["record"] for m in page.said if m["type"] == "trying")
    form = {"format": "webrt records", "version": 1, "records": []}
    form["records"] = [m["record"] for m in page.said if m["type"] == "tried"]
    known = Records.from_json(json.dumps(form), "said")
    again, _ = tuned(device, manifest, 0.5, known)
    tried = {json.dumps(m["record"]["trials"][0]["schedule"]) for m in again.said
             if m["type"] == "tried" and m["record"]["problem"] == trying["problem"]}  # fmt: skip
    assert json.dumps(trying["trials"][0]["schedule"]) not in tried


def test_planted_code_is_tried_in_place_of_a_schedules_own(device: Device, manifest: bytes) -> None:
    code = {"module": "AGFzbQ==", "units": 1, "scratch": 0, "packers": [], "panels": []}
    planted = [{"problem": p, "position": j, "code": code} for p in range(4) for j in range(1, 64)]
    page, _ = tuned(device, manifest, 3, Records(), planted)
    failed = [t["failed"] for m in page.said if m["type"] == "tried"
              for t in m["record"]["trials"] if "failed" in t]  # fmt: skip
    assert failed
    assert all(reason.startswith("it doesn't compile: ") for reason in failed)


LIMITS = Limits(1 << 28, 1 << 27, 8, 16384, 256, (256, 256, 64), 65535, 256)
GPU = DeviceInfo("webgpu", "A", "v", "a", "discrete", ("shader-f16",), LIMITS)


def test_code_comes_back_as_it_was(device: Device, manifest: bytes) -> None:
    for problem in parse_manifest(manifest).plan.problems:
        here = specialise(problem, DIMS)
        for info in (device.info, GPU):
            for schedule in candidates(here, info)[:3]:
                candidate = generate(here, schedule, info)
                code = code_of(candidate, here)
                assert code_from_json(json.loads(json.dumps(code_to_json(code)))) == code
                if isinstance(code, GpuCode):
                    assert code.wgsl == candidate.code.source
                else:
                    assert isinstance(candidate.code.source, WasmCode)
                    assert code.module == candidate.code.source.module


@pytest.mark.parametrize(
    "code",
    [
        1, {}, {"wgsl": "", "grid": [1, 1, 1]}, {"wgsl": "x", "grid": [1, 1]},
        {"wgsl": "x", "grid": [1, 1, -1]}, {"wgsl": "x", "grid": [1, 1, True]},
        {"module": "?", "units": 1, "scratch": 0, "packers": [], "panels": []},
        {"module": "AAAA", "units": 1, "scratch": 0, "packers": [], "panels": [[0, 0]]},
        {"module": "AAAA", "units": 1.5, "scratch": 0, "packers": [], "panels": []},
        {"module": "AAAA", "units": 1, "scratch": 0, "packers": [1], "panels": []},
    ],
)  # fmt: skip
def test_malformed_code_is_refused(code: object) -> None:
    trial = {"schedule": to_json(CpuMapSchedule()), "ms": 1.0, "code": code}
    record = {
        "device": "d", "codegen": "0", "problem": "map:1", "dims": {}, "default": 1.0,
        "trials": [trial],
    }  # fmt: skip
    form = {"format": "webrt records", "version": 1, "records": [record]}
    with pytest.raises(RecordsError, match="not webrt's records"):
        Records.from_json(json.dumps(form), "x")


def test_a_folder_has_a_file_a_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: Device, manifest: bytes
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (problem, *_) = parse_manifest(manifest).plan.problems
    key = make_key(device.info, problem, {"s0": 1, "s1": 1})
    trial = Trial(candidates(specialise(problem, DIMS), device.info)[0], 1.0)
    records = Records(Record(replace(key, device=name), 1.0, (trial,)) for name in ("a", "b"))
    records.write(cache_file())
    folder = tmp_path / "folder"
    folder.mkdir()
    assert run_app(["records", "export", str(folder)]) == 0
    assert {p.name for p in folder.iterdir()} == {device_file("a"), device_file("b")}
    (kept,) = Records.read(folder / device_file("a"))
    assert kept.key.device == "a"


def test_keys_are_those_of_the_shared_vectors() -> None:
    """`web/records.js` is held to the same file in `e2e/node/records.test.js`."""
    vectors = json.loads((ROOT / "vectors" / "records.json").read_text())
    from webrt.kernel.text import parse_problem
    from webrt.version import __version__

    assert vectors["codegen"] == __version__
    for item in vectors["devices"]:
        data = item["info"]
        lanes, bytes_, features = data["lanes"], data["bytes"], tuple(data["features"])
        limits = Limits(1, 1, 8, bytes_, lanes, (256, 256, 64), 65535, 256)
        names = (data["kind"], data["adapter"], data["vendor"], data["architecture"])
        assert device_key(DeviceInfo(*names, "cpu", features, limits)) == item["key"]
    for item in vectors["problems"]:
        problem = parse_problem(item["text"])
        assert problem_key(problem) == item["key"]
        from webrt.kernel.problem import symbols

        assert list(symbols(problem)) == item["symbols"]
