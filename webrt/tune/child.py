"""The process that tries: `python -m webrt.tune.child`. Its parent (`apart.py`) keeps the results.

On standard input come one line of JSON (the request of `page.serve`, with the device to open and
the length of what follows), the pack's manifest, then an empty line for each turn that is granted.
On standard output go the messages of `page.py`, a line each, and the report or an error at the end.
A process whose parent is gone ends, whatever it is doing.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from queue import SimpleQueue
from typing import IO, Any

from webrt.errors import DeviceError, WebrtError
from webrt.runtime.device import Device
from webrt.runtime.sync import run_sync
from webrt.tune.page import serve
from webrt.tune.records import device_key


class _Parent:
    """`page.Page`, over the two pipes."""

    def __init__(self, given: IO[bytes], said: IO[bytes]) -> None:
        self._said = said
        self._turns: SimpleQueue[None] = SimpleQueue()
        threading.Thread(target=self._listen, args=(given,), daemon=True).start()

    def _listen(self, given: IO[bytes]) -> None:
        while given.readline():
            self._turns.put(None)
        os._exit(1)  # the parent is gone; a kernel may be running that never ends

    async def turn(self) -> None:
        self.say('{"type": "turn"}')
        self._turns.get()

    def say(self, message: str) -> None:
        self._said.write(message.encode() + b"\n")
        self._said.flush()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    given = sys.stdin.buffer
    said = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no message
    asked = json.loads(given.readline())
    manifest = given.read(asked["manifest"])
    parent = _Parent(given, said)
    try:
        device = _open(asked["device"])
        report = run_sync(serve(json.dumps(asked), manifest, device, parent))
        parent.say(json.dumps({"type": "report", "report": json.loads(report)}))
    except WebrtError as error:
        kind = type(error).__name__
        parent.say(json.dumps({"type": "error", "kind": kind, "message": str(error)}))
    os._exit(0)  # a device that is lost may not want to be closed


def _open(wanted: dict[str, Any]) -> Device:
    """The very device that the session has, or one that can't be told from it."""
    from webrt.runtime.devices import wasmtime, wgpu

    opened: Device
    if wanted["kind"] == "wasm":
        opened = run_sync(wasmtime.open_device(wanted["threads"], wanted["relaxed"]))
    else:
        opened = run_sync(wgpu.open_device(wanted["adapter"]))
    if device_key(opened.info) != wanted["key"]:
        raise DeviceError(f"{wanted['adapter']} can't be opened once more, to tune on it")
    return opened


if __name__ == "__main__":
    main()
