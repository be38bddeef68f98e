"""Tuning records: what they hold, how they merge, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from webrt.dims import symbol
from webrt.dtypes import DType
from webrt.errors import RecordsError
from webrt.kernel.expr import Load, Ref
from webrt.kernel.problem import Contract, Operand, Output
from webrt.runtime.device import DeviceInfo, Limits
from webrt.schedule.contract import ContractSchedule
from webrt.tune.records import Key, Record, Records, Trial, device_key, make_key, problem_key
from webrt.version import __version__

LIMITS = Limits(1 << 28, 1 << 27, 8, 16384, 256, (256, 256, 64), 65535, 256)
FAST, SLOW = ContractSchedule(8, 8, 4, 8), ContractSchedule(4, 4, 4, 8)
OTHER = ContractSchedule(2, 4, 1, 8)


def info(adapter: str, features: tuple[str, ...] = ()) -> DeviceInfo:
    return DeviceInfo("webgpu", adapter, "a/vendor", "arch", "discrete", features, LIMITS)


def matmul(n: int) -> Contract:
    m, k = symbol("s0"), 32
    operands = (Operand(DType.F32, m * k), Operand(DType.F32, k * n, True))
    a = Load(0, symbol("m") * k + symbol("k"), DType.F32)
    b = Load(1, symbol("k") * n + symbol("n"), DType.F32)
    out = Output(DType.F32, m * n, symbol("m") * n + symbol("n"), Ref("acc", DType.F32))
    return Contract((), m, n, k, operands, a, b, (out,))


def record(device: str, *trials: Trial, problem: str = "contract:1") -> Record:
    return Record(Key(device, "0.1", problem, (("s0", 128),)), 2.0, trials)


def test_the_best_is_the_fastest_that_worked() -> None:
    found = record("d", Trial(SLOW, 2.0), Trial(OTHER, None, "wrong"), Trial(FAST, 0.5))
    assert found.best == Trial(FAST, 0.5)
    assert Records([found]).best(found.key) == FAST
    assert Records([record("d", Trial(OTHER, None, "wrong"))]).best(found.key) is None


def test_later_trials_of_a_schedule_replace_earlier_ones() -> None:
    records = Records([record("d", Trial(SLOW, 2.0), Trial(FAST, 0.5))])
    records.add(record("d", Trial(FAST, 3.0)))
    (only,) = records
    assert only.trials == (Trial(SLOW, 2.0), Trial(FAST, 3.0))


def test_a_device_is_known_by_what_its_speed_depends_on() -> None:
    assert device_key(info("A")) == device_key(info("A"))
    assert device_key(info("A")) != device_key(info("B"))
    assert device_key(info("A")) != device_key(info("A", ("shader-f16",)))
    assert device_key(info("A")).startswith("webgpu/a_vendor/arch/A/")


def test_a_problem_is_known_by_its_text() -> None:
    assert problem_key(matmul(8)) == problem_key(matmul(8))
    assert problem_key(matmul(8)) != problem_key(matmul(12))
    key = make_key(info("A"), matmul(8), {"s0": 7})
    assert key.problem.startswith("contract:")
    assert key.dims == (("s0", 7),)


def test_files_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "records.json"
    shaped = replace(record("f", Trial(FAST, 1.0)), shape=(1, 128, 24, 32))
    told = record("d", Trial(SLOW, 2.0), Trial(OTHER, None, "wrong"))
    records = Records([told, record("e"), shaped])
    records.write(path)
    assert list(Records.read(path)) == list(records)
    assert [p.name for p in path.parent.iterdir()] == ["records.json"]
    assert len(Records.read(tmp_path / "none.json")) == 0


def test_clearing_one_device_keeps_the_others() -> None:
    records = Records([record("d"), record("e")])
    assert [r.key.device for r in records.without("d")] == ["e"]
    assert len(records.without()) == 0


GOOD: dict[str, Any] = json.loads(Records([record("d", Trial(SLOW, 2.0))]).to_json())
GOOD["records"][0]["codegen"] = __version__


def changed(**members: object) -> dict[str, object]:
    return GOOD | {"records": [GOOD["records"][0] | members]}


@pytest.mark.parametrize(
    "data",
    [
        changed(shape=1), changed(shape=[0]), changed(shape=[1] * 9),
        [], {}, GOOD | {"version": 2}, GOOD | {"format": "x"}, GOOD | {"records": 1},
        changed(device=1), changed(device=""), changed(device="x" * 1001), changed(dims=[]),
        changed(dims={"s0": 0}), changed(dims={"s0": True}), changed(default=0),
        changed(default="1"), changed(default=float("inf")), changed(trials={}),
        changed(trials=[{"schedule": {"family": "none"}, "ms": 1}]),
        changed(trials=[{"schedule": GOOD["records"][0]["trials"][0]["schedule"], "ms": -1}]),
        changed(trials=[{"schedule": GOOD["records"][0]["trials"][0]["schedule"]}]),
        changed(trials=GOOD["records"][0]["trials"] * 257),
    ],
)  # fmt: skip
def test_anything_else_is_refused(data: object, tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    path.write_text(json.dumps(data))
    with pytest.raises(RecordsError, match=r"records\.json: not webrt's records"):
        Records.read(path)


def test_schedules_of_another_version_are_left_out(tmp_path: Path) -> None:
    trials = GOOD["records"][0]["trials"]
    strange = {"schedule": trials[0]["schedule"] | {"knob": 1}, "ms": 1}
    path = tmp_path / "records.json"
    path.write_text(json.dumps(changed(codegen="0.0", trials=[strange, *trials])))
    (found,) = Records.read(path)
    assert [t.schedule for t in found.trials] == [SLOW]
    path.write_text(json.dumps(changed(trials=[strange, *trials])))
    with pytest.raises(RecordsError, match="a ContractSchedule has"):
        Records.read(path)


def test_a_folder_is_no_file_of_records(tmp_path: Path) -> None:
    with pytest.raises(RecordsError, match="can't be read"):
        Records.read(tmp_path)
