"""The reader refuses every malformed manifest and shard, and says where.

`vectors/pack/malformed.json` and `wasm.json` change one value of `vectors/pack/base.json` a case
(`path` to it, a new `value` or `remove`) and name the error, which starts with the field. Every
reader of packs is held to these cases: the page's own in `web/` too (but to `problems.json`, whose
texts it leaves alone). `base.json` is a manifest that `sample_pack.py` wrote, without its sha256;
`flow.json` changes `flow-base.json`, the manifest of a model with a branch, a loop and host steps.
"""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from sample_pack import sample_constants, sample_plan, write_sample

from webrt.errors import PackError
from webrt.pack.format import SEAL
from webrt.pack.read import check_shard, map_file, parse_manifest, read_pack

VECTORS = Path(__file__).parent / "vectors" / "pack"
BASE = json.loads((VECTORS / "base.json").read_text())
FLOW_BASE = json.loads((VECTORS / "flow-base.json").read_text())
CASES = [
    case
    for file in ("malformed.json", "wasm.json", "problems.json", "flow.json")
    for case in json.loads((VECTORS / file).read_text())
]
FLOW_CASES = [case["name"] for case in json.loads((VECTORS / "flow.json").read_text())]


def sealed(body: object) -> bytes:
    text = json.dumps(body, separators=(",", ":")).encode()
    head = text[:-1] + b","
    return head + SEAL % hashlib.sha256(head + SEAL % (b"0" * 64)).hexdigest().encode()


def patched(case: dict[str, Any]) -> object:
    body = copy.deepcopy(FLOW_BASE if case["name"] in FLOW_CASES else BASE)
    *parents, last = case["path"]
    at = body
    for key in parents:
        at = at[key]
    if case.get("remove"):
        del at[last]
    else:
        at[last] = case["value"]
    return body


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["name"])
def test_malformed_manifest(case: dict[str, Any]) -> None:
    with pytest.raises(PackError) as caught:
        parse_manifest(sealed(patched(case)))
    assert str(caught.value) == f"manifest.json: {case['error']}"


def test_the_base_manifest_is_well_formed() -> None:
    pack = parse_manifest(sealed(BASE))
    assert [s.name for s in pack.plan.symbols] == ["batch", "length"]
    assert pack.plan.steps == sample_plan().steps
    assert pack.plan.tensors == sample_plan().tensors
    assert pack.plan.inputs == sample_plan().inputs
    assert pack.plan.outputs == sample_plan().outputs


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "doesn't end in its sha256; it is cut short or no manifest"),
        (sealed(BASE)[:-1], "doesn't end in its sha256; it is cut short or no manifest"),
        (bytes(range(256)), "doesn't end in its sha256; it is cut short or no manifest"),
    ],
)
def test_cut_manifest(data: bytes, message: str) -> None:
    with pytest.raises(PackError) as caught:
        parse_manifest(data)
    assert str(caught.value) == f"manifest.json: {message}"


@pytest.mark.parametrize("text", [b"{}", b'{"a":NaN,"b":0}', b"[" * 100_000, b'{"a":"\xff","b":0}'])
def test_sealed_text_that_is_no_json_object(text: bytes) -> None:
    head = text[:-1] + b","
    data = head + SEAL % hashlib.sha256(head + SEAL % (b"0" * 64)).hexdigest().encode()
    with pytest.raises(PackError, match="is not JSON"):
        parse_manifest(data)


def test_every_flipped_bit_of_a_manifest_is_noticed() -> None:
    data = sealed(BASE)
    for position in range(0, len(data), 37):
        altered = bytearray(data)
        altered[position] ^= 1 << (position % 8)
        with pytest.raises(PackError):
            parse_manifest(bytes(altered))


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(PackError) as caught:
        read_pack(tmp_path / "none")
    path = tmp_path / "none" / "manifest.json"
    assert str(caught.value) == f"{path}: no such file; make a pack with `webrt pack`"


def test_shard_is_held_against_the_manifest(tmp_path: Path) -> None:
    pack = write_sample(tmp_path / "pack")
    path = tmp_path / "pack" / pack.shards[0].file
    good = path.read_bytes()
    check_shard(pack, 0, map_file(path))
    with pytest.raises(PackError, match=r"expected 300 bytes, found 299; copy the pack again"):
        check_shard(pack, 0, memoryview(good[:-1]))
    altered = bytearray(good)
    altered[-1] ^= 1
    with pytest.raises(PackError, match=r"weights-00000.safetensors: was altered: sha256 "):
        check_shard(pack, 0, memoryview(altered))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"t2"', b'"t3"', "t2: is missing"),
        (b'"F32"', b'"I32"', "t2.dtype: expected one of F32, found 'I32'"),
        (b"[10,4]", b"[4,10]", "t2: its shape or place differs from the manifest's"),
        (b"[0,160]", b"[4,164]", "t2: its shape or place differs from the manifest's"),
        (b'{"t2"', b'["t2"', "its header is not JSON"),
    ],
)
def test_shard_header_that_contradicts_the_manifest(
    tmp_path: Path, old: bytes, new: bytes, message: str
) -> None:
    write_sample(tmp_path / "pack")
    shard = (tmp_path / "pack" / "weights-00000.safetensors").read_bytes().replace(old, new, 1)
    body = copy.deepcopy(BASE)
    body["shards"][0] |= {"sha256": hashlib.sha256(shard).hexdigest(), "bytes": len(shard)}
    with pytest.raises(PackError) as caught:
        check_shard(parse_manifest(sealed(body)), 0, memoryview(shard))
    assert str(caught.value) == f"weights-00000.safetensors: {message}"


def test_header_longer_than_the_file() -> None:
    shard = (1 << 62).to_bytes(8, "little") + bytes(292)
    body = copy.deepcopy(BASE)
    body["shards"][0]["sha256"] = hashlib.sha256(shard).hexdigest()
    with pytest.raises(PackError, match=r"a header of \d+ bytes doesn't fit the file"):
        check_shard(parse_manifest(sealed(body)), 0, memoryview(shard))


def test_constants_come_back(tmp_path: Path) -> None:
    pack = write_sample(tmp_path / "pack")
    data = map_file(tmp_path / "pack" / pack.shards[0].file)
    for index, value in sample_constants().items():
        place = pack.placements[index]
        assert data[place.offset : place.offset + place.bytes] == memoryview(value).cast("B")  # type: ignore[arg-type]
