"""Writing is deterministic, atomic, and never replaces what isn't a pack; shards hold 64 MiB."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from sample_pack import RELEASE_VALUES, TABLE_VALUES, sample_constants, sample_plan, write_sample

from webrt.dtypes import DType
from webrt.errors import PackError
from webrt.pack import write
from webrt.pack.format import MAX_CONSTANT_BYTES, MAX_SHARD_BYTES
from webrt.pack.read import check_shard, map_file, read_pack
from webrt.pack.wasm import WasmPlan
from webrt.plan.plan import Home, Plan, Tensor

NO_WASM = WasmPlan((), (), ())
FILES = ["kernels-relaxed.wasm", "kernels.wasm", "manifest.json", "weights-00000.safetensors"]


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = write_sample(tmp_path / "pack")
    read = read_pack(tmp_path / "pack")
    assert read == written
    assert [p.name for p in tmp_path.iterdir()] == ["pack"]


def test_same_model_same_bytes(tmp_path: Path) -> None:
    write_sample(tmp_path / "one")
    write_sample(tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_shards_are_safetensors(tmp_path: Path) -> None:
    write_sample(tmp_path / "pack")
    tensors = load_file(tmp_path / "pack" / "weights-00000.safetensors")
    assert tensors["t2"].tolist() == TABLE_VALUES
    assert tensors["t7"].tolist() == RELEASE_VALUES
    assert tensors["t7"].dtype == np.int32


def test_a_pack_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "pack"
    write_sample(target)
    (target / "weights-00001.safetensors").write_bytes(b"of an older, larger pack")
    write_sample(target)
    assert sorted(contents(target)) == FILES
    assert [p.name for p in tmp_path.iterdir()] == ["pack"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    write_sample(tmp_path / "pack")
    read_pack(tmp_path / "pack")


def test_parents_are_made(tmp_path: Path) -> None:
    write_sample(tmp_path / "a" / "b")
    read_pack(tmp_path / "a" / "b")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("thesis.txt", "holds 'thesis.txt', which is no part of a pack; name another folder"),
        (
            "weights-00000.safetensors",
            "is not a pack (no manifest.json); name another folder",
        ),
    ],
)
def test_other_folders_are_left_alone(tmp_path: Path, name: str, message: str) -> None:
    target = tmp_path / "pack"
    target.mkdir()
    (target / name).write_text("mine")
    with pytest.raises(PackError) as caught:
        write_sample(target)
    assert str(caught.value) == f"{target}: {message}"
    assert contents(target) == {name: b"mine"}
    assert [p.name for p in tmp_path.iterdir()] == ["pack"]


def test_a_file_and_a_link_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link"):
        with pytest.raises(PackError, match="is not a folder; name another output folder"):
            write_sample(tmp_path / name)


def test_a_failure_leaves_the_old_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "pack"
    write_sample(target)
    before = contents(target)

    def full(_: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "manifest_bytes", full)
    with pytest.raises(OSError, match="No space left on device"):
        write_sample(target)
    assert contents(target) == before
    assert [p.name for p in tmp_path.iterdir()] == ["pack"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    constants = sample_constants() | {2: b"too short"}
    with pytest.raises(PackError, match="tensor 2: 9 bytes given for one of 160"):
        write.write_pack(tmp_path / "pack", sample_plan(), [], NO_WASM, constants)
    assert list(tmp_path.iterdir()) == []


def test_many_constants_take_several_shards(tmp_path: Path) -> None:
    sizes = [MAX_CONSTANT_BYTES // 4, 3 << 20, 15 << 20, 1, 5]
    shapes: list[tuple[int, ...]] = [(size,) for size in sizes]
    tensors = [Tensor(DType.F32, shape, Home.CONSTANT) for shape in shapes]
    tensors += [Tensor(DType.F16, (3,), Home.CONSTANT), Tensor(DType.U32, (2,), Home.CONSTANT)]
    constants: dict[int, object] = {j: np.full(size, j, np.float32) for j, size in enumerate(sizes)}
    constants |= {5: np.arange(3, dtype=np.float16), 6: np.arange(2, dtype=np.uint32)}
    plan = Plan((), (), (), tuple(tensors), (), ())
    pack = write.write_pack(tmp_path / "pack", plan, [], NO_WASM, constants)
    shards = range(len(pack.shards))
    groups = [[i for i, place in pack.placements.items() if place.shard == n] for n in shards]
    assert groups == [[0], [1], [2], [3, 4, 6, 5]]
    assert read_pack(tmp_path / "pack") == pack
    for number, shard in enumerate(pack.shards):
        path = tmp_path / "pack" / shard.file
        assert path.stat().st_size == shard.bytes <= MAX_SHARD_BYTES
        check_shard(pack, number, map_file(path))
        for name, array in load_file(path).items():
            np.testing.assert_array_equal(array, constants[int(name[1:])])
    for index, place in pack.placements.items():
        assert place.offset % tensors[index].dtype.storage.bytes == 0


def test_names_stay_text(tmp_path: Path) -> None:
    """A model's names are JSON strings and nothing else, whatever they hold."""
    strange = '\u202e../…</script>"\n'
    plan = sample_plan()
    renamed = replace(plan, outputs=(replace(plan.outputs[0], name=strange),))
    text = write.manifest_bytes(replace(write_sample(tmp_path / "pack"), plan=renamed))
    assert json.loads(text)["outputs"][0]["name"] == strange
