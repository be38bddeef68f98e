"""The player in few files: what every page of a device loads is joined, or it costs a request each.

A module becomes a function that gives its exports, in the file of the chunk it belongs to. Under
its own name stays a file that takes them from there: whoever imports it gets the same classes.
"""

from __future__ import annotations

import re

from webrt.resources import shipped, web_dir

CHUNKS = {"session.js": (), "device.js": (), "wasm.js": ("warm.js",)}
"""What every session loads, on a GPU, on a CPU, with all that it imports; and what joins it."""

_FROM = r' from "\./([\w-]+\.js)";'
_IMPORTED = re.compile(r'^(?:import|export)\b[^;"]*?"\./([\w-]+\.js)";', re.MULTILINE)
_NAMES = re.compile(r"^(import|export) \{([^}]*)\}" + _FROM, re.MULTILINE)
_MODULE = re.compile(r"^import \* as (\w+)" + _FROM, re.MULTILINE)
_ALL = re.compile(r"^export \*" + _FROM, re.MULTILINE)
_LAZY = re.compile(r'(\bawait )?\bimport\("\./([\w-]+\.js)"\)')
_DECLARED = re.compile(r"^export (?=(?:class|(?:async )?function|const) (\w+))", re.MULTILINE)
_LISTED = re.compile(r"^export \{([^}]*)\};", re.MULTILINE)


def joined_player() -> dict[str, bytes]:
    """All files of `web/*.js` as a site serves them, by name."""
    texts = {path.name: shipped(path).decode() for path in sorted(web_dir().glob("*.js"))}
    homes: dict[str, str] = {}
    for chunk, more in CHUNKS.items():
        for module in (*_reach(chunk, texts), *(m for n in more for m in _reach(n, texts))):
            homes.setdefault(module, chunk)
    player = _Player(texts, homes)
    files = {name: player.file(name) for name in texts}
    return {name: text.encode() for name, text in files.items()}


def _reach(name: str, texts: dict[str, str]) -> list[str]:
    """A module and all that it imports, each after what it imports itself."""
    found: dict[str, None] = {}

    def visit(module: str) -> None:
        if module not in found:
            for other in _IMPORTED.findall(texts[module]):
                visit(other)
            found[module] = None

    visit(name)
    return list(found)


class _Player:
    """Modules' texts, and the chunks that some of them are joined into."""

    def __init__(self, texts: dict[str, str], homes: dict[str, str]) -> None:
        self.texts = texts
        self.homes = homes
        self.bodies = {name: _body(texts[name]) for name in homes}

    def file(self, name: str) -> str:
        """What a file of the player holds."""
        home = self.homes.get(name)
        if home == name:
            return self._chunk(name)
        if home is not None:
            names = ", ".join(self.bodies[name][1])
            return f"{_taken(home, name)}\nexport const {{ {names} }} = {_place(name)};\n"
        return self._linked(self.texts[name], None)

    def _chunk(self, chunk: str) -> str:
        members = [name for name, home in self.homes.items() if home == chunk]
        others = [c for c in CHUNKS if c != chunk]
        parts = [f'import {{ $joined as {_alias(c)} }} from "./{c}";' for c in others
                 if any(self.homes.get(m) == c for n in members
                        for m in _IMPORTED.findall(self.texts[n]))]  # fmt: skip
        parts.append("export const $joined = {};")
        for name in members:
            body, names = self.bodies[name]
            text = self._linked(body, chunk)
            parts.append(f'$joined["{name}"] = (() => {{\n{text}\nreturn {{ {", ".join(names)} }};')
            parts.append("})();")
        parts.append(
            f'export const {{ {", ".join(self.bodies[chunk][1])} }} = $joined["{chunk}"];\n'
        )
        return "\n".join(parts)

    def _linked(self, text: str, chunk: str | None) -> str:
        """A module's text with its imports of joined modules replaced."""

        def within(module: str) -> tuple[str, str]:
            """What comes before, and where the module's exports are."""
            home = self.homes[module]
            if chunk is None:
                return _taken(home, module) + " ", _place(module)
            return "", f'{"$joined" if home == chunk else _alias(home)}["{module}"]'

        def left(module: str) -> bool:
            home = self.homes.get(module)
            return home is None or (chunk is None and home == module)

        def names(found: re.Match[str]) -> str:
            if left(found[3]):
                return found[0]
            before, place = within(found[3])
            export = "export " if found[1] == "export" else ""
            taken = ", ".join(
                n.strip().replace(" as ", ": ") for n in found[2].split(",") if n.strip()
            )
            return f"{before}{export}const {{ {taken} }} = {place};"

        def module(found: re.Match[str]) -> str:
            if left(found[2]):
                return found[0]
            before, place = within(found[2])
            return f"{before}const {found[1]} = {place};"

        def everything(found: re.Match[str]) -> str:
            if left(found[1]):
                return found[0]
            before, place = within(found[1])
            return f"{before}export const {{ {', '.join(self.bodies[found[1]][1])} }} = {place};"

        def lazy(found: re.Match[str]) -> str:
            home = self.homes.get(found[2])
            if home is None or home == found[2]:
                return found[0]
            assert found[1], f"import of {found[2]}: only `await import` of it can be joined"
            return f'(await import("./{home}")).$joined["{found[2]}"]'

        text = _NAMES.sub(names, text)
        text = _MODULE.sub(module, text)
        return _LAZY.sub(lazy, _ALL.sub(everything, text))


def _body(text: str) -> tuple[str, list[str]]:
    """A module's text without the word `export`, and what it exports."""
    names = _DECLARED.findall(text)
    for listed in _LISTED.findall(text):
        names += [n.strip() for n in listed.split(",") if n.strip()]
    body = _LISTED.sub("", _DECLARED.sub("", text))
    left = re.search(r"^export\b.*$", body, re.MULTILINE)
    assert left is None, f"can't be joined: {left}"
    return body, names


def _alias(name: str) -> str:
    return "$" + re.sub(r"\W", "_", name.removesuffix(".js"))


def _taken(home: str, module: str) -> str:
    return f'import {{ $joined as {_alias(module)} }} from "./{home}";'


def _place(module: str) -> str:
    return f'{_alias(module)}["{module}"]'
