"""Every case of ONNX's backend suites, packed and run on every device, as onnx's runner has it."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator

import pytest
from backend import DEVICES, Devices, Shelf, record
from conformance_expected import DRAWN, EXPECTED, OPERATORS, TYPES
from onnx_cases import Case, all_cases

from webrt.errors import ShapeError, UnsupportedOpError, WebrtError
from webrt.ops.table import CASES as RECORD

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

CASES = [c for c in all_cases() if c.suite != "light"]
PASSING = 1490
"""Of the counted node cases, at least so many have to be expected to pass."""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("backend"))


@pytest.fixture(scope="module")
def devices() -> Iterator[Devices]:
    found = Devices()
    yield found
    found.close()


@pytest.mark.parametrize("kind", DEVICES)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_case(case: Case, kind: str, shelf: Shelf, devices: Devices) -> None:
    if DRAWN in case.reasons:
        pytest.skip(DRAWN)
    if not case.reasons:
        shelf.check(case, kind, devices)
        return
    with pytest.raises(WebrtError) as refused:
        shelf.check(case, kind, devices)
    assert isinstance(refused.value, ShapeError | UnsupportedOpError)
    assert any(reason in str(refused.value) for reason in case.reasons), refused.value


def test_as_many_pass_as_ever() -> None:
    counted = [c for c in CASES if c.is_in_scope]
    passing = [c for c in counted if not c.reasons]
    assert len(passing) >= PASSING, f"{len(passing)} of {len(counted)}"


def test_the_recorded_cases_are_those_that_are_expected_to_pass() -> None:
    passing = {c.id for c in CASES if not c.reasons}
    wanted = record(CASES, dict.fromkeys(DEVICES, passing))
    assert json.loads(RECORD.read_text()) == wanted, "run: python tests/backend.py --record"


def test_no_reason_is_left_over() -> None:
    for glob in EXPECTED:
        assert any(fnmatch.fnmatch(c.id, glob) for c in CASES), glob
    for name in OPERATORS:
        assert any(name in c.missing for c in CASES), f"{name} is run now: delete its line"
    for name in TYPES:
        assert any(name in c.types for c in CASES), name
