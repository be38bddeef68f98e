"""Where a pack's bytes come from: a folder here, a URL in the browser (`devices/browser.py`)."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from webrt.errors import PackError
from webrt.pack.format import RecordsFile, Shard, WasmModule
from webrt.pack.read import map_file, read_manifest


class Source(Protocol):
    """`where` names the pack in messages; what comes back is not checked yet."""

    @property
    def where(self) -> str: ...

    async def manifest(self) -> bytes: ...

    async def file(self, part: Shard | WasmModule | RecordsFile) -> memoryview: ...


class FolderSource:
    """A pack in a folder; files are mapped, not read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def where(self) -> str:
        return str(self.folder)

    async def manifest(self) -> bytes:
        if not self.folder.is_dir():
            raise PackError(f"{self.folder}: no such folder; make a pack with `webrt pack`")
        return read_manifest(self.folder)

    async def file(self, part: Shard | WasmModule | RecordsFile) -> memoryview:
        return map_file(self.folder / part.file)
