"""The probe: it measures any device, its file comes back, and what is broken is measured anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from adapters import ADAPTERS, opened

from webrt.runtime.device import Device
from webrt.runtime.sync import run_sync
from webrt.tune import probe as probing
from webrt.tune.candidate import Rates
from webrt.tune.probe import Probe, cached, from_json, known, to_json

FOUND = Probe(1.5, 0.5, 0.7, 1.2, 100.0, 20.0)


@pytest.mark.parametrize("kind", [*ADAPTERS, "wasm-1"])
def test_it_measures(kind: Any) -> None:
    with opened(kind) as device:
        found = run_sync(probing.probe(device))
        assert found.gflops > 0
        assert found.gbytes > 0
        ratios = (found.large_tiles, found.staging, found.sharing, found.quads)
        if device.info.kind == "wasm":
            assert found.rates == Rates()
        else:
            assert all(0.05 <= ratio <= 20 for ratio in ratios)


def test_files_come_back() -> None:
    assert from_json(json.loads(json.dumps(to_json(FOUND)))) == FOUND
    assert FOUND.rates == Rates(1.5, 0.5, 0.7, 1.2)


def test_it_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    async def measure(device: Device) -> Probe:
        calls.append(device)
        return FOUND

    monkeypatch.setattr(probing, "probe", measure)
    file = tmp_path / "deep" / "probes.json"
    with opened("wasm-1") as device, opened("wasm-2") as other:
        assert known(device.info, file) is None
        assert run_sync(cached(device, file)) == FOUND
        assert run_sync(cached(device, file)) == FOUND
        assert len(calls) == 1
        run_sync(cached(other, file))
        assert len(calls) == 2
        assert known(device.info, file) == known(other.info, file) == FOUND
    assert [path.name for path in file.parent.iterdir()] == ["probes.json"]


GOOD = {"format": "webrt probes", "version": 1, "probes": {"d": to_json(FOUND)}}


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", json.dumps(GOOD | {"version": 2}), json.dumps(GOOD | {"probes": 1}),
        json.dumps(GOOD | {"probes": {"d": {}}}),
        json.dumps(GOOD | {"probes": {"d": to_json(FOUND) | {"gflops": -1}}}),
        json.dumps(GOOD | {"probes": {"d": to_json(FOUND) | {"staging": "1"}}}),
        json.dumps(GOOD).replace("100.0", "Infinity"),
    ],
)  # fmt: skip
def test_a_broken_file_is_as_none(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def measure(device: Device) -> Probe:
        return FOUND

    monkeypatch.setattr(probing, "probe", measure)
    file = tmp_path / "probes.json"
    file.write_text(text)
    with opened("wasm-1") as device:
        assert known(device.info, file) is None
        assert run_sync(cached(device, file)) == FOUND
        assert known(device.info, file) == FOUND


def test_a_folder_in_its_place_costs_nothing_but_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def measure(device: Device) -> Probe:
        return FOUND

    monkeypatch.setattr(probing, "probe", measure)
    with opened("wasm-1") as device:
        assert run_sync(cached(device, tmp_path)) == FOUND


@pytest.mark.parametrize("data", [None, [], {}, {"gflops": 1}])
def test_anything_else_is_no_probe(data: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        from_json(data)
