"""`webrt export`: what is in the site, its hashes, its wheel, what it refuses."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from sample_pack import write_sample

from webrt.cli.export import PYODIDE_FILES, WHEEL, export
from webrt.cli.main import run_app
from webrt.errors import PackError, UsageError
from webrt.version import __version__
from webrt.wheel import wheel_bytes


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    write_sample(tmp_path / "pack")
    return tmp_path / "pack"


def pyodide(folder: Path, python: str) -> Path:
    """Something that looks like Pyodide."""
    folder.mkdir()
    for name in PYODIDE_FILES:
        (folder / name).write_text("x")
    (folder / "pyodide-lock.json").write_text(json.dumps({"info": {"python": python}}))
    return folder


def test_the_site_is_whole(pack: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    result = export(pack, out, None, wheel=False)
    assert {p.name for p in out.iterdir()} == {"index.html", "integrity.json", "pack", "webrt"}
    assert {p.name for p in (out / "pack").iterdir()} == {p.name for p in pack.iterdir()}
    assert (out / "webrt" / "demo" / "demo.js").is_file()
    assert result["files"] == sum(p.is_file() for p in out.rglob("*"))
    scripts = {f"webrt/{p.name}" for p in (out / "webrt").glob("*.js")}
    assert set(result["integrity"]) == scripts
    digest = hashlib.sha384((out / "webrt" / "webrt.js").read_bytes()).digest()
    assert result["integrity"]["webrt/webrt.js"] == f"sha384-{base64.b64encode(digest).decode()}"
    assert json.loads((out / "integrity.json").read_text()) == result["integrity"]
    assert 'InferenceSession.create("./pack");' in result["snippet"]


def test_an_export_replaces_an_export_and_nothing_else(pack: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    export(pack, out, None, wheel=False)
    (out / "old").write_text("")
    export(pack, out, None, wheel=False)
    assert not (out / "old").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("")
    with pytest.raises(UsageError, match="holds files that aren't an earlier export"):
        export(pack, other, None, wheel=False)
    with pytest.raises(UsageError, match="is not a folder"):
        export(pack, other / "thesis.txt", None, wheel=False)
    with pytest.raises(PackError):
        export(other, tmp_path / "new", None, wheel=False)
    assert not (tmp_path / "new").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other", "pack", "site"]


def test_the_wheel_is_one(pack: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    result = export(pack, out, "https://cdn.example/pyodide/", wheel=False)
    assert result["note"] == "sources, which every Pyodide runs"
    assert 'pyodide: "https://cdn.example/pyodide/"' in result["snippet"]
    data = (out / "webrt" / WHEEL).read_bytes()
    assert data == wheel_bytes()  # nothing in it depends on the time
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        record = next(n for n in names if n.endswith("RECORD"))
        rows = list(csv.reader(io.StringIO(archive.read(record).decode())))
        assert {row[0] for row in rows} == set(names)
        for name, digest, size in rows:
            if name != record:
                body = archive.read(name)
                found = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=")
                assert (digest, size) == (f"sha256={found.decode()}", str(len(body)))
        archive.extractall(tmp_path / "installed")
    program = "import webrt.tune.tuner, webrt.api, webrt; print(webrt.__version__)"
    command = [sys.executable, "-I", "-c", f"import sys; sys.path[:0] = [sys.argv[1]]; {program}"]
    done = subprocess.run(
        [*command, str(tmp_path / "installed")], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == __version__


def test_pyodide_is_copied(pack: Path, tmp_path: Path) -> None:
    source = pyodide(tmp_path / "pyodide", "2.7.18")
    result = export(pack, tmp_path / "site", str(source), wheel=False)
    copied = (tmp_path / "site" / "webrt" / "pyodide").iterdir()
    assert {p.name for p in copied} == set(PYODIDE_FILES)
    assert result["note"] == f"sources: this Python is {_here()}, Pyodide's 2.7.18"
    assert 'create("./pack", {tune: "background"})' in result["snippet"]
    (source / "python_stdlib.zip").unlink()
    with pytest.raises(UsageError, match=r"python_stdlib\.zip is missing"):
        export(pack, tmp_path / "site", str(source), wheel=False)


def _here() -> str:
    return ".".join(map(str, sys.version_info[:2]))


def test_the_wheel_is_compiled_where_the_pythons_agree(
    pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pyodide(tmp_path / "pyodide", f"{_here()}.0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    result = export(pack, tmp_path / "site", str(source), wheel=False)
    assert result["note"] == "sources: pip install 'webrt[pyodide]' compiles them to byte code"
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "pyodide"  # as pyodide-build 0.39 behaves
    tool.write_text(
        f"#!{sys.executable}\nimport pathlib, sys\nassert sys.argv[1] == 'py-compile'\n"
        "p = pathlib.Path(sys.argv[2])\nparts = p.stem.split('-')\n"
        "if len(parts) != 5: sys.exit(print('Invalid wheel filename'))\np.unlink()\n"
        "p.with_name('-'.join([*parts[:2], 'cp3', *parts[3:]]) + '.whl').write_bytes(b'compiled')\n"
    )
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    result = export(pack, tmp_path / "site", str(source), wheel=False)
    assert result["note"] == "byte code"
    assert (tmp_path / "site" / "webrt" / WHEEL).read_bytes() == b"compiled"
    assert len(list((tmp_path / "site" / "webrt").glob("*.whl"))) == 1
    tool.write_text(f"#!{sys.executable}\nprint('no such thing')\n")
    result = export(pack, tmp_path / "site", str(source), wheel=False)
    assert result["note"] == "sources: pyodide py-compile failed: no such thing"
    assert (tmp_path / "site" / "webrt" / WHEEL).read_bytes() == wheel_bytes()


def test_the_command(pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["export", str(pack), "-o", str(tmp_path / "site"), "--wheel"]) == 0
    text = capsys.readouterr().out
    assert f"webrt/{WHEEL}: sources" in text
    assert '<script type="importmap">' in text
    assert run_app(["export", str(pack), "-o", str(pack)]) == 2
    assert "aren't an earlier export" in capsys.readouterr().err


def test_pages_name_the_modules_that_they_will_need(pack: Path, tmp_path: Path) -> None:
    result = export(pack, tmp_path / "site", None, wheel=False)
    link = r'<link rel="modulepreload" href="\./webrt/([\w-]+\.js)">'
    hinted = re.findall(link, result["snippet"])
    assert hinted == ["webrt.js", "session.js", "device.js", "wasm.js"]
    assert {f"webrt/{name}" for name in hinted} <= set(result["integrity"])
    page = (tmp_path / "site" / "index.html").read_text()
    assert page.count('rel="modulepreload" href="webrt/') == len(hinted) == len(set(hinted))
    assert page.index("modulepreload") < page.index('<script type="module"')
