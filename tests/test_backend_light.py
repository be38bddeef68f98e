"""The `light` models of ONNX's backend suites: nine networks for images, whose weights are folded.

All of them on the CPU, the small ones on WebGPU too; with WEBRT_FULL=1 all of them on both.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from backend import Devices, Packed, check_case, pack_case
from onnx_cases import Case, all_cases

CASES = {c.name: c for c in all_cases() if c.suite == "light"}
SMALL = ("squeezenet", "shufflenet")
ON_GPU = CASES if os.environ.get("WEBRT_FULL") else SMALL


@pytest.fixture(scope="module")
def devices() -> Iterator[Devices]:
    found = Devices()
    yield found
    found.close()


@pytest.fixture(scope="module", params=CASES)
def light(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Case, Packed]:
    case = CASES[request.param]
    return case, pack_case(case, tmp_path_factory.mktemp(case.name) / "pack")


def test_on_the_cpu(light: tuple[Case, Packed], devices: Devices) -> None:
    case, packed = light
    assert packed.dispatches > 10
    with devices.lend("wasm", case.id) as lent:
        check_case(case, packed, lent)


def test_on_webgpu(light: tuple[Case, Packed], devices: Devices) -> None:
    case, packed = light
    if case.name not in ON_GPU:
        pytest.skip("takes a software adapter minutes: WEBRT_FULL=1 runs it")
    with devices.lend("webgpu", case.id) as lent:
        check_case(case, packed, lent)
