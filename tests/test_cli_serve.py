"""`webrt serve`: the right bytes under the right headers, and nothing but its own files."""

from __future__ import annotations

import re
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sample_pack import write_sample

from webrt.cli.export import PYODIDE_FILES
from webrt.cli.serve import Folder, Server, Site, byte_range, tuning_folder
from webrt.errors import PackError, UsageError


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packs")
    (folder / "secret").write_text("secret")
    write_sample(folder / "pack")
    return folder / "pack"


@pytest.fixture
def server(pack: Path) -> Iterator[Server]:
    with Server(Site(pack), "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(server: Server, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    request = urllib.request.Request(server.url + path, headers=headers)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read(), dict(response.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


def test_pages_need_not_be_isolated(pack: Path) -> None:
    with Server(Site(pack), "127.0.0.1", 0, isolated=False) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        status, _, headers = get(server, "pack/manifest.json")
        server.shutdown()
        thread.join()
    assert status == 200
    assert "X-Content-Type-Options" in headers
    assert not [name for name in headers if name.startswith("Cross-Origin-O")]
    assert "Cross-Origin-Embedder-Policy" not in headers


def test_serve(server: Server, pack: Path) -> None:
    status, body, headers = get(server, "pack/manifest.json")
    assert (status, body) == (200, (pack / "manifest.json").read_bytes())
    assert headers["Content-Type"] == "application/json"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    status, body, headers = get(server, "webrt/webrt.js")
    assert status == 200
    assert headers["Content-Type"] == "text/javascript; charset=utf-8"
    status, body, headers = get(server, "")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    named = re.findall(r'(?:href|src)="(webrt/[^"]+)"', body.decode())
    assert len(named) >= 2
    for file in named:
        assert get(server, file)[0] == 200
    whole = (pack / "weights-00000.safetensors").read_bytes()
    status, body, headers = get(server, "pack/weights-00000.safetensors", Range="bytes=8-15")
    assert (status, body) == (206, whole[8:16])
    assert headers["Content-Range"] == f"bytes 8-15/{len(whole)}"


@pytest.mark.parametrize(
    "path",
    [
        "pack/", "pack/none.json", "pack/../../etc/passwd", "pack/%2e%2e/secret",
        "pack/..%2fsecret", "pack//etc/passwd", "webrt/../pyproject.toml", "../secret",
        "pack/%00", "etc/passwd", "webrt/%2fetc/passwd",
    ],
)  # fmt: skip
def test_serve_nothing_else(server: Server, path: str) -> None:
    assert get(server, path)[0] == 404


def test_serve_follows_no_link_out(server: Server, pack: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    link = pack / "link.json"
    link.symlink_to(tmp_path / "secret")
    try:
        assert get(server, "pack/link.json")[0] == 404
    finally:
        link.unlink()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, (0, 100)), ("bytes=0-", (0, 100)), ("bytes=10-19", (10, 20)),
        ("bytes=90-200", (90, 100)), ("bytes=-5", (95, 100)), ("bytes=100-", None),
        ("bytes=5-4", None), ("bytes=0-1,5-6", (0, 100)), ("lines=1-2", (0, 100)),
    ],
)  # fmt: skip
def test_byte_ranges(header: str | None, expected: tuple[int, int] | None) -> None:
    assert byte_range(header, 100) == expected


def test_serve_refuses_what_is_no_pack(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="no such file; make a pack with `webrt pack`"):
        Server(Site(tmp_path), "127.0.0.1", 0)


def test_a_port_that_is_taken(server: Server, pack: Path) -> None:
    port = server.server_address[1]
    with pytest.raises(UsageError, match=f"can't listen on 127.0.0.1:{port}: "):
        Server(Site(pack), "127.0.0.1", port)


def test_a_request_without_a_path_names_nothing(pack: Path) -> None:
    with closing(Site(pack)) as site:
        assert [site.find(url) for url in ("//a", "")] == [None, None]


def test_a_folder_is_served_and_nothing_above_it(tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "sub").mkdir(parents=True)
    (site / "index.html").write_text("x")
    (site / "sub" / "a.js").write_text("x")
    (tmp_path / "secret.txt").write_text("x")
    (site / "link.txt").symlink_to(tmp_path / "secret.txt")
    folder = Folder(site)
    assert folder.find("/") == folder.find("/index.html") == site.resolve() / "index.html"
    assert folder.find("/sub/a.js?q=1") == site.resolve() / "sub" / "a.js"
    secret = ("/../secret.txt", "/%2e%2e/secret.txt", "/link.txt")
    for url in (*secret, "/sub/", "/sub", "//a", "", "/.x"):
        assert folder.find(url) is None, url


def test_what_tuning_needs_lies_beside_the_player(pack: Path, tmp_path: Path) -> None:
    for name in PYODIDE_FILES:
        (tmp_path / name).write_text('{"info": {"python": "3.9.9"}}')
    with tuning_folder(tmp_path) as tuning, closing(Site(pack, tuning=tuning)) as site:
        for name in PYODIDE_FILES:
            assert site.find(f"/webrt/pyodide/{name}") is not None
        wheel = site.find("/webrt/webrt.whl")
        assert wheel is not None
        assert "webrt/tune/page.py" in zipfile.ZipFile(wheel).namelist()
        assert site.find("/webrt/pyodide/../webrt.js") is None
    with closing(Site(pack)) as site:
        for path in ("/webrt/webrt.whl", "/webrt/pyodide/pyodide.mjs"):
            assert site.find(path) is None
    with pytest.raises(UsageError, match="no Pyodide distribution"), tuning_folder(pack):
        pass
