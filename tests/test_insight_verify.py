"""Check vectors: what packs ship of them; a wrong kernel or weight is named by its node."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from adapters import opened
from flow_models import FLOW_MODELS
from onnx import TensorProto, helper
from planted import chain, off_by, wrong_kernel, wrong_weight

import webrt
from webrt.cli.main import run_app
from webrt.dtypes import DType
from webrt.errors import PackError, UsageError
from webrt.pack.checks import DIGEST, MAX_VECTORS, read_checks, stride_of, write_checks
from webrt.pack.format import CHECKS
from webrt.pack.read import read_pack
from webrt.runtime import digest as digests
from webrt.runtime.arrays import HostTensor, from_host
from webrt.runtime.session import Session
from webrt.runtime.source import FolderSource
from webrt.runtime.sync import run_sync
from webrt.runtime.verify import Verdict

DEVICES = ["llvmpipe", "wasm-2"]


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("checked")
    onnx.save(chain(), target / "chain.onnx")
    webrt.pack(target / "chain.onnx", target / "pack", check_inputs=3)
    return target / "pack"


def verified(folder: Path, device: str = "llvmpipe") -> Verdict:
    with opened(device) as place:
        return run_sync(Session.open(FolderSource(folder), place)).verify()


@pytest.mark.parametrize("device", DEVICES)
def test_a_right_device_passes(checked: Path, device: str) -> None:
    found = verified(checked, device)
    assert found.ok
    assert found.diverges is None
    assert 0 < found.max_abs < 1e-4
    assert found.cosine > 0.99999
    sizes = [tuple(v.dims.values()) for v in found.vectors]
    assert sizes == [(1, 128), (2, 37), (3, 61)]
    assert all(set(v.outputs) == {"h2"} for v in found.vectors)


@pytest.mark.parametrize("step_of", [0, 1, 2])
def test_a_wrong_kernel_is_named(checked: Path, tmp_path: Path, step_of: int) -> None:
    """A GPU's kernel whose last store is off by a little; nothing before it is."""
    pack = read_pack(checked)
    problem = next(s.problem for s in pack.plan.steps if f"/layer{step_of}/Sub" in s.node)
    mine = [j for j, s in enumerate(pack.plan.steps) if s.problem == problem]

    found = verified(wrong_kernel(checked, tmp_path / "pack", problem))
    assert not found.ok
    assert found.diverges is not None
    assert found.diverges.step == mine[0]  # equal layers share a kernel: the first is the first
    assert found.diverges.node == pack.plan.steps[mine[0]].node
    assert found.diverges.kernel == pack.kernels[problem].name
    assert not found.diverges.tuned
    assert abs(found.diverges.found - found.diverges.expected) > 1e-3
    assert verified(checked).ok


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("layer", [0, 2])
def test_a_flipped_weight_is_named(checked: Path, tmp_path: Path, device: str, layer: int) -> None:
    folder, node = wrong_weight(checked, tmp_path / "pack", f"/layer{layer}/MatMul")
    found = verified(folder, device)
    assert not found.ok
    assert found.diverges is not None
    assert found.diverges.node == node
    assert not any(v.ok for v in found.vectors)


def test_a_tuned_kernel_is_verified(checked: Path) -> None:
    """What was swapped in serves at its shape alone: the vector of that shape tells of it."""
    from webrt.kernel.problem import specialise
    from webrt.tune.candidate import candidates, generate

    with opened("llvmpipe") as device:
        session = run_sync(Session.open(FolderSource(checked), device))
        plan = session.pack.plan
        problem = plan.steps[0].problem
        bindings = {"s0": 2, "s1": 37}
        info = session.device_info
        here = specialise(plan.problems[problem], bindings)
        good = generate(here, candidates(here, info)[1], info)
        run_sync(session.swap(bindings, problem, good))
        found = session.verify()
        assert [v.tuned for v in found.vectors] == [0, 1, 0]
        assert found.ok
        code = dataclasses.replace(good.code, source=off_by(str(good.code.source), " * 2.0"))
        run_sync(session.swap(bindings, problem, dataclasses.replace(good, code=code)))
        found = session.verify()
        assert [v.ok for v in found.vectors] == [True, False, True]
        assert found.diverges is not None
        assert found.diverges.tuned
        assert (found.diverges.vector, found.diverges.step) == (1, 0)


