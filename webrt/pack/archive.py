"""A pack in one file: a ZIP archive whose entries are the pack's files, stored as they are.

Entries stand back to back from the first byte on, the manifest first, then what the rest needs of
files in the order of `format.py`, shards last: a player reads the archive as it arrives. Nothing
is compressed or encrypted, no size is left for later. The directory at the end, which other tools
go by, lists the same entries. `web/archive.js` reads archives under the same rules;
`tests/vectors/archive.json` holds both to them.
"""

from __future__ import annotations

import io
import mmap
import os
import re
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from webrt.errors import PackError
from webrt.pack.format import CHECKS, MANIFEST, MODULES, RECORDS, SHARD_NAME

SUFFIX = ".webrt"
ALIGNMENT = 64
"""Of an entry's data: mapped weights are read where they stand."""
MAX_ENTRIES = 1 << 16
_FIRST = (MANIFEST, *MODULES, RECORDS, CHECKS)
_NAME = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LOCAL = struct.Struct("<4s5H3I2H")
_DATE = (1980, 1, 1, 0, 0, 0)
_PADDING = 0x7764  # "dw": the number of an extra field that nobody else has


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: its data are `size` bytes from `start`, behind a header at `offset`."""

    name: str
    offset: int
    start: int
    size: int


def write_archive(folder: Path, target: Path) -> None:
    """The pack in `folder` as the archive `target`, the same bytes every time."""
    names = [p.name for p in folder.iterdir()]
    order = [n for n in _FIRST if n in names]
    order += sorted(n for n in names if re.fullmatch(SHARD_NAME, n))
    target.parent.mkdir(parents=True, exist_ok=True)
    number, scratch = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with (
            os.fdopen(number, "wb") as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
        ):
            for name in order:
                info = zipfile.ZipInfo(name, _DATE)
                info.external_attr = 0o644 << 16
                info.extra = _padding(file.tell() + _LOCAL.size + len(name))
                with open(folder / name, "rb") as source:
                    info.file_size = os.fstat(source.fileno()).st_size
                    with archive.open(info, "w") as entry:
                        while part := source.read(1 << 20):
                            entry.write(part)
        os.chmod(scratch, 0o644)
        os.replace(scratch, target)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def _padding(at: int) -> bytes:
    """An extra field behind which the data, from `at` on without it, are aligned."""
    return struct.pack("<2H", _PADDING, pad := -(at + 4) % ALIGNMENT) + bytes(pad)


def check_target(target: Path) -> None:
    """Refuse to replace anything but an archive of a pack; raises PackError."""
    if not target.exists() and not target.is_symlink():
        return
    if target.is_symlink() or not target.is_file():
        raise PackError(f"{target}: is not a file; name another one")
    if target.stat().st_size:
        Archive(target)


class Archive:
    """The archive at `path`, mapped into memory; raises PackError for what is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with open(path, "rb") as file:
                self._bytes = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is empty"
            raise PackError(f"{path}: can't be read: {reason}") from error
        self._entries = {entry.name: entry for entry in entries(self._bytes, str(path))}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._entries)

    def file(self, name: str) -> memoryview:
        """The bytes of one file, not verified."""
        if name not in self._entries:
            raise PackError(f"{self.path}: holds no {name}; the pack is incomplete")
        entry = self._entries[name]
        return self._bytes[entry.start : entry.start + entry.size]


def entries(data: memoryview, where: str) -> tuple[Entry, ...]:
    """All entries of an archive, whose directory must say the same; raises PackError."""
    found: list[Entry] = []
    at = 0
    while bytes(data[at : at + 4]) == b"PK\x03\x04":
        entry = _read_entry(data, at, where)
        if entry.name in {e.name for e in found} or len(found) == MAX_ENTRIES:
            raise PackError(f"{where}: {entry.name} stands there twice; pack the model again")
        found.append(entry)
        at = entry.start + entry.size
    if not found or found[0].name != MANIFEST:
        raise no_pack(bytes(data[:16]), where)
    try:
        with zipfile.ZipFile(_Bytes(data)) as archive:
            listed = [(i.filename, i.header_offset, i.file_size) for i in archive.infolist()]
            kinds = {i.compress_type for i in archive.infolist()}
            end = archive.start_dir
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise PackError(f"{where}: is cut short or altered; copy the pack again") from error
    if listed != [(e.name, e.offset, e.size) for e in found] or kinds != {0} or end != at:
        raise PackError(f"{where}: its directory differs from its entries; pack the model again")
    return tuple(found)


def _read_entry(data: memoryview, at: int, where: str) -> Entry:
    if len(data) < at + _LOCAL.size:
        raise PackError(f"{where}: is cut short or altered; copy the pack again")
    _, _, flags, method, _, _, _, packed, size, name_size, extra = _LOCAL.unpack_from(data, at)
    start = at + _LOCAL.size + name_size + extra
    name = bytes(data[at + _LOCAL.size : at + _LOCAL.size + name_size])
    if flags & ~0x0800 or method or packed != size:
        raise PackError(
            f"{where}: its entries are compressed or encrypted, where a pack's are stored;"
            " `webrt pack` writes such files"
        )
    if not _NAME.fullmatch(name):
        raise PackError(f"{where}: an entry's name is no file of a pack; pack the model again")
    if start + size > len(data):
        raise PackError(f"{where}: is cut short or altered; copy the pack again")
    return Entry(name.decode(), at, start, size)


def no_pack(head: bytes, where: str) -> PackError:
    """What a file is, going by its first bytes, and what to do."""
    if head[:1] == b"\x08" or where.endswith(".onnx"):
        what = "is an ONNX model: pack it first: webrt pack model.onnx -o model.webrt"
    elif head[:2] == b"PK":
        what = f"is a ZIP file whose first entry is no {MANIFEST}: no pack"
    else:
        what = "is no pack: make one with `webrt pack model.onnx -o model.webrt`"
    return PackError(f"{where}: {what}")


class _Bytes(io.RawIOBase):
    """A file of bytes in memory that aren't copied."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._at, len(self._data))[whence]
        if base + offset < 0:
            raise ValueError("a place before the file")
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = len(self._data) if size < 0 else self._at + size
        part = bytes(self._data[self._at : end])
        self._at += len(part)
        return part


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The pack at `path` as a folder, a temporary one for an archive; raises PackError."""
    if path.is_dir() or not path.exists():
        yield path
        return
    archive = Archive(path)
    with tempfile.TemporaryDirectory(prefix="webrt-") as scratch:
        folder = Path(scratch) / path.stem
        folder.mkdir()
        for name in archive.names:
            (folder / name).write_bytes(archive.file(name))
        yield folder
