"""Random models on all that answers for them, and the proof that a wrong answer is noticed."""

from __future__ import annotations

import collections
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import fuzz_run
import numpy as np
import onnx
import pytest
from fuzz_graphs import Array
from fuzz_run import WAYS, Finding, Fuzzer, draw_model, ways_of
from fuzz_templates import covered

import webrt
from webrt.ops.registry import find
from webrt.pack.format import KernelEntry, Pack, WasmKernel
from webrt.pack.read import read_pack

ROOT = Path(__file__).resolve().parent.parent
MODELS = int(os.environ.get("WEBRT_FUZZ_MODELS", "2000"))
"""Models a run, of 5 to 15 operators: `fuzz_run.ways_of` tells what each is held to."""


@pytest.fixture
def fuzzer(tmp_path: Path) -> Iterator[Fuzzer]:
    made = Fuzzer(tmp_path)
    yield made
    made.close()


def test_random_models_are_answered_alike(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "bench" / "fuzz.py"), "--count", str(MODELS), "-j", "2"]
    run = subprocess.run(
        [*command, "--out", str(tmp_path / "found")],
        cwd=ROOT, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-4000:]


def test_a_seed_is_always_the_same_model() -> None:
    first, second = (draw_model(7)[0].proto.SerializeToString() for _ in range(2))
    assert first == second


def test_models_are_valid_onnx() -> None:
    for seed in range(30):
        onnx.checker.check_model(draw_model(seed)[0].proto, full_check=True)


def test_operators_of_the_templates_are_in_the_registry() -> None:
    assert len(covered()) >= 120
    assert not [name for name in covered() if find(name) is None]


def _shifted(proto: onnx.ModelProto, feeds: list[dict[str, Array]]) -> list[dict[str, Array]]:
    """ONNX Runtime's answers with the last element of each changed."""
    found = EXPECTED(proto, feeds)
    for answers in found:
        for array in answers.values():
            array.reshape(-1)[-1:] = array.reshape(-1)[-1:] == 0
    return found


EXPECTED = fuzz_run.expected


def test_a_wrong_answer_is_noticed(fuzzer: Fuzzer, tmp_path: Path) -> None:
    with mock.patch("fuzz_run.expected", _shifted), pytest.raises(Finding) as found:
        fuzzer.check(3)
    assert found.value.kind == "scheduled-cpu on wasm"
    place = found.value.save(tmp_path)
    assert onnx.load(place / "model.onnx").graph.node
    assert np.load(place / "feeds.npz").files


def test_ways_of_packing_differ(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(draw_model(3)[0].proto.SerializeToString())
    packs = {}
    for way in fuzz_run.WAYS:
        with fuzz_run._changed(way, random.Random(1)):
            webrt.pack(path, tmp_path / way)
        packs[way] = read_pack(tmp_path / way)
    assert len(packs["unfused"].plan.steps) > len(packs["default"].plan.steps)
    assert packs["scheduled"].plan == packs["default"].plan
    gpu, cpu = ({w: [k.schedule for k in of(p)] for w, p in packs.items()} for of in (_gpu, _cpu))
    assert gpu["scheduled"] != gpu["default"] == gpu["scheduled-cpu"]
    assert cpu["default"] not in (cpu["scheduled"], cpu["scheduled-cpu"])


def _gpu(pack: Pack) -> Sequence[KernelEntry]:
    return pack.kernels


def _cpu(pack: Pack) -> Sequence[WasmKernel]:
    return pack.wasm.kernels


def test_every_model_runs_on_both_devices() -> None:
    ran = [ways_of(seed) for seed in range(64)]
    assert all(any(kinds == ("wasm", "webgpu") for kinds in ways.values()) for ways in ran)
    found = collections.Counter(
        (way, k) for ways in ran for way, kinds in ways.items() for k in kinds
    )
    assert (found["unfused", "wasm"], found["unfused", "webgpu"]) == (14, 2)
    assert set(WAYS) == {way for way, _ in found}
