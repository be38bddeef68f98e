"""Records that travel: in a pack, from a file, from a server; checked wherever they come from."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from adapters import opened
from test_cli import make_model
from test_tune_live import bound, feeds, same

import webrt
from webrt.cli.main import run_app
from webrt.errors import PackError, RecordsError
from webrt.kernel.problem import specialise
from webrt.pack.format import RECORDS
from webrt.pack.read import read_pack
from webrt.runtime.session import Session
from webrt.runtime.source import FolderSource
from webrt.runtime.sync import run_sync
from webrt.tune.candidate import candidates
from webrt.tune.records import Record, Records, Trial, make_key
from webrt.tune.tuner import Tuner

ROWS = 5


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    onnx.save(make_model(), path)
    return path


@pytest.fixture(scope="module")
def found(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records in which each problem's second candidate is the best, on one thread of wasm."""
    folder = tmp_path_factory.mktemp("packs") / "plain"
    webrt.pack(model, folder)
    records = Records()
    with opened("wasm-1") as device:
        session = run_sync(Session.open(FolderSource(folder), device))
        for problem in session.pack.plan.problems:
            bindings = bound(session, ROWS)
            first, second = candidates(specialise(problem, bindings), device.info)[:2]
            key = make_key(device.info, problem, bindings)
            records.add(Record(key, 2.0, (Trial(first, 2.0), Trial(second, 1.0))))
    records.add(replace(record_of(records), key=replace(record_of(records).key, problem="map:0")))
    path = folder.parent / "found.json"
    records.write(path)
    return path


def record_of(records: Records) -> Record:
    return next(iter(records))


@pytest.fixture(scope="module")
def shipped(model: Path, found: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packs") / "pack"
    assert run_app(["pack", str(model), "-o", str(folder), "--records", str(found)]) == 0
    return folder


def swapped(session: Session) -> int:
    """How many kernels of a session are none of the pack's."""
    return (
        session.compiled_kernels
        - len(read_pack(Path(session._source.where)).wasm.kernels)
        - len(session.pack.wasm.packers)
    )


def test_a_pack_brings_its_own_records_only(shipped: Path, found: Path) -> None:
    part = read_pack(shipped).records
    assert part is not None
    kept = Records.read(shipped / part.file)
    assert len(kept) == len(Records.read(found)) - 1  # not that of a problem it doesn't have
    assert (shipped / part.file).stat().st_size == part.bytes


def test_what_a_pack_ships_serves_where_the_device_is_the_same(shipped: Path) -> None:
    problems = len(read_pack(shipped).plan.problems)
    with webrt.load(shipped, "wasm", threads=1) as session:
        assert swapped(session) == problems
        answers = session.run(feeds(session, ROWS))
    with webrt.load(shipped, "wasm", threads=2) as other:
        assert swapped(other) == 0
        same(other.run(feeds(other, ROWS)), answers)


def test_elsewhere_it_orders_the_trials(shipped: Path) -> None:
    part = read_pack(shipped).records
    assert part is not None
    known = Records.read(shipped / part.file)
    with opened("wasm-2") as device:
        session = run_sync(Session.open(FolderSource(shipped), device))
        tuner = Tuner(device, session.pack.plan, bound(session, ROWS), known)
        for work in tuner._work:
            record = next(r for r in known if r.key.problem == tuner.key(work).problem)
            assert record.best is not None
            others = [s for s in work.waiting if s != work.default]
            assert work.order.best(others) == record.best.schedule


def test_a_new_pack_replaces_one_with_records(shipped: Path, model: Path, found: Path) -> None:
    folder = shipped.parent / "again"
    webrt.pack(model, folder, records=found)
    assert (folder / RECORDS).exists()
    webrt.pack(model, folder)
    assert not (folder / RECORDS).exists()
    assert read_pack(folder).records is None


def test_altered_records_are_refused(shipped: Path, model: Path, found: Path) -> None:
    folder = shipped.parent / "altered"
    webrt.pack(model, folder, records=found)
    data = (folder / RECORDS).read_bytes()
    (folder / RECORDS).write_bytes(data.replace(b"2.0", b"3.0"))
    with pytest.raises(PackError, match=r"records\.json: was altered"):
        webrt.load(folder, "wasm", threads=1)
    (folder / RECORDS).unlink()
    with pytest.raises(PackError, match="no such file; the pack is incomplete"):
        webrt.load(folder, "wasm", threads=1)


def test_records_of_another_model_are_no_use(model: Path, tmp_path: Path, found: Path) -> None:
    data = json.loads(found.read_text())
    data["records"] = [r for r in data["records"] if r["problem"] == "map:0"]
    path = tmp_path / "other.json"
    path.write_text(json.dumps(data))
    with pytest.raises(RecordsError, match="none of the 1 records is of this model's kernels"):
        webrt.pack(model, tmp_path / "pack", records=path)
    assert not (tmp_path / "pack").exists()


class _Handler(http.server.BaseHTTPRequestHandler):
    files: dict[str, bytes] = {}  # noqa: RUF012

    def do_GET(self) -> None:
        data = self.files.get(self.path)
        self.send_response(404 if data is None else 200)
        self.end_headers()
        self.wfile.write(data or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server(found: Path) -> Iterator[str]:
    _Handler.files = {"/found.json": found.read_bytes(), "/broken.json": b"{}"}
    served = http.server.HTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=served.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{served.server_port}"
    served.shutdown()
    thread.join()
    served.server_close()


def test_records_come_from_files_and_servers(found: Path, server: str) -> None:
    plain = found.parent / "plain"
    problems = len(read_pack(plain).plan.problems)
    for place in (found, f"{server}/found.json"):
        with webrt.load(plain, "wasm", threads=1, records=place) as session:
            assert swapped(session) == problems


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("/nowhere.json", "/nowhere.json: no such file"),
        ("SERVER/none.json", "none.json: can't be had: HTTP Error 404"),
        ("SERVER/broken.json", "broken.json: not webrt's records"),
        ("http://127.0.0.1:1/x.json", "x.json: can't be had: .*refused"),
    ],
)
def test_records_that_can_t_be_had_are_an_error(
    place: Any, message: str, found: Path, server: str
) -> None:
    with pytest.raises(RecordsError, match=message):
        webrt.load(
            found.parent / "plain", "wasm", threads=1, records=place.replace("SERVER", server)
        )
