"""The README says what is true: the table of operators, the commands, the names in its examples."""

import re
from pathlib import Path

import webrt
from webrt.cli.main import app
from webrt.ops.table import insert

README = Path(__file__).resolve().parent.parent / "README.md"


def test_the_table_of_operators_is_the_registry_s() -> None:
    text = README.read_text()
    assert insert(text) == text, "run: python -m webrt.ops.table README.md"


def test_every_command_stands_in_the_readme() -> None:
    shown = set(re.findall(r"^\| `webrt (\w+)", README.read_text(), re.MULTILINE))
    commands = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}
    assert shown == commands | {group.name for group in app.registered_groups}


def test_the_python_example_uses_public_names() -> None:
    used = set(re.findall(r"webrt\.(\w+)\(", README.read_text()))
    assert used
    assert used <= set(webrt.__all__)
