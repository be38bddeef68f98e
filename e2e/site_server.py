"""A web server for the end-to-end tests: the player, packs, and jobs that pages run and report."""

from __future__ import annotations

import http.server
import itertools
import json
import os
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from webrt.cli.serve import Folder, Server
from webrt.cli.serve import Site as PackSite
from webrt.resources import shipped

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "e2e" / os.environ.get("PYTEST_XDIST_WORKER", "")
"""What tests download and make. Processes that run at once have a folder each."""
TYPES = {
    ".js": "text/javascript", ".mjs": "text/javascript", ".html": "text/html",
    ".json": "application/json", ".wasm": "application/wasm", ".css": "text/css",
    ".whl": "application/octet-stream",
}  # fmt: skip
STRICT_CSP = "default-src 'none'; script-src 'self'; connect-src 'self'"
JOB_PAGE = """<!doctype html><meta charset="utf-8"><title>job</title>
<script type="module" src="{}.js"></script>
"""
JOB_SCRIPT = (
    'import {{ perform }} from "/e2e/pages/job.js";\nperform("{name}", {script}, {args});\n'
)


@contextmanager
def served(site: PackSite | Folder, isolated: bool = True) -> Iterator[str]:
    """What `webrt serve` serves, on a free port; gives its URL."""
    server = Server(site, "127.0.0.1", 0, isolated)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.url
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Fault:
    """What befalls one request of a path: its answer ends after `cut` bytes, or has `status`."""

    cut: int | None = None
    status: int = 200
    wait: float = 0.0


class Site:
    """Serves folders under `mounts` (prefix ending in / -> folder) and jobs, on a free port."""

    def __init__(self, mounts: dict[str, Path], *, isolated: bool = False) -> None:
        self.mounts = mounts
        self.isolated = isolated
        self.pages: dict[str, tuple[str, bytes, dict[str, str]]] = {}
        self.results: dict[str, queue.Queue[Any]] = {}
        self.waiting: queue.Queue[str] = queue.Queue()
        self.requests: list[str] = []
        self.ranges: list[str] = []
        self.faults: dict[str, list[Fault]] = {}
        self._names = itertools.count()
        site = self

        class Handler(_Handler):
            pass

        Handler.site = site
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://localhost:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def add_job(self, script: str, args: object, *, csp: str | None = None) -> str:
        """Register a job: `script` is an async function of (tools, args); returns its name."""
        name = f"job{next(self._names)}"
        headers = {} if csp is None else {"Content-Security-Policy": csp}
        module = JOB_SCRIPT.format(name=name, script=script, args=json.dumps(args))
        self.pages[f"/jobs/{name}.html"] = ("text/html", JOB_PAGE.format(name).encode(), headers)
        self.pages[f"/jobs/{name}.js"] = ("text/javascript", module.encode(), headers)
        self.results[name] = queue.Queue()
        return name

    def result(self, name: str, timeout: float) -> Any:
        """What the job reported; raises JobError or TimeoutError."""
        try:
            report = self.results[name].get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(f"{name} reported nothing for {timeout} s") from None
        if "error" in report:
            raise JobError(report["error"])
        return report["value"]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class JobError(Exception):
    """What a job threw: `name`, `code`, `message` of the JavaScript error."""

    def __init__(self, error: dict[str, str]) -> None:
        super().__init__(f"{error['name']}: {error['message']}\n{error.get('stack', '')}")
        self.name, self.code, self.message = error["name"], error.get("code"), error["message"]


class _Handler(http.server.BaseHTTPRequestHandler):
    site: Site
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path == "/next":  # Firefox's driver, which asks all the time: no page under test
            self._next_job()
            return
        self.site.requests.append(path)
        if path in self.site.pages:
            kind, body, headers = self.site.pages[path]
            self._answer(200, kind, body, headers)
        else:
            self._file(path)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.site.results[self.path.rsplit("/", 1)[1]].put(json.loads(body))
        self._answer(204, "text/plain", b"")

    def _next_job(self) -> None:
        try:
            self._answer(200, "text/plain", self.site.waiting.get(timeout=10).encode())
        except queue.Empty:
            self._answer(200, "text/plain", b"")

    def _file(self, path: str) -> None:
        for prefix, folder in self.site.mounts.items():
            target = (folder / path.removeprefix(prefix)).resolve()
            if path.startswith(prefix) and target.is_relative_to(folder.resolve()):
                if target.is_dir():
                    target = target / "index.html"
                if target.is_file():
                    self._send_file(path, target)
                    return
        self._answer(404, "text/plain", b"not found")

    def _send_file(self, path: str, target: Path) -> None:
        """A file, from where a Range asks for; with the fault that waits for this path, if any."""
        kind = TYPES.get(target.suffix, "application/octet-stream")
        data = shipped(target) if path.startswith("/web/") else target.read_bytes()
        waiting = self.site.faults.get(path)
        fault = waiting.pop(0) if waiting else Fault()
        time.sleep(fault.wait)
        wanted = self.headers.get("Range")
        self.site.ranges += [f"{path} {wanted}"] if wanted else []
        if fault.status != 200:
            self._answer(fault.status, "text/plain", b"")
            return
        status, headers = 200, {"Accept-Ranges": "bytes"}
        if wanted:
            start = int(wanted.removeprefix("bytes=").split("-")[0])
            status, size = 206, len(data)
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
            data = data[start:]
        self._answer(status, kind, data, headers, fault.cut)

    def _answer(
        self, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None,
        cut: int | None = None,
    ) -> None:  # fmt: skip
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Access-Control-Allow-Origin", "*")
        if self.site.isolated:
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(body[:cut])
            if cut is not None:
                time.sleep(0.3)  # what was sent arrives before the end does
                self.close_connection = True
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a failing test says enough."""
