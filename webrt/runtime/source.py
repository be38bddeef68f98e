"""Where a pack's bytes come from: a folder or one file here, a URL in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from webrt.errors import PackError
from webrt.pack.archive import Archive
from webrt.pack.format import MANIFEST, ChecksFile, RecordsFile, Shard, WasmModule
from webrt.pack.read import map_file, read_manifest

File = Shard | WasmModule | RecordsFile | ChecksFile


class Source(Protocol):
    """`where` names the pack in messages; what comes back is not checked yet."""

    @property
    def where(self) -> str: ...

    async def manifest(self) -> bytes: ...

    async def file(self, part: File) -> memoryview: ...


def source_at(path: Path) -> Source:
    """The pack in a folder, or in one file; raises PackError for a file that is none."""
    return ArchiveSource(path) if path.is_file() else FolderSource(path)


class ArchiveSource:
    """A pack in one file, which is mapped, not read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._archive = Archive(path)

    @property
    def where(self) -> str:
        return str(self.path)

    async def manifest(self) -> bytes:
        return bytes(self._archive.file(MANIFEST))

    async def file(self, part: File) -> memoryview:
        return self._archive.file(part.file)


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

    async def file(self, part: File) -> memoryview:
        return map_file(self.folder / part.file)
