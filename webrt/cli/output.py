"""What commands print: JSON or text on standard output, progress and messages on standard error."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

Report = Callable[[str, int, int], None]


def print_json(value: object) -> None:
    """One JSON object on one line."""
    print(json.dumps(value, ensure_ascii=False, allow_nan=False))


def print_error(message: str) -> None:
    """One line on standard error, whatever the message holds."""
    print(f"webrt: error: {one_line(message)}", file=sys.stderr)


def one_line(message: str) -> str:
    return " ".join(part.strip() for part in message.splitlines() if part.strip())


def finite(value: float) -> float | str:
    """A float that JSON can say; an infinity or a NaN by its name."""
    return value if value - value == 0 else str(value)


def weights_text(result: dict[str, Any]) -> str:
    """The weights of a pack: their dtypes too, where they aren't all float32."""
    parts = [f"{name} {size:,}" for name, size in result["weights"].items()]
    shown = f" ({', '.join(parts)})" if {*result["weights"]} - {"float32"} else ""
    return f"{result['weight_bytes']:,} bytes of weights{shown}"


class _OneLineHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower()
        print(f"webrt: {level}: {one_line(record.getMessage())}", file=sys.stderr)


def set_up_logging() -> None:
    """Warnings as single lines."""
    logger = logging.getLogger("webrt")
    logger.handlers[:] = [_OneLineHandler()]
    logger.propagate = False


@contextmanager
def progress() -> Iterator[Report]:
    """A bar a stage on a terminal's standard error, nothing where that is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:>8}"), BarColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        tasks = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage)
            bar.update(tasks[stage], completed=done, total=total)

        yield report


def narrowed_text(result: dict[str, Any]) -> str:
    """What is computed with fewer digits than the model's; nothing where nothing is."""
    return "".join(f" {old} computed in {new}," for old, new in result["narrowed"].items())


def labels_text(name: str, texts: Sequence[str], columns: Sequence[str | int]) -> str:
    """What an output's strings or columns are; nothing where they have no names."""
    if texts:
        return f"{name}: strings out of {_some(texts)}"
    return f"{name}: a column for each of {_some(columns)}" if columns else ""


def _some(names: Sequence[str | int]) -> str:
    """The first few names, so that they are printed on a line."""
    few = ", ".join(str(n) if isinstance(n, int) else ascii(n)[1:-1][:40] for n in names[:8])
    return few + (f" … ({len(names)} in all)" if len(names) > 8 else "")


def at_text(bindings: Mapping[str, int]) -> str:
    """The first few dims, " at batch = 1, sequence = 128", so that they fit a line; "" of none."""
    few = ", ".join(f"{name} = {value}" for name, value in list(bindings.items())[:8])
    more = f" … ({len(bindings)} in all)" if len(bindings) > 8 else ""
    return f" at {few}{more}" if bindings else ""


def host_text(result: dict[str, Any]) -> str:
    """How often a run waits for the device in its middle; nothing where it doesn't."""
    kinds = [what for what, _ in result["host_steps"]]
    if not kinds:
        return ""
    shown = ", ".join(f"{kinds.count(k)} {k}" for k in dict.fromkeys(kinds))
    return f" {len(kinds)} decisions of the host ({shown}),"
