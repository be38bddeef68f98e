"""A live session in a notebook: the pack runs in the browser that shows it, Python gets answers.

    view = webrt.widget.SessionWidget("pack")    # or url="https://…/pack"
    view                                         # what runs where, inputs, outputs, times, tuning
    outputs = await view.run_async(feeds)        # of the browser's run

The front end is `web/widget.js`, an anywidget module. Without a URL for them, the player and the
pack's files reach it through the notebook's own messages, so a kernel needs no server. Messages
are JSON objects with buffers:

    browser                                            kernel
    {kind: player}                                  {kind: player, names} + a source each
    {kind: file, id, name, from, bytes}             {kind: file, id, size or null} + the part
    {kind: ran, id, ms, outputs} + buffers          {kind: run, id, feeds, fetches} + buffers
    {kind: failed, id, error, message}

`outputs` and `feeds` list {name, type, dims}. Needs the extra: `pip install "webrt[widget]"`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from webrt import errors
from webrt.dims import product
from webrt.dtypes import DType
from webrt.errors import PackError, ShapeError, UsageError, WebrtError
from webrt.pack.format import MANIFEST, Pack
from webrt.pack.read import read_pack
from webrt.resources import shipped, web_dir
from webrt.runtime import arrays
from webrt.runtime.arrays import HostTensor
from webrt.runtime.bind import bind
from webrt.runtime.source import File, Source, source_at
from webrt.runtime.sync import run_sync
from webrt.wheel import wheel_bytes

try:
    import anywidget
    import traitlets
except ImportError as error:
    raise ImportError("webrt.widget needs anywidget: pip install 'webrt[widget]'") from error

WHEEL = "webrt.whl"
MAX_PART_BYTES = 16 << 20
Answer = concurrent.futures.Future[dict[str, Any]]


class SessionWidget(anywidget.AnyWidget):  # type: ignore[misc]
    """A session in the browser that shows this; `state` and `times` tell how it goes.

    `state` is the front end's: `name` (`waiting`, `loading`, `ready`, `failed`), `message`, and
    once it is ready `device`, `inputs`, `outputs`, `loadMs`, `tuning`. `times` are the milliseconds
    of its last answers.
    """

    _esm = web_dir() / "widget.js"
    _css = web_dir() / "widget.css"
    options = traitlets.Dict().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)
    times = traitlets.List(traitlets.Float()).tag(sync=True)

    def __init__(
        self,
        pack: str | os.PathLike[str] | None = None,
        *,
        url: str | None = None,
        device: str = "auto",
        threads: int | None = None,
        tune: str = "off",
        budget: float | None = None,
        pyodide: str | None = None,
        player: str | None = None,
    ) -> None:
        """Show the pack in a folder or file here, or at a URL that the browser reaches.

        `player` is the URL of a folder with `webrt.js` where one is served. `tune` and `budget` are
        those of `webrt.load`; tuning takes Pyodide, at the URL `pyodide`. Raises PackError for
        what is no pack, UsageError.
        """
        if (pack is None) == (url is None):
            raise UsageError("a widget shows a pack's folder or file, or url=…: give one of them")
        if tune != "off" and pyodide is None and player is None:
            raise UsageError(f"tune={tune!r} takes Pyodide: pyodide=… is the URL of its folder")
        self._source: Source | None = None if pack is None else source_at(Path(pack))
        self._pack: Pack | None = None if pack is None else read_pack(Path(pack))
        self._wheel: bytes | None = None
        self._numbers = itertools.count()
        self._waiting: dict[int, Answer] = {}
        self._asked: dict[int, tuple[dict[str, Any], list[bytes]]] = {}
        options = {
            "url": url, "device": device, "threads": threads, "tune": tune, "budget": budget,
            "pyodide": pyodide, "player": player,
        }  # fmt: skip
        super().__init__(
            options={k: v for k, v in options.items() if v is not None},
            state={"name": "waiting", "message": "Waiting for a browser to show this …"},
        )
        self.on_msg(self._hear)

    def submit(self, feeds: Mapping[str, object], fetches: Sequence[str] | None = None) -> Answer:
        """Ask the browser for a run, now or once it is ready; the future has the outputs by name.

        Raises ShapeError for feeds that don't fit; the future raises what the browser does.
        """
        tensors = self._tensors(feeds)
        number = next(self._numbers)
        answer: Answer = concurrent.futures.Future()
        self._waiting[number] = answer
        headers = [
            {"name": name, "type": t.dtype.onnx_name, "dims": list(t.shape)}
            for name, t in tensors.items()
        ]
        message: dict[str, Any] = {"kind": "run", "id": number, "feeds": headers}
        if fetches is not None:
            message["fetches"] = list(fetches)
        self._asked[number] = message, [bytes(t.data) for t in tensors.values()]
        self.send(*self._asked[number])
        return answer

    async def run_async(
        self, feeds: Mapping[str, object], fetches: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """The outputs of a run in the browser, by name; waits until a browser shows this.

        There is no blocking twin: a kernel hears its widgets only while a cell awaits.
        """
        answer = asyncio.wrap_future(self.submit(feeds, fetches))
        pumping = asyncio.ensure_future(_handle_messages(answer))
        try:
            return await answer
        finally:
            pumping.cancel()

    def close(self) -> None:
        """Take the widget away; browsers give their devices' memory back."""
        for answer in self._waiting.values():
            answer.cancel()
        self._waiting.clear()
        self._asked.clear()
        super().close()

    def _tensors(self, feeds: Mapping[str, object]) -> dict[str, HostTensor]:
        """The feeds as the model takes them."""
        if self._pack is not None:
            return bind(self._pack.plan, feeds)[1]
        kinds = {i["name"]: DType.from_onnx_name(i["type"]) for i in self.state.get("inputs", ())}
        made = {}
        for name, value in feeds.items():
            try:
                made[name] = arrays.from_host(value, kinds.get(name, DType.F32))
            except arrays.NotAnArrayError as error:
                raise ShapeError(f"input {name!r}: expected numbers, found {error}") from error
        return made

    def _hear(self, _: object, content: Any, buffers: Sequence[Any]) -> None:
        """What a browser says; there may be several, or one that isn't ours."""
        match content:
            case {"kind": "hello"}:
                for message, data in list(self._asked.values()):
                    self.send(message, data)
            case {"kind": "player"}:
                files = {p.name: shipped(p) for p in sorted(web_dir().glob("*.js"))}
                self.send({"kind": "player", "names": list(files)}, list(files.values()))
            case {"kind": "file", "id": str(id), "name": str(name), "from": int(start),
                  "bytes": int(count)}:  # fmt: skip
                size, part = self._part(name, max(start, 0), min(max(count, 0), MAX_PART_BYTES))
                self.send({"kind": "file", "id": id, "size": size}, [part])
            case {"kind": "ran", "id": int(number), "outputs": list(headers)}:
                self._settle(number, lambda: _outputs(headers, buffers))
            case {"kind": "failed", "id": int(number), "error": str(name), "message": str(text)}:
                self._settle(number, lambda: _fail(name, text))

    def _settle(self, number: int, result: Callable[[], dict[str, Any]]) -> None:
        """The first browser's answer counts."""
        answer = self._waiting.pop(number, None)
        self._asked.pop(number, None)
        if answer is None or not answer.set_running_or_notify_cancel():
            return
        try:
            answer.set_result(result())
        except WebrtError as error:
            answer.set_exception(error)

    def _part(self, name: str, start: int, count: int) -> tuple[int | None, bytes]:
        """The size of one of the pack's files, and `count` bytes of it; None for other files."""
        if name == WHEEL:
            self._wheel = self._wheel or wheel_bytes()
            return len(self._wheel), self._wheel[start : start + count]
        files = {} if self._pack is None else _files_of(self._pack)
        if self._source is None or name not in files:
            return None, b""
        part = files[name]
        try:
            data = run_sync(self._source.manifest() if part is None else self._source.file(part))
        except PackError:
            return None, b""
        return len(data), bytes(data[start : start + count])


