"""Fixtures of the end-to-end tests: a site, browsers on it, packs made once."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
for folder in ("e2e", "tests", "bench"):
    sys.path.insert(0, str(ROOT / folder))

from browsers import Chromium, Firefox, Performer, open_chromium, open_firefox  # noqa: E402
from models import build as build_model  # noqa: E402
from sample_pack import write_sample  # noqa: E402
from site_server import CACHE, Site  # noqa: E402

import webrt  # noqa: E402

PYODIDE = Path(os.environ.get("WEBRT_PYODIDE", ROOT / "e2e" / "node_modules" / "pyodide"))


@pytest.fixture(scope="session")
def packs() -> Path:
    """The folder that the site serves as /packs/."""
    folder = CACHE / "packs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def make_site(packs: Path, isolated: bool) -> Site:
    mounts = {"/web/": ROOT / "web", "/e2e/": ROOT / "e2e", "/packs/": packs}
    mounts |= {"/pyodide/": PYODIDE, "/wheel/": CACHE / "wheel"}
    return Site(mounts, isolated=isolated)


@pytest.fixture(scope="session")
def site(packs: Path) -> Iterator[Site]:
    site = make_site(packs, isolated=False)
    yield site
    site.close()


@pytest.fixture(scope="session")
def isolated_site(packs: Path) -> Iterator[Site]:
    """The same site with the headers that make its pages cross-origin isolated."""
    site = make_site(packs, isolated=True)
    yield site
    site.close()


@pytest.fixture(scope="session")
def chromium(site: Site) -> Iterator[Chromium]:
    with open_chromium() as browser:
        yield Chromium(site, browser)


@pytest.fixture(scope="session")
def isolated(chromium: Chromium, isolated_site: Site) -> Chromium:
    """Chromium on cross-origin isolated pages."""
    return Chromium(isolated_site, chromium.browser)


@pytest.fixture(scope="session")
def firefox(site: Site) -> Iterator[Firefox]:
    with open_firefox(site) as browser:
        yield browser


@pytest.fixture(scope="session")
def isolated_firefox(isolated_site: Site) -> Iterator[Firefox]:
    """Firefox on cross-origin isolated pages."""
    with open_firefox(isolated_site) as browser:
        yield browser


@pytest.fixture
def visitor(chromium: Chromium) -> Iterator[Chromium]:
    """Chromium with storage of its own: pages share what they keep."""
    context = chromium.browser.new_context()  # type: ignore[union-attr]
    yield Chromium(chromium.site, context)
    context.close()


@pytest.fixture(params=["visitor", "firefox"], ids=["chromium", "firefox"])
def returning(request: pytest.FixtureRequest) -> Performer:
    """A visitor who comes back, in each browser."""
    found: Performer = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["chromium", "firefox"])
def browser(request: pytest.FixtureRequest) -> Performer:
    """Each browser in turn."""
    found: Performer = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def sample(packs: Path) -> str:
    """The URL of the hand-made pack of tests/sample_pack.py."""
    write_sample(packs / "sample")
    return "/packs/sample"


@pytest.fixture(scope="session")
def wheel() -> str:
    """The URL of the project's wheel, built from the working tree."""
    folder = CACHE / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "-w",
        str(folder),
        str(ROOT),
    ]
    if importlib.util.find_spec("hatchling"):
        command.append("--no-build-isolation")
    subprocess.run(command, check=True)
    (built,) = folder.glob("*.whl")
    return f"/wheel/{built.name}"


@pytest.fixture(scope="session", params=["minilm-l3", "magika"])
def model(request: pytest.FixtureRequest, packs: Path) -> Path:
    """A real model's ONNX file, out of its PyPI package; packed as /packs/NAME."""
    path: Path = build_model(request.param, CACHE / "models")
    webrt.pack(path, packs / path.stem)
    return path
