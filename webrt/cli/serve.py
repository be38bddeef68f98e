"""`webrt serve`: a small static server for a pack, the player and the demo page, or the gallery."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from webrt.cli.export import copy_player, copy_pyodide, write_wheel
from webrt.errors import UsageError
from webrt.pack.archive import unpacked
from webrt.pack.read import read_pack

_TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".json": "application/json", ".wasm": "application/wasm", ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8", ".ts": "text/plain; charset=utf-8",
}  # fmt: skip
_ISOLATION = {
    # Cross-origin isolation: what SharedArrayBuffer, and with it wasm threads, need.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
_HEADERS = {
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
    "Accept-Ranges": "bytes",
}
_PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
PAGE = "demo/index.html"


class Site:
    """Which file a URL names: `/pack/…`, `/webrt/…` (the player), and the demo page at `/`.

    `tuning` is a folder with `pyodide/` and `webrt.whl`, for pages that tune: beside the player,
    where it looks for them. Raises PackError for a folder that is no pack.
    """

    def __init__(self, pack: Path, tuning: Path | None = None) -> None:
        read_pack(pack)
        self._made = ExitStack()
        player = Path(self._made.enter_context(tempfile.TemporaryDirectory(prefix="webrt-")))
        copy_player(player)
        self.roots = {"pack": self._made.enter_context(unpacked(pack)), "webrt": player}
        self.page = player / PAGE
        self.tuning = tuning

    def close(self) -> None:
        """Give back the player's copy, and what a pack in one file was unpacked to."""
        self._made.close()

    def find(self, url: str) -> Path | None:
        """The file behind a request's path; None for anything that isn't plainly one of ours."""
        first, *rest = _parts(url)
        if not first and not rest:
            return self.page if self.page.is_file() else None
        root = self.roots.get(first)
        if first == "webrt" and rest[:1] in (["pyodide"], ["webrt.whl"]):
            root = self.tuning
        return None if root is None else _within(root, rest)


class Folder:
    """A whole site in a folder; a folder's page is its `index.html`."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def close(self) -> None:
        """Nothing to give back."""

    def find(self, url: str) -> Path | None:
        """The file behind a request's path; None for anything that isn't plainly one of ours."""
        *folders, name = _parts(url)
        return _within(self.root, [*folders, name or "index.html"])


def _parts(url: str) -> list[str]:
    """The names in a request's path, one at least; no path names nothing."""
    return [unquote(p) for p in urlsplit(url).path.split("/")[1:]] or ["", ""]


def _within(root: Path, parts: Sequence[str]) -> Path | None:
    """The file of plain names beneath `root`; a link may lead out of the folder, a name may not."""
    if not parts or not all(_PART.fullmatch(p) for p in parts):
        return None
    path = root.joinpath(*parts)
    return path if path.is_file() and root.resolve() in path.resolve().parents else None


@contextmanager
def tuning_folder(pyodide: Path | None) -> Iterator[Path | None]:
    """What pages need to tune, where there is a Pyodide distribution for it.

    Raises UsageError for a folder that is none.
    """
    if pyodide is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as scratch:
        copy_pyodide(pyodide, Path(scratch) / "pyodide")
        write_wheel(Path(scratch) / "webrt.whl", pyodide)
        yield Path(scratch)


def gallery_site(
    folder: Path | None, report: Callable[[str, int, int], None]
) -> tuple[Path, Folder]:
    """The gallery, built in `folder` (the user's cache by default) unless it is there already."""
    from platformdirs import user_cache_path

    from webrt.cli.gallery import build_gallery

    folder = folder or user_cache_path("webrt") / "gallery"
    build_gallery(folder, report)
    return folder, Folder(folder)


class Handler(BaseHTTPRequestHandler):
    """GET and HEAD of files, with single byte ranges (RFC 9110, section 14)."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self._respond(body=True)

    def do_HEAD(self) -> None:
        self._respond(body=False)

    def _respond(self, body: bool) -> None:
        path = self.server.site.find(self.path)
        if path is None:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        try:
            with open(path, "rb") as file:
                self._send(file, path, body)
        except OSError:
            self.close_connection = True

    def _send(self, file: BinaryIO, path: Path, body: bool) -> None:
        size = file.seek(0, 2)
        wanted = byte_range(self.headers.get("Range"), size)
        if wanted is None:
            self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, f"bytes */{size}")
            return
        start, end = wanted
        partial = (start, end) != (0, size)
        self.send_response(HTTPStatus.PARTIAL_CONTENT if partial else HTTPStatus.OK)
        self.send_header("Content-Type", _TYPES.get(path.suffix, "application/octet-stream"))
        self.send_header("Content-Length", str(end - start))
        if partial:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self._end()
        if body:
            file.seek(start)
            _copy(file, self.wfile.write, end - start)

    def _refuse(self, status: HTTPStatus, content_range: str | None = None) -> None:
        text = f"{status.value} {status.phrase}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", _TYPES[".txt"])
        self.send_header("Content-Length", str(len(text)))
        if content_range is not None:
            self.send_header("Content-Range", content_range)
        self._end()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _end(self) -> None:
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Silent: the page shows what goes wrong."""


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Start and end (exclusive) of what a Range header asks for; None where that isn't there.

    Headers that aren't a single byte range are ignored, as the RFC allows.
    """
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", header or "")
    if match is None or match.group(0) == "bytes=-":
        return 0, size
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
    return (start, end) if start < end else None


def _copy(file: BinaryIO, write: Callable[[bytes], object], count: int) -> None:
    while count > 0:
        part = file.read(min(count, 1 << 20))
        if not part:
            return
        write(part)
        count -= len(part)


class Server(ThreadingHTTPServer):
    """Serves a site on this machine only; `isolated` pages may use wasm threads."""

    daemon_threads = True

    def __init__(self, site: Site | Folder, host: str, port: int, isolated: bool = True) -> None:
        self.headers = _HEADERS | (_ISOLATION if isolated else {})
        self.site = site
        try:
            super().__init__((host, port), Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(f"can't listen on {host}:{port}: {reason}") from error

    def server_close(self) -> None:
        super().server_close()
        self.site.close()

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}/"
