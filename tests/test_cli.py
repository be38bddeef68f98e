"""The command as people and scripts use it: results as JSON, and every bad input of one line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from webrt.cli.main import run_app
from webrt.cli.output import at_text

DEVICES = [
    pytest.param(["--device", "webgpu"], id="webgpu"),
    pytest.param(["--device", "wasm", "--threads", "2"], id="wasm"),
]


def make_model(wrong: bool = False) -> onnx.ModelProto:
    """h = relu(x @ w + b); p = table[ids]; y = h + p; `wrong` changes one weight."""
    random = np.random.default_rng(0)
    w = random.standard_normal((8, 16)).astype(np.float32)
    b = random.standard_normal(16).astype(np.float32)
    table = random.standard_normal((10, 16)).astype(np.float32)
    if wrong:
        b[3] += 1
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["m"], name="/dense/MatMul"),
            helper.make_node("Add", ["m", "b"], ["a"], name="/dense/Add"),
            helper.make_node("Relu", ["a"], ["h"], name="/dense/Relu"),
            helper.make_node("Gather", ["table", "ids"], ["p"], name="/embed/Gather"),
            helper.make_node("Add", ["h", "p"], ["y"], name="/out/Add"),
            helper.make_node("Softmax", ["y"], ["s"], name="/out/Softmax"),
        ],
        "tiny",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", "time", 8]),
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["rows", "time"]),
        ],
        [
            helper.make_tensor_value_info("s", TensorProto.FLOAT, ["rows", "time", 16]),
            helper.make_tensor_value_info("h", TensorProto.FLOAT, ["rows", "time", 16]),
        ],
        [numpy_helper.from_array(v, n) for n, v in [("w", w), ("b", b), ("table", table)]],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    onnx.save(make_model(), str(path))
    return path


@pytest.fixture(scope="module")
def pack(model: Path) -> Path:
    target = model.parent / "pack"
    assert run_app(["pack", str(model), "-o", str(target)]) == 0
    return target


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command; returns its status, standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run_app([str(a) for a in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def answer(command: Any, *arguments: object) -> dict[str, Any]:
    status, out, _ = command(*arguments, "--json")
    assert status == 0
    assert out.count("\n") == 1
    result: dict[str, Any] = json.loads(out)
    return result


def refusal(command: Any, *arguments: object) -> str:
    """The message of a command that must fail with one line and nothing on standard output."""
    status, out, err = command(*arguments)
    assert status == 2
    assert out == ""
    lines = [line for line in err.splitlines() if not line.startswith("webrt: warning: ")]
    assert len(lines) == 1, err
    assert lines[0].startswith("webrt: error: ")
    return lines[0].removeprefix("webrt: error: ")


def test_pack(command: Any, model: Path, tmp_path: Path) -> None:
    result = answer(command, "pack", model, "-o", tmp_path / "out", "--strict")
    assert result["dispatches"] == len(
        json.loads(command("info", tmp_path / "out", "--json")[1])["plan"]
    )
    assert result["weight_bytes"] == 4 * (8 * 16 + 16 + 10 * 16)
    assert result["symbols"] == ["rows", "time"]
    assert result["at"] == {"rows": 1, "time": 128}
    assert result["peak_bytes"] >= result["peak_lower_bound_bytes"] >= 0
    assert result["unsupported"] == []
    assert result["seconds"] > 0


def test_info(command: Any, pack: Path) -> None:
    result = answer(command, "info", pack)
    assert result["inputs"] == [
        {"name": "x", "dtype": "float32", "shape": ["rows", "time", 8]},
        {"name": "ids", "dtype": "int64", "shape": ["rows", "time"]},
    ]
    assert [o["name"] for o in result["outputs"]] == ["s", "h"]
    assert result["symbols"] == ["rows", "time"]
    assert result["dispatches"] == len(result["plan"]) > 0
    plain, relaxed = result["wasm"]["modules"]
    assert (plain["file"], relaxed["file"]) == ("kernels.wasm", "kernels-relaxed.wasm")
    assert plain["bytes"] == (pack / "kernels.wasm").stat().st_size
    assert result["wasm"]["packers"] >= 1
    assert result["wasm"]["panel_bytes"] >= 4 * 8 * 16
    status, out, _ = command("info", pack)
    assert status == 0
    assert f"wasm: kernels.wasm of {plain['bytes']:,} bytes, kernels-relaxed.wasm of " in out
    assert "x: float32 [rows, time, 8]" in out
    assert "/dense/MatMul" in out


def test_info_of_a_kernel(command: Any, pack: Path) -> None:
    plan = answer(command, "info", pack)["plan"]
    for name in (plan[0]["kernel"], "0"):
        result = answer(command, "info", pack, "--kernel", name)
        assert result["problem"].split()[0] in ("map", "reduce", "contract", "attention")
        assert result["schedule"]["family"]
        assert result["kernel"] in result["loop"]
        assert "fn main(" in result["wgsl"]
        assert result["cpu"]["schedule"]["family"].startswith("cpu_")
        assert result["kernel"] in result["cpu"]["loop"]
    out = command("info", pack, "--kernel", "0")[1]
    assert [line for line in out.splitlines() if line.startswith("-- ")] == [
        "-- problem", "-- schedule", "-- loop IR", "-- WGSL", "-- CPU schedule", "-- CPU loop IR",
    ]  # fmt: skip
    message = refusal(command, "info", pack, "--kernel", "conv_9")
    assert message.startswith("unknown kernel 'conv_9': this pack's are ")


@pytest.mark.parametrize("device", DEVICES)
def test_run(command: Any, pack: Path, tmp_path: Path, device: list[str]) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 3, 8), np.float32))
    np.save(tmp_path / "ids.npy", np.zeros((2, 3), np.int64))
    inputs = ["--input", f"x={tmp_path / 'x.npy'}", "--input", f"ids={tmp_path / 'ids.npy'}"]
    result = answer(command, "run", pack, *device, *inputs, "--output", tmp_path / "out.npz")
    assert device[1] == "webgpu" or result["adapter"].startswith("wasm (")
    assert result["outputs"][1] == {"name": "h", "dtype": "float32", "shape": [2, 3, 16]}
    with np.load(tmp_path / "out.npz") as outputs:
        assert sorted(outputs) == ["h", "s"]
        np.testing.assert_allclose(outputs["s"].sum(-1), np.ones((2, 3)), rtol=1e-5)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ids.npy", "out.npz", "x.npy"]


@pytest.mark.parametrize("device", DEVICES)
def test_check(command: Any, pack: Path, model: Path, device: list[str]) -> None:
    dims = ("--dim", "rows=3", "--dim", "time=7")
    result = answer(command, "check", pack, model, *device, *dims)
    assert result["ok"] is True
    assert result["dims"] == {"rows": 3, "time": 7}
    assert result["max_abs"] < 1e-5
    assert result["cosine"] > 0.99999
    assert set(result["outputs"]) == {"s", "h"}
    assert "first_divergence" not in result


def test_check_takes_inputs(command: Any, pack: Path, model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 5, 8), np.float32))
    result = answer(command, "check", pack, model, "--input", f"x={tmp_path / 'x.npy'}")
    assert result["dims"] == {"rows": 2, "time": 5}


@pytest.mark.parametrize("device", DEVICES)
def test_check_names_the_first_wrong_node(
    command: Any, pack: Path, tmp_path: Path, device: list[str]
) -> None:
    other = tmp_path / "other.onnx"
    onnx.save(make_model(wrong=True), str(other))
    status, out, _ = command("check", pack, other, *device, "--json")
    assert status == 1
    result = json.loads(out)
    assert result["ok"] is False
    assert result["first_divergence"]["node"] in ("/dense/Add", "/dense/Relu")
    assert result["outputs"]["h"]["ok"] is False
    status, out, _ = command("check", pack, other, *device)
    assert status == 1
    assert "first wrong node: /dense/" in out


@pytest.mark.parametrize("device", DEVICES)
def test_bench(command: Any, pack: Path, device: list[str]) -> None:
    result = answer(command, "bench", pack, *device, "--runs", 3, "--dim", "rows=2")
    assert result["runs"] == 3
    assert result["dims"] == {"rows": 2, "time": 128}
    assert result["p90_ms"] >= result["median_ms"] > 0
    assert result["load_ms"] > 0
    assert result["first_run_ms"] > 0
    assert result["adapter"]


def test_usage_errors(command: Any, pack: Path, model: Path, tmp_path: Path) -> None:
    assert refusal(command, "bench") == "Missing argument 'DIR'."
    assert refusal(command, "polish") == "No such command 'polish'."
    assert refusal(command, "bench", pack, "--runs", 0) == "--runs 0: expected at least 1"
    assert (
        refusal(command, "bench", pack, "--dim", "lines=3")
        == "unknown dim 'lines': this model's are rows, time"
    )
    assert (
        refusal(command, "bench", pack, "--dim", "rows=-3")
        == "--dim rows=-3: expected a positive integer"
    )
    assert refusal(command, "bench", pack, "--dim", "rows") == "--dim rows: expected NAME=VALUE"
    assert (
        refusal(command, "bench", pack, "--dim", "rows=9999999")
        == "rows = 9999999: expected 1 to 1048576"
    )
    missing = tmp_path / "x.npy"
    assert (
        refusal(command, "run", pack, "--input", f"x={missing}")
        == f"{missing}: can't be read: No such file or directory"
    )
    assert (
        refusal(command, "run", pack, "--input", f"x={model}")
        == f"{model}: is no .npy file of numbers"
    )


def test_unknown_device(command: Any, pack: Path, model: Path) -> None:
    expected = "unknown device 'cuda': expected auto, webgpu or wasm"
    assert refusal(command, "bench", pack, "--device", "cuda") == expected
    assert refusal(command, "check", pack, model, "--device", "cuda") == expected
    assert refusal(command, "run", pack, "--device", "cuda") == expected


def test_feeds_that_do_not_fit(command: Any, pack: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 3, 8), np.float32))
    np.save(tmp_path / "ids.npy", np.zeros((2, 4), np.int64))
    np.save(tmp_path / "wide.npy", np.ones((2, 3, 8)))
    run = ["run", pack, "--output", tmp_path / "out.npz", "--input", f"ids={tmp_path / 'ids.npy'}"]
    assert (
        refusal(command, *run, "--input", f"x={tmp_path / 'x.npy'}")
        == "input 'ids': expected time = 3 (from input 'x') at axis 1, found 4 in [2, 4]"
    )
    assert (
        refusal(command, *run, "--input", f"x={tmp_path / 'wide.npy'}")
        == "input 'x': expected float32 [rows, time, 8], found float64 [2, 3, 8]"
    )
    assert refusal(command, *run) == "input 'x' is missing: expected float32 [rows, time, 8]"
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("verb", ["info", "run", "bench"])
@pytest.mark.parametrize("position", [100, -100])
def test_a_flipped_byte_in_the_manifest(
    command: Any, pack: Path, tmp_path: Path, verb: str, position: int
) -> None:
    copy = tmp_path / "pack"
    shutil.copytree(pack, copy)
    data = bytearray((copy / "manifest.json").read_bytes())
    data[position] ^= 1
    (copy / "manifest.json").write_bytes(data)
    assert refusal(command, verb, copy).startswith(f"{copy}/manifest.json: ")


def test_a_flipped_byte_in_a_shard(command: Any, pack: Path, tmp_path: Path) -> None:
    copy = tmp_path / "pack"
    shutil.copytree(pack, copy)
    shard = copy / "weights-00000.safetensors"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    message = refusal(command, "bench", copy)
    assert message.startswith(f"{shard}: was altered: sha256 ")
    assert message.endswith("; copy the pack again")
    shard.write_bytes(data[:-1])
    message = refusal(command, "bench", copy)
    assert (
        message
        == f"{shard}: expected {len(data)} bytes, found {len(data) - 1}; copy the pack again"
    )


def bad_models() -> Iterator[tuple[str, bytes]]:
    good = make_model().SerializeToString()
    yield "truncated", good[: len(good) // 2]
    yield "random", np.random.default_rng(1).bytes(5000)
    yield "empty", b""
    cycle = make_model()
    cycle.graph.node[0].input[0] = "h"
    yield "cycle", cycle.SerializeToString()
    undefined = make_model()
    undefined.graph.node[1].input[1] = "nowhere"
    yield "undefined", undefined.SerializeToString()
    short = make_model()
    short.graph.initializer[0].raw_data = short.graph.initializer[0].raw_data[:-4]
    yield "short", short.SerializeToString()
    outside = make_model()
    tensor = outside.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret.bin")
    yield "outside", outside.SerializeToString()
    unknown = make_model()
    unknown.graph.node[2].op_type = "Rolu"
    yield "unknown", unknown.SerializeToString()


@pytest.mark.parametrize(("name", "data"), [pytest.param(n, d, id=n) for n, d in bad_models()])
def test_bad_models(command: Any, tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(data)
    (tmp_path.parent / "secret.bin").write_bytes(bytes(512))
    message = refusal(command, "pack", path, "-o", tmp_path / "out")
    assert message.startswith("bad.onnx: ")
    hints = {"cycle": "cycle", "undefined": "nowhere", "short": "w", "outside": "secret.bin",
             "unknown": "/dense/Relu"}  # fmt: skip
    assert hints.get(name, "") in message
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.onnx"]


def test_a_model_that_is_not_there(command: Any, tmp_path: Path) -> None:
    path = tmp_path / "none.onnx"
    message = refusal(command, "pack", path, "-o", tmp_path / "out")
    assert message.startswith(f"{path}: can't be read")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_pack(command: Any, model: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    message = refusal(command, "pack", model, "-o", tmp_path)
    assert (
        message == f"{tmp_path}: holds 'mine.txt', which is no part of a pack; name another folder"
    )
    assert (
        refusal(command, "info", tmp_path)
        == f"{tmp_path}/manifest.json: no such file; make a pack with `webrt pack`"
    )


def test_no_adapter(pack: Path) -> None:
    """Without any driver, `webgpu` says so, and `auto` runs on the CPU without a word."""
    environment = os.environ | {"VK_DRIVER_FILES": "/nowhere.json"}

    def bench(device: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "webrt", "bench", str(pack), "--device", device, "--json"],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    done = bench("webgpu")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "webrt: error: no WebGPU adapter: install a GPU driver with Vulkan"
        " (on Debian a software one is in mesa-vulkan-drivers), or use --device wasm\n"
    )
    done = bench("auto")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["adapter"].startswith("wasm (")


def test_threads(command: Any, pack: Path) -> None:
    for count, name in ((1, "1 thread)"), (3, "3 threads)")):
        device = ("--device", "wasm", "--threads", count)
        assert name in answer(command, "bench", pack, "--runs", 1, *device)["adapter"]
    assert (
        refusal(command, "bench", pack, "--device", "webgpu", "--threads", 2)
        == "threads are for the wasm device, not for webgpu"
    )
    message = refusal(command, "bench", pack, "--device", "wasm", "--threads", 17)
    assert message == "17 threads: expected 1 to 16"
    message = refusal(command, "bench", pack, "--threads", 0)
    assert message.startswith("Invalid value for '--threads'")


def test_without_onnxruntime(
    command: Any, pack: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert refusal(command, "check", pack, model) == (
        "onnxruntime is not installed: pip install 'webrt[check]' or pip install onnxruntime"
    )


def test_bugs_are_one_line_too(command: Any, pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from webrt.cli import info

    monkeypatch.setattr(info, "describe_pack", lambda _: {}["nothing"])
    assert refusal(command, "info", pack).startswith("internal error: KeyError: 'nothing'; ")


def test_few_dims_are_printed() -> None:
    assert at_text({}) == ""
    assert at_text({"batch": 1, "length": 7}) == " at batch = 1, length = 7"
    assert at_text({f"d{j}": j for j in range(90)}).endswith(", d7 = 7 … (90 in all)")
