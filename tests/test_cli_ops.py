"""`webrt ops`: every operator of the registry, as text and as JSON."""

from __future__ import annotations

import json

import pytest

from webrt.cli.main import run_app
from webrt.ops.registry import all_operators
from webrt.ops.table import Cases, Row


def test_every_operator_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["ops", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["operators"]
    names = {(one["domain"], one["operator"]) for one in found}
    ours = {(d.domain or "ai.onnx", d.name) for d in all_operators() if d.domain != "webrt"}
    assert names == ours
    conv = next(one for one in found if one["operator"] == "Conv")
    assert conv["devices"] == ["webgpu", "wasm"]
    assert conv["passed"] == dict.fromkeys(conv["devices"], conv["cases"])
    assert "f32" in conv["dtypes"]
    assert (conv["since"], conv["until"], conv["family"]) == (7, None, "conv")


def test_a_pattern_picks_operators(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["ops", "reduceL*"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines]
    assert names == ["operator", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp"]


def test_an_unknown_operator_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["ops", "Frobnicate"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "webrt: error: Frobnicate: no operator is called so; `webrt ops` lists all of them\n"
    )


def test_an_opset_range_is_shown() -> None:
    ranges = [Row("Op", "", "family", 7, until, Cases()).opsets for until in (9, None)]
    assert ranges == ["7-9", "7+"]
