"""`webrt records`: look after what tuning found on this user's devices."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from webrt.cli import output
from webrt.errors import UsageError

if TYPE_CHECKING:
    from webrt.tune.records import Records

app = typer.Typer(
    help="Look after the records of tuning in this user's cache.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def list_command(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """The devices that were tuned, and how much was tried on each."""
    from webrt.tune.records import Records, cache_file

    file = cache_file()
    devices: dict[str, dict[str, int]] = {}
    for record in Records.read(file):
        counts = devices.setdefault(record.key.device, {"problems": 0, "trials": 0})
        counts["problems"] += 1
        counts["trials"] += len(record.trials)
    if json:
        output.print_json({"file": str(file), "devices": devices})
        return
    print(f"{file}: {len(devices)} devices")
    for device, counts in devices.items():
        print(f"  {device}: {counts['problems']} problems, {counts['trials']} trials")


@app.command("export")
def export_command(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Written; - prints; a folder gets a file a device, for pages."
        ),
    ],
) -> None:
    """Write all records to a file, or to a folder that pages can be served from."""
    from webrt.tune.records import Records, cache_file

    records = Records.read(cache_file())
    if str(file) == "-":
        sys.stdout.write(records.to_json() + "\n")
    elif file.is_dir():
        records.write_folder(file)
    else:
        records.write(file)


@app.command("merge")
def merge_command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files of records.")],
) -> None:
    """Add the records of files to this user's."""
    from webrt.tune.records import Records, cache_file

    found = [_existing(file) for file in files]
    own = Records.read(cache_file())
    for records in found:
        for record in records:
            own.add(record)
    own.write(cache_file())


def _existing(file: Path) -> Records:
    from webrt.tune.records import Records

    if not file.exists():
        raise UsageError(f"{file}: no such file")
    return Records.read(file)


@app.command("clear")
def clear_command(
    device: Annotated[
        str | None, typer.Option(help="As `list` names it; all devices where not given.")
    ] = None,
) -> None:
    """Forget what was tuned, on one device or on all."""
    from webrt.tune.records import Records, cache_file

    records = Records.read(cache_file())
    known = {r.key.device for r in records}
    if device is not None and device not in known:
        raise UsageError(f"no records of {device!r}: `webrt records list` names the devices")
    records.without(device).write(cache_file())
