"""What `webrt.load` does about tuning: records from everywhere, then maybe trials."""

from __future__ import annotations

import logging
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from webrt.errors import RecordsError
from webrt.pack.read import read_manifest
from webrt.plan.example import example_bindings
from webrt.runtime.session import Session
from webrt.runtime.source import Source
from webrt.tune import live, spent
from webrt.tune.background import HotShape, TuneProgress, Tuning
from webrt.tune.records import MAX_BYTES, Records, cache_file

SECONDS = 20
"""How long a server may take to answer with records."""

_log = logging.getLogger("webrt")


def own_records() -> Records:
    """The user's records; broken ones are said and left alone."""
    try:
        return Records.read(cache_file())
    except RecordsError as error:
        _log.warning("%s", error)
        return Records()


def records_at(place: str | os.PathLike[str]) -> Records:
    """The records in a file, or at an http(s) URL. Raises RecordsError."""
    where = os.fspath(place)
    if not where.startswith(("http://", "https://")):
        if not Path(where).exists():
            raise RecordsError(f"{where}: no such file")
        return Records.read(Path(where))
    try:
        with urllib.request.urlopen(where, timeout=SECONDS) as answer:
            return Records.from_json(answer.read(MAX_BYTES + 1), where)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise RecordsError(f"{where}: can't be had: {error}") from error


async def use_records(
    session: Session, source: Source, given: str | os.PathLike[str] | None
) -> Records:
    """Serve what is known of this device.

    The user's own records count most, then those `given`, then those that the pack ships.
    """
    handed = Records() if given is None else records_at(given)
    return await live.serve(session, (await live.shipped(session, source), handed, own_records()))


def tune(
    session: Session,
    folder: Path,
    when: str,
    seconds: float,
    dims: Mapping[str, int] | None,
    records: Records,
    progress: Callable[[TuneProgress], None] | None,
) -> None:
    """Tune `now`, or in the `background` from the first run on."""
    manifest = read_manifest(folder)
    if when == "background":
        session.tuning = HotShape(session, manifest, seconds, records, cache_file(), progress)
        return
    file = cache_file()
    bindings = example_bindings(session.pack.plan, dims or {})
    left = seconds - spent.seconds_of(file, spent.key_of(session, bindings))
    if left > 0:
        Tuning(session, manifest, bindings, left, records, file=file, progress=progress).run()