def _files_of(pack: Pack) -> dict[str, File | None]:
    """The pack's files by name; None is the manifest."""
    parts = (*pack.shards, *pack.wasm.modules, pack.records, pack.checks)
    return {MANIFEST: None} | {part.file: part for part in parts if part is not None}


def _outputs(headers: Sequence[Any], buffers: Sequence[Any]) -> dict[str, Any]:
    """The browser's outputs as NumPy arrays; raises PackError for what is none."""
    outputs: dict[str, Any] = {}
    try:
        for header, buffer in zip(headers, buffers, strict=True):
            dtype, shape = DType.from_onnx_name(header["type"]), tuple(map(int, header["dims"]))
            data = memoryview(buffer).cast("B")
            if product(shape) * dtype.bytes != data.nbytes:
                raise ValueError(f"{data.nbytes} bytes for {header['type']} {list(shape)}")
            outputs[header["name"]] = arrays.as_result(HostTensor(dtype, shape, data))
    except (KeyError, TypeError, ValueError) as error:
        raise PackError(f"the browser's answer can't be read: {error}") from error
    return outputs


def _fail(name: str, text: str) -> dict[str, Any]:
    """The browser's error, as the one of ours that has its name."""
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, WebrtError):
        raise kind(text)
    raise WebrtError(f"{name}: {text}")


async def _handle_messages(answer: asyncio.Future[Any]) -> None:
    """Let ipykernel 6 hear its widgets while a cell waits: 7 does by itself."""
    kernel = _kernel()
    if not hasattr(kernel, "do_one_iteration"):
        return
    while not answer.done():
        await kernel.do_one_iteration()
        await asyncio.sleep(0.01)


def _kernel() -> Any:
    """The running IPython kernel, or None: another kind, or none at all."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return getattr(shell, "kernel", None)
