"""Opens a pack for a command, with its progress on the command's bar."""

from __future__ import annotations

from pathlib import Path

from webrt import api
from webrt.cli.output import Report
from webrt.runtime.session import Progress, Session

Device = tuple[str, int | None]
"""The device's kind, and the threads asked for."""


def open_session(folder: Path, device: Device, report: Report) -> Session:
    """The pack on a device; raises what `webrt.load` does."""

    def progress(state: Progress) -> None:
        report(state.stage, state.done, state.total)

    kind, threads = device
    return api.load(folder, kind, threads=threads, progress=progress)
