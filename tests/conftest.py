"""What all tests share: goldens, and drivers that are found before the first adapter is."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import drivers
import pytest
from hypothesis import settings

GOLDENS = Path(__file__).parent / "goldens"

assert drivers.DRIVERS  # imported for what it does

settings.register_profile("any machine", deadline=None)  # a busy one takes its time
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files anew, then read them"
    )


def pytest_collection_finish() -> None:
    """What was imported stays: the collector needn't look at it over and over, nor so often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@pytest.fixture(autouse=True, scope="session")
def _no_records_of_this_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Sessions serve what was tuned on the machine: tests start from nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records of the test's own, where it writes some."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def tiny_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a pack of test_cli.py's model, which lies beside it."""
    import onnx
    from test_cli import make_model

    import webrt

    target = tmp_path_factory.mktemp("packs")
    onnx.save(make_model(), target / "model.onnx")
    webrt.pack(target / "model.onnx", target / "pack")
    return target / "pack"


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares a text with `tests/goldens/NAME`; a missing file fails."""
    update = request.config.getoption("--update-golden")

    def compare(name: str, text: str) -> None:
        path = GOLDENS / name
        if update:
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"{path} is missing: run pytest --update-golden and read the change"
        assert text == path.read_text(encoding="utf-8"), (
            f"{path} differs: run pytest --update-golden and read the change"
        )

    return compare
