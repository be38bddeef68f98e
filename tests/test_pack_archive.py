"""A pack in one file: written the same every time, read under the rules that the player has too."""

from __future__ import annotations

import base64
import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_pack import write_sample

import webrt
from webrt.cli.export import export
from webrt.cli.serve import Site
from webrt.errors import PackError
from webrt.pack.archive import ALIGNMENT, Archive, check_target, entries, unpacked, write_archive
from webrt.pack.format import MANIFEST
from webrt.pack.read import read_pack

VECTORS = Path(__file__).parent / "vectors" / "archive.json"


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    write_sample(tmp_path / "folder")
    write_archive(tmp_path / "folder", tmp_path / "sample.webrt")
    return tmp_path / "sample.webrt"


def test_it_is_a_zip_of_stored_aligned_files(packed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with zipfile.ZipFile(packed) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert sorted(names) == sorted(p.name for p in folder.iterdir())
        assert names[0] == MANIFEST
        assert names[-1].startswith("weights")
        assert all(archive.read(n) == (folder / n).read_bytes() for n in names)
    opened = Archive(packed)
    assert opened.names == tuple(names)
    assert all(e.start % ALIGNMENT == 0 for e in opened._entries.values())
    first = packed.read_bytes()
    write_archive(folder, packed)
    assert packed.read_bytes() == first


def test_everything_takes_it(packed: Path, tmp_path: Path) -> None:
    assert read_pack(packed) == read_pack(tmp_path / "folder")
    feeds = {"ids": np.array([[1, 2]]), "scale": np.array([1, 2, 3, 4], np.float32)}
    answers = []
    for place in (packed, tmp_path / "folder"):
        with webrt.load(place, device="wasm", threads=1) as session:
            answers.append(session.run(feeds)["pooled"])
    np.testing.assert_array_equal(*answers)
    export(packed, tmp_path / "site", None, wheel=False)
    assert (tmp_path / "site" / "pack" / MANIFEST).is_file()
    site = Site(packed)
    manifest = site.find(f"/pack/{MANIFEST}")
    assert manifest is not None
    assert manifest.read_bytes() == (tmp_path / "folder" / MANIFEST).read_bytes()
    site.close()
    assert not manifest.exists()
    with unpacked(tmp_path / "folder") as same:
        assert same == tmp_path / "folder"


def test_pack_writes_one(tmp_path: Path, packed: Path) -> None:
    (tmp_path / "notes.webrt").write_text("mine")
    (tmp_path / "folder.webrt").mkdir()
    with pytest.raises(PackError, match=r"notes\.webrt: is no pack: make one with"):
        check_target(tmp_path / "notes.webrt")
    with pytest.raises(PackError, match="is not a file; name another one"):
        check_target(tmp_path / "folder.webrt")
    check_target(packed)
    check_target(tmp_path / "new.webrt")


def make(*files: tuple[str, bytes]) -> bytearray:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return bytearray(buffer.getvalue())


def cases() -> list[dict[str, object]]:
    """What `tests/vectors/archive.json` holds; `pytest --update-golden` writes it."""
    manifest, shard = (MANIFEST, b"{}\n"), ("weights-00000.safetensors", bytes(20))
    good = make(manifest, shard)
    other = bytearray(good)
    at = other.rindex(b"weights")
    other[at : at + 7] = b"Weights"
    sized = bytearray(good)
    place = sized.rindex(b"PK\x01\x02")
    struct.pack_into("<2I", sized, place + 20, 19, 19)
    streamed = bytearray(good)
    struct.pack_into("<H", streamed, 6, 8)
    compressed = bytearray(good)
    struct.pack_into("<H", compressed, compressed.rindex(b"PK\x03\x04") + 8, 8)
    long = bytearray(good)
    struct.pack_into("<2I", long, 18, 1 << 30, 1 << 30)
    differs = "its directory differs from its entries; pack the model again"
    cut = "is cut short or altered; copy the pack again"
    packed = "its entries are compressed or encrypted, where a pack's are stored;"
    packed += " `webrt pack` writes such files"
    named = [
        ("good", good, None),
        ("cut in an entry", good[:50], cut),
        ("cut in a header", good[:20], cut),
        ("cut in the directory", good[:-30], cut),
        ("without a directory", good[: good.index(b"PK\x01\x02")], cut),
        ("an entry longer than the file", long, cut),
        ("a name that differs", other, differs),
        ("a size that differs", sized, differs),
        ("compressed", compressed, packed),
        ("sizes left for later", streamed, packed),
        ("a path", make(manifest, ("../" + shard[0], b"")), "an entry's name is no file of a pack;"
         " pack the model again"),
        ("another ZIP", make(("word/document.xml", b"")), "an entry's name is no file of a pack;"
         " pack the model again"),
        ("another first entry", make(shard, manifest),
         "is a ZIP file whose first entry is no manifest.json: no pack"),
        ("ONNX", bytes([8, 10, 18, 7]) + b"pytorch", "is an ONNX model: pack it first:"
         " webrt pack model.onnx -o model.webrt"),
        ("text", b"<!doctype html>", "is no pack: make one with"
         " `webrt pack model.onnx -o model.webrt`"),
        ("nothing", b"", "is no pack: make one with `webrt pack model.onnx -o model.webrt`"),
    ]  # fmt: skip
    twice = bytearray(make(manifest, ("weights-00001.safetensors", b"a"), shard))
    for j in (b"00001",):
        while j in twice:
            twice[twice.index(j) : twice.index(j) + 5] = b"00000"
    named.append(("a name twice", twice, f"{shard[0]} stands there twice; pack the model again"))
    return [
        {"name": name, "base64": base64.b64encode(data).decode(), "error": error,
         "names": None if error else [manifest[0], shard[0]]}
        for name, data, error in named
    ]  # fmt: skip


@pytest.mark.parametrize("case", cases(), ids=lambda c: c["name"])
def test_what_is_refused(case: dict[str, Any]) -> None:
    data = memoryview(base64.b64decode(case["base64"]))
    if case["error"] is None:
        assert [e.name for e in entries(data, "x.webrt")] == case["names"]
        return
    with pytest.raises(PackError) as error:
        entries(data, "x.webrt")
    assert str(error.value) == f"x.webrt: {case['error']}"


def test_the_player_is_held_to_the_same(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden"):
        VECTORS.write_text(json.dumps(cases(), indent=1) + "\n")
    assert json.loads(VECTORS.read_text()) == cases()
