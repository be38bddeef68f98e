"""What a session says of itself: where it runs, its memory and kernels; profiles as traces."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from adapters import opened
from flow_models import FLOW_MODELS
from half_models import SAMPLES

import webrt
from webrt.cli.main import run_app
from webrt.kernel.problem import specialise
from webrt.runtime.explain import Explanation
from webrt.runtime.session import Session
from webrt.runtime.source import FolderSource
from webrt.runtime.sync import run_sync
from webrt.tune.candidate import candidates, generate
from webrt.tune.records import Record, Records, Trial, cache_file, make_key

EXPLAINED = {"device", "float16", "fallbacks", "memory", "kernels", "checks", "text"}


def feeds_of(session: Session) -> dict[str, Any]:
    return {
        i.name: np.ones([3 if isinstance(d, str) else d for d in i.shape], i.dtype)
        for i in session.inputs
    }


@pytest.mark.parametrize("device", ["webgpu", "wasm", "auto"])
def test_placement_and_memory(tiny_pack: Path, device: str, monkeypatch: Any) -> None:
    from webrt.runtime.devices import wgpu

    monkeypatch.setattr(wgpu, "_may_have_gpu", lambda: False)
    with webrt.load(tiny_pack, device) as session:
        before = session.explain().memory
        session.run(feeds_of(session))
        found = session.explain()
        pack = session.pack
    assert found.kind == ("webgpu" if device == "webgpu" else "wasm")
    whats = [f.what for f in found.fallbacks]
    if device == "auto":
        assert found.why == "auto: no hardware GPU was found"
        assert whats == ["device"]
    else:
        assert found.why == f"{device} is what was asked for"
        assert whats == (["software"] if device == "webgpu" else [])
    memory = found.memory
    assert before.inputs == before.outputs == before.arena == 0
    assert before.weights == memory.weights >= sum(p.bytes for p in pack.placements.values())
    assert memory.inputs > 0
    assert memory.outputs > 0
    parts = memory.weights, memory.arena, memory.inputs, memory.outputs, memory.other
    assert memory.total == sum(parts)
    assert found.default == found.problems == len(pack.plan.problems)
    assert found.tuned == ()
    plain = found.to_json()
    assert plain.keys() == EXPLAINED
    assert json.loads(json.dumps(plain)) == plain
    assert str(found).startswith(f"runs on {found.kind}: {found.adapter}")


def test_host_steps_and_what_cpus_lack(tmp_path: Path) -> None:
    model = next(m for m in FLOW_MODELS if m.name == "picked")
    onnx.save(model.proto, tmp_path / "model.onnx")
    webrt.pack(tmp_path / "model.onnx", tmp_path / "pack")
    with opened("wasm-plain-1") as device:
        found = run_sync(Session.open(FolderSource(tmp_path / "pack"), device)).explain()
    assert found.why == "the device was handed over"
    reasons = {f.what: f.why for f in found.fallbacks}
    assert reasons.keys() == {"relaxed-simd", "host-steps"}
    assert reasons["host-steps"].endswith("for data to decide: 1 nonzero")


def explained(folder: Path) -> Explanation:
    with webrt.load(folder, "wasm") as session:
        return session.explain()


@pytest.mark.usefixtures("own_cache")
def test_tuned_kernels_and_their_records(tiny_pack: Path) -> None:
    with webrt.load(tiny_pack, "wasm") as session:
        plan, info = session.pack.plan, session.device_info
        bindings = {s.id: 3 for s in plan.symbols}
        problem = next(
            j
            for j, p in enumerate(plan.problems)
            if len(candidates(specialise(p, bindings), info)) > 1
        )
        here = specialise(plan.problems[problem], bindings)
        second = candidates(here, info)[1]
        run_sync(session.swap(bindings, problem, generate(here, second, info)))
        (kernel,) = session.explain().tuned
        assert (kernel.source, kernel.ms) == ("tuned in this session", None)
        assert session.explain().default == len(plan.problems) - 1
        times = session.profile(feeds_of(session))
        assert [k.number for k in times if k.tuned] == [problem]
        key = make_key(info, plan.problems[problem], bindings)
    Records([Record(key, 2.0, (Trial(second, 1.0),))]).write(cache_file())
    (kernel,) = explained(tiny_pack).tuned
    assert (kernel.source, kernel.ms, kernel.default_ms) == (str(cache_file()), 1.0, 2.0)
    assert kernel.dims == {s.name: 3 for s in plan.symbols}
    assert f"1 tuned ({cache_file()})" in str(explained(tiny_pack))


def test_float16_where_it_is_widened(tmp_path: Path) -> None:
    sample = SAMPLES["norms"]()
    onnx.save(sample.model, tmp_path / "half.onnx")
    vectors = [sample.feeds, sample.feeds]
    report = webrt.pack(tmp_path / "half.onnx", tmp_path / "pack", check_inputs=vectors)
    assert report.check_bytes > 0
    found = explained(tmp_path / "pack")
    assert found.float16 == "widened"
    assert "float16" in [f.what for f in found.fallbacks]
    assert found.checks
    for device in ("llvmpipe", "wasm-1"):
        with opened(device) as place:
            session = run_sync(Session.open(FolderSource(tmp_path / "pack"), place))
            assert session.float16 == ("native" if device == "llvmpipe" else "widened")
            assert session.verify().ok


def test_the_commands(tiny_pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "trace.json"
    command = ["bench", str(tiny_pack), "--device", "wasm", "--runs", "1"]
    assert run_app([*command, "--trace", str(file), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["trace"] == str(file)
    assert {"problem", "tuned", "schedule"} <= result["kernels"][0].keys()
    trace = json.loads(file.read_text())
    events = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    assert len(events) == sum(k["count"] for k in result["kernels"])
    assert trace["displayTimeUnit"] == "ms"
    for event, following in itertools.pairwise(events):
        assert following["ts"] == pytest.approx(event["ts"] + event["dur"])
    assert all(e["dur"] > 0 and e["args"]["node"] and e["args"]["problem"] for e in events)
    assert run_app([*command, "--trace", str(tmp_path)]) == 2
    assert "can't be written" in capsys.readouterr().err
    with webrt.load(tiny_pack, "wasm") as session:
        arrays = feeds_of(session)
    options = []
    for name, value in arrays.items():
        np.save(tmp_path / f"{name}.npy", value)
        options += ["--input", f"{name}={tmp_path / name}.npy"]
    run = ["run", str(tiny_pack), "--device", "wasm", "--explain", *options]
    assert run_app([*run, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["explain"].keys() == EXPLAINED
    assert run_app(run) == 0
    assert "kernels: " in capsys.readouterr().out