@pytest.mark.parametrize("model", FLOW_MODELS, ids=lambda m: m.name)
def test_models_with_a_flow(model: Any, tmp_path: Path) -> None:
    """Loops, branches and host steps: verified, and their steps are there by their first turn."""
    onnx.save(model.proto, tmp_path / "model.onnx")
    webrt.pack(tmp_path / "model.onnx", tmp_path / "pack", check_inputs=model.feeds[:2])
    assert verified(tmp_path / "pack").ok
    pack = read_pack(tmp_path / "pack")
    data = memoryview((tmp_path / "pack" / CHECKS).read_bytes())
    vectors = read_checks(data, pack.plan)
    assert len(vectors) == 2
    assert all(v.steps for v in vectors)


def test_vectors_are_small_and_the_report_tells(tmp_path: Path) -> None:
    """A large output is there in part, its steps as digests."""
    node = helper.make_node("Mul", ["x", "x"], ["y"], name="/Mul")
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 600, 1000]) for n in "xy"]
    model = helper.make_model(
        helper.make_graph([node], "large", info[:1], info[1:]),
        opset_imports=[helper.make_opsetid("", 18)], ir_version=9,
    )  # fmt: skip
    onnx.save(model, tmp_path / "model.onnx")
    report = webrt.pack(tmp_path / "model.onnx", tmp_path / "pack", check_inputs=1)
    size = (tmp_path / "pack" / CHECKS).stat().st_size
    assert report.check_bytes == size < 4 * 600_000 + 4 * (1 << 16) + 4096
    pack = read_pack(tmp_path / "pack")
    assert pack.checks is not None
    assert pack.checks.bytes == size
    (vector,) = read_checks(memoryview((tmp_path / "pack" / CHECKS).read_bytes()), pack.plan)
    assert vector.outputs[0].stride == stride_of(600_000) == 11
    assert verified(tmp_path / "pack", "wasm-2").ok


