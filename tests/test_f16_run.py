"""float16 models on every device: as they are where it has float16, widened where it hasn't."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from adapters import ADAPTERS, opened
from half_models import SAMPLES, Sample
from tolerances import assert_close

import webrt
from webrt.dtypes import DType
from webrt.kernel.expr import call, f32
from webrt.kernel.problem import Contract, specialise
from webrt.kernel.widen import stores_f16
from webrt.pack.read import read_pack
from webrt.pack.widen import SHADER_F16, for_device
from webrt.runtime.device import Device
from webrt.runtime.session import Session
from webrt.runtime.source import FolderSource
from webrt.runtime.sync import run_sync
from webrt.tune.candidate import candidates, default_candidate, generate, reference
from webrt.tune.trial import RejectedError, Trials


@pytest.fixture(params=[*ADAPTERS, "wasm-2"], scope="module")
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    with opened(request.param) as found:
        yield found


@pytest.fixture(params=sorted(SAMPLES), scope="module")
def packed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Sample, Path]:
    sample = SAMPLES[request.param]()
    target = tmp_path_factory.mktemp(request.param)
    onnx.save(sample.model, target / "model.onnx")
    webrt.pack(target / "model.onnx", target / "pack")
    return sample, target / "pack"


def open_session(folder: Path, device: Device) -> Session:
    return run_sync(Session.open(FolderSource(folder), device))


def check(outputs: dict[str, np.ndarray], sample: Sample) -> None:
    assert outputs.keys() == sample.answers.keys()
    for name, answer in sample.answers.items():
        assert outputs[name].dtype == answer.dtype, name
        assert_close(outputs[name], answer, DType.F16, scale=sample.scale)


def test_answers(packed: tuple[Sample, Path], device: Device) -> None:
    sample, folder = packed
    session = open_session(folder, device)
    native = SHADER_F16 in device.info.features
    assert session.float16 == ("native" if native else "widened")
    check(session.run(sample.feeds), sample)
    assert any(map(stores_f16, session.pack.plan.problems)) == native


def test_a_pack_holds_half_the_bytes(packed: tuple[Sample, Path]) -> None:
    sample, folder = packed
    pack = read_pack(folder)
    halves = [t for t in sample.model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]
    for index, place in pack.placements.items():
        if pack.plan.tensors[index].dtype is DType.F16:
            assert place.held == place.bytes
    stored = sum(p.bytes for j, p in pack.placements.items())
    assert stored <= sum(2 * np.prod(t.dims) for t in halves)


def test_the_widened_pack_computes_the_same(packed: tuple[Sample, Path]) -> None:
    """The twins of the very same kernels, on the same adapter: only rounding is left out."""
    sample, folder = packed
    with opened("llvmpipe") as device:
        assert SHADER_F16 in device.info.features
        native = open_session(folder, device).run(sample.feeds)
    with opened("llvmpipe") as device:
        found = _without_f16(device)
        session = open_session(folder, found)
        assert session.float16 == "widened"
        wide = session.run(sample.feeds)
    check(wide, sample)
    for name, array in native.items():
        assert_close(array, wide[name], DType.F16, scale=sample.scale)


def _without_f16(device: Device) -> Device:
    """The device as it would be without the feature."""
    features = tuple(f for f in device.info.features if f != SHADER_F16)
    device.info = replace(device.info, features=features)  # type: ignore[misc]
    return device


def test_other_models_have_no_mode(tmp_path: Path, device: Device) -> None:
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[n] x) => (float[n] y) {y = Exp (x)}'
    onnx.save(onnx.parser.parse_model(text), tmp_path / "model.onnx")
    webrt.pack(tmp_path / "model.onnx", tmp_path / "pack")
    pack = read_pack(tmp_path / "pack")
    assert for_device(pack, ()) == (pack, None)
    assert open_session(tmp_path / "pack", device).float16 is None


def test_trials_tell_right_kernels_from_wrong_ones(device: Device, tmp_path: Path) -> None:
    """What tuning holds candidates to: random operands, and a comparison on the device."""
    sample = SAMPLES["islands"]()
    onnx.save(sample.model, tmp_path / "model.onnx")
    webrt.pack(tmp_path / "model.onnx", tmp_path / "pack")
    session = open_session(tmp_path / "pack", device)
    values = {s.id: {"b": 3, "n": 5}[s.name] for s in session.pack.plan.symbols}
    problems = [specialise(p, values) for p in session.pack.plan.problems]
    contract = next(p for p in problems if isinstance(p, Contract))
    trials = Trials(device, contract, {})
    run_sync(trials.set_reference(reference(contract, device.info)))
    for schedule in candidates(contract, device.info)[::7]:
        run_sync(trials.validate(generate(contract, schedule, device.info)))
    wrong = replace(contract, a=call("mul", contract.a, f32(1.02)))
    with pytest.raises(RejectedError, match="results are wrong"):
        run_sync(trials.validate(default_candidate(wrong, device.info)))
    trials.close()
