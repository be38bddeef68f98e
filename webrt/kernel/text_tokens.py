"""Tokens of the text forms, and a cursor over them that refuses what it doesn't expect."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from webrt.dtypes import DType

MAX_TEXT = 1 << 20
"""The longest kernel, and the longest line, that is parsed."""

MAX_DEPTH = 100
"""The deepest nesting of brackets that is parsed."""

MAX_INTEGER = 1 << 62

_TOKEN = re.compile(
    r"[ ]*(?:(?P<number>(?:[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?|inf\b|nan\b|inf(?=_)|nan(?=_))"
    r"(?:_(?:f32|f16|i64|i32|i16|i8|u64|u32|u16|u8))?)"
    r"|(?P<name>[a-z][a-z0-9_]{0,63})"
    r"|(?P<mark>//|<=|>=|==|!=|:=|[-+*/%<>&|^()\[\]{},;:=.]))"
)

TYPES = {str(d): d for d in DType}


class Tokens:
    """The tokens of one line, read from left to right.

    `kind` of the next one is `number`, `name`, `mark` or, after the last, `end`; `text` is its own.
    """

    kind: str
    text: str

    def __init__(self, line: str) -> None:
        self.line = line
        self.depth = 0
        self._tokens: list[tuple[str, str]] = []
        self._position = -1
        end = 0
        text = line.rstrip(" ")
        if len(text) > MAX_TEXT:
            raise ValueError(f"a line of {len(text)} characters is too long")
        while end < len(text):
            match = _TOKEN.match(text, end)
            if match is None:
                raise ValueError(f"not understood: {text[end : end + 20]!r}")
            kind = match.lastgroup
            assert kind is not None
            self._tokens.append((kind, match[kind]))
            end = match.end()
        self.take()

    def ahead(self, distance: int) -> str:
        """The text of a later token, empty after the last."""
        place = self._position + distance
        return self._tokens[place][1] if place < len(self._tokens) else ""

    def take(self) -> str:
        taken = self.text if self._position >= 0 else ""
        self._position += 1
        ended = self._position >= len(self._tokens)
        self.kind, self.text = ("end", "") if ended else self._tokens[self._position]
        return taken

    def accept(self, text: str) -> bool:
        """Take the next token if it is `text`."""
        if self.text != text or self.kind == "number":
            return False
        self.take()
        return True

    def expect(self, text: str) -> None:
        if not self.accept(text):
            raise self.error(f"expected {text!r}")

    def name(self) -> str:
        if self.kind != "name":
            raise self.error("expected a name")
        return self.take()

    def integer(self) -> int:
        """An integer literal, with its sign."""
        negative = self.accept("-")
        if self.kind != "number" or not self.text.isdigit() or len(self.text) > 19:
            raise self.error("expected an integer")
        value = int(self.take())
        if value > MAX_INTEGER:
            raise self.error(f"{value} is too large")
        return -value if negative else value

    def dtype(self) -> tuple[DType, int]:
        """A type with its lanes: `f32`, `f32x4`."""
        text = self.name()
        base = text.removesuffix("x4")
        if base not in TYPES:
            raise self.error(f"not a type: {text!r}")
        return TYPES[base], 1 if base == text else 4

    def end(self) -> None:
        if self.kind != "end":
            raise self.error("expected the end of the line")

    @contextmanager
    def nested(self) -> Iterator[None]:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} deep")
        yield
        self.depth -= 1

    def error(self, message: str) -> ValueError:
        found = repr(self.text) if self.text else "the end"
        line = self.line.strip()
        shown = line if len(line) <= 80 else line[:77] + "..."
        return ValueError(f"{message}, found {found} in {shown!r}")