def test_a_model_that_the_pack_gets_wrong_has_no_vectors(
    checked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from webrt.checking import oracle

    right = oracle.expected_outputs

    def wrong(model: Path, feeds: Any) -> Any:
        return {name: value + np.float32(0.5) for name, value in right(model, feeds).items()}

    monkeypatch.setattr(oracle, "expected_outputs", wrong)
    with pytest.raises(PackError, match=r"doesn't give ONNX Runtime's outputs"):
        webrt.pack(checked.parent / "chain.onnx", tmp_path / "pack", check_inputs=1)
    assert not (tmp_path / "pack").exists()


def test_errors_are_typed(checked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = checked.parent / "chain.onnx"
    with pytest.raises(UsageError) as caught:
        webrt.pack(model, tmp_path / "pack", check_inputs=MAX_VECTORS + 1)
    assert str(caught.value) == f"--check-inputs {MAX_VECTORS + 1}: expected 1 to {MAX_VECTORS}"
    webrt.pack(model, tmp_path / "bare")
    with (
        webrt.load(tmp_path / "bare", "wasm") as session,
        pytest.raises(UsageError, match=r"no check vectors: pack with --check-inputs 2"),
    ):
        session.verify()
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(UsageError, match=r"pip install 'webrt\[check\]'"):
        webrt.pack(model, tmp_path / "pack", check_inputs=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.update(format="x"), "format: expected one of webrt checks, found 'x'"),
        (lambda h: h.update(version=2), "version: expected 1, found 2"),
        (lambda h: h.update(vectors=[]), "vectors: expected 1 to 64 items, found 0"),
        (
            lambda h: h["vectors"][0]["dims"].update(s0=0),
            "vectors[0].dims.s0: expected an integer from 1 to 1048576, found 0",
        ),
        (
            lambda h: h["vectors"][0]["inputs"].append([1]),
            "vectors[0].inputs: expected 1 items, found 2",
        ),
        (
            lambda h: h["vectors"][0].update(inputs=[[1, 128]]),
            "vectors[0].inputs[0]: expected 3 dims, found 2",
        ),
        (
            lambda h: h["vectors"][0].update(inputs=[[1 << 40, 128, 24]]),
            "vectors[0].inputs[0]: 13510798882111488 bytes from 0 pass the end of the file",
        ),
        (
            lambda h: h["vectors"][0]["steps"].append([99, 1]),
            "vectors[0].steps[{n}][0]: expected an integer from 0 to {last}, found 99",
        ),
        (lambda h: h["vectors"].pop(), "holds "),
    ],
)
def test_vectors_are_untrusted(
    checked: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    plan = read_pack(checked).plan
    data = (checked / CHECKS).read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    steps = len(header["vectors"][0]["steps"])
    change(header)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    made = len(text).to_bytes(8, "little") + text + data[8 + size :]
    with pytest.raises(PackError) as caught:
        read_checks(memoryview(made), plan)
    wanted = message.format(n=steps, last=len(plan.steps) - 1)
    assert str(caught.value).startswith(f"checks.bin: {wanted}")


def test_a_round_trip_and_a_cut(checked: Path) -> None:
    plan = read_pack(checked).plan
    data = (checked / CHECKS).read_bytes()
    assert write_checks(read_checks(memoryview(data), plan)) == data
    for cut in (0, 7, 8, 100, len(data) - 8):
        with pytest.raises(PackError):
            read_checks(memoryview(data[:cut]), plan)


def test_an_altered_file_is_refused(checked: Path, tmp_path: Path) -> None:
    shutil.copytree(checked, tmp_path / "pack")
    data = bytearray((tmp_path / "pack" / CHECKS).read_bytes())
    data[-1] ^= 1
    (tmp_path / "pack" / CHECKS).write_bytes(data)
    with (
        webrt.load(tmp_path / "pack", "wasm") as session,
        pytest.raises(PackError, match=r"checks.bin: was altered"),
    ):
        session.verify()


def test_the_command(checked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["verify", str(checked), "--device", "wasm", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"]
    assert found["diverges"] is None
    assert [v["dims"] for v in found["vectors"]][1] == {"batch": 2, "length": 37}
    assert run_app(["verify", str(checked), "--device", "wasm"]) == 0
    assert "vector 1 at batch = 2, length = 37: max |diff|" in capsys.readouterr().out


ARRAYS = [
    np.random.default_rng(1).standard_normal((7, 33)).astype(np.float32),
    np.array([np.nan, np.inf, -np.inf, 1.5, -0.0], np.float32),
    np.arange(-50, 50, dtype=np.int32),
    np.zeros((0, 4), np.float32),
    np.array([True, False, True]),
    np.linspace(0, 1, 40, dtype=np.float16),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}-{a.size}")
def test_digests_are_the_same_without_numpy(
    array: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensor: HostTensor = from_host(array, DType.F32)
    with_numpy = digests.digest(tensor)
    monkeypatch.setattr(digests, "_numpy", lambda: None)
    assert len(with_numpy) == DIGEST
    np.testing.assert_allclose(with_numpy, digests.digest(tensor), rtol=1e-12, atol=1e-300)
    assert digests.differs(with_numpy, with_numpy, array.size, tensor.dtype, False) is None


def test_one_wrong_row_is_seen_in_a_digest() -> None:
    right = np.random.default_rng(2).standard_normal((128, 384)).astype(np.float32)
    wrong = right.copy()
    wrong[77, 100:132] = 0  # a tile of one row, which may not meet any sample
    left, other = (digests.digest(from_host(a, DType.F32)) for a in (wrong, right))
    found = digests.differs(left, other, right.size, from_host(right, DType.F32).dtype, False)
    assert found is not None


def test_digests_are_those_of_the_player() -> None:
    """`tests/vectors/digests.json` holds both to the same numbers."""
    kinds = {"f32": np.float32, "i32": np.int32, "u32": np.uint32}
    file = Path(__file__).parent / "vectors" / "digests.json"
    for case in json.loads(file.read_text())["cases"]:
        array = np.array([float(v) if isinstance(v, str) else v for v in case["values"]])
        found = digests.digest(from_host(array.astype(kinds[case["storage"]]), DType.F32))
        wanted = [float(v) for v in case["expected"]]
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12, err_msg=case["name"])
