"""The workers of `wasmtime.py`: instances of the same modules over one memory, a thread each."""

from __future__ import annotations

import ctypes
import threading
import time
import weakref
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any

from webrt.codegen import abi
from webrt.codegen.encoder import I32, Module
from webrt.runtime.devices.wasmtime_ffi import Call, caller, memory_type, shared_memory, signed

_TURN, _DONE = 8, 12  # words of a program that a worker may sleep on (`codegen/abi.py`)


class TrapError(Exception):
    """A run came to no end, most likely by a kernel that did what wasm forbids; one line."""


class _Worker:
    """A store with an instance of every module; `table` is the first instance's.

    Where a store holds several instances with a shared memory, wasmtime 50 aborts the process when
    a kernel reads outside of that: `Store::wasm_fault` expects one of them (2026-11). A pack has
    one module; more come from this process's own tuner.
    """

    def __init__(self, engine: Any, memory: Any) -> None:
        import wasmtime

        self.store = wasmtime.Store(engine)
        self.memory = memory or wasmtime.Memory(self.store, memory_type(shared=False))
        self.table: Any = None
        self.replay: Call | None = None

    def add(self, module: Any) -> range:
        """Instantiate a module; which entries of the first one's table are its kernels.

        Raises ValueError for a module that isn't laid out as `codegen/abi.py` says.
        """
        import wasmtime

        exports = wasmtime.Instance(self.store, module, [self.memory]).exports(self.store)
        table, function = exports.get("table"), exports.get("replay")
        if not isinstance(table, wasmtime.Table) or not isinstance(function, wasmtime.Func):
            raise ValueError("the module lacks the table or the function that webrt's export")
        count = table.size(self.store)
        if self.table is None:
            self.table = table
            self.replay = caller(self.store, function)
            return range(count)
        start: int = self.table.size(self.store)
        if count:
            functions = [table.get(self.store, j) for j in range(count)]
            self.table.grow(self.store, count, functions[0])
            for j, one in enumerate(functions):
                self.table.set(self.store, start + j, one)
        return range(start, start + count)


class Crew:
    """`count` workers: the first runs on the caller's thread, the others on threads of their own.

    Calls of wasm release Python's interpreter lock.
    """

    def __init__(self, count: int) -> None:
        import wasmtime

        config = wasmtime.Config()
        config.wasm_simd = True
        config.wasm_relaxed_simd = True
        config.wasm_threads = True
        config.shared_memory = count > 1
        self._engine = wasmtime.Engine(config)
        self._shared = count > 1
        memory = None
        if self._shared:
            memory = shared_memory(self._engine)
        self._workers = [_Worker(self._engine, memory) for _ in range(count)]
        self._orders: list[SimpleQueue[tuple[int, int] | None]] = []
        self._answers: SimpleQueue[str] = SimpleQueue()
        self._running = False
        self._rescue: _Rescue | None = None
        if self._shared:
            self._rescue = _Rescue(self._engine, memory)
            self._start()
        self._first: _Run | None = _Run(self._workers[0], 0, count, self._rescue)
        self._closing = weakref.finalize(self, _dismiss, self._orders)

    def _start(self) -> None:
        for number in range(1, len(self._workers)):
            orders: SimpleQueue[tuple[int, int] | None] = SimpleQueue()
            self._orders.append(orders)
            run = _Run(self._workers[number], number, len(self._workers), self._rescue)
            threading.Thread(
                target=_serve,
                args=(run, orders, self._answers),
                name=f"webrt {number}",
                daemon=True,
            ).start()

    def has_relaxed_simd(self) -> bool:
        """Whether the engine takes a module with an instruction of relaxed SIMD."""
        import wasmtime

        probe = Module()
        function = probe.function(())
        for _ in range(3):
            function.f32x4(0.0)
        function.emit("f32x4.relaxed_madd")
        function.drop()
        try:
            wasmtime.Module.validate(self._engine, probe.encode())
        except wasmtime.WasmtimeError:
            return False
        return True

    def base(self) -> int:
        """The address of the memory's first byte in this process; growing may move it."""
        memory = self._workers[0].memory
        data = memory.data_ptr() if self._shared else memory.data_ptr(self._workers[0].store)
        return ctypes.addressof(data.contents)

    def reserve(self, size: int) -> None:
        """Have at least `size` bytes of memory; raises MemoryError."""
        import wasmtime

        first = self._workers[0]
        store = () if self._shared else (first.store,)
        missing = size - first.memory.data_len(*store)
        if missing <= 0:
            return
        try:
            first.memory.grow(*store, -(-missing // abi.PAGE))
        except wasmtime.WasmtimeError as error:
            raise MemoryError(one_line(str(error))) from error

    def add(self, module: bytes) -> range:
        """Compile and instantiate a module; the table's entries that it got. Raises ValueError."""
        import wasmtime

        code = bytearray(module)
        if len(code) <= abi.MEMORY_FLAGS_OFFSET or code[abi.MEMORY_FLAGS_OFFSET] != abi.UNSHARED:
            raise ValueError("the module doesn't begin as webrt's do")
        code[abi.MEMORY_FLAGS_OFFSET] = abi.SHARED if self._shared else abi.UNSHARED
        try:
            compiled = wasmtime.Module(self._engine, code)
            entries = [worker.add(compiled) for worker in self._workers]
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            raise ValueError(str(error)) from error
        return entries[0]

    def run(self, program: int, scratch: Sequence[int]) -> None:
        """Run a program on all workers; raises TrapError.

        After a run that an exception broke off (Ctrl-C), workers may still wait for this one.
        """
        if self._running:
            raise TrapError("an earlier run was broken off")
        self._running = True
        if self._rescue is not None:
            self._rescue.begin(len(self._workers))
        for orders, address in zip(self._orders, scratch[1:], strict=True):
            orders.put((program, address))
        assert self._first is not None
        errors = [self._first(program, scratch[0])]
        errors += [self._answers.get() for _ in self._orders]
        self._running = False
        failed = next((e for e in errors if e), None)
        if failed is not None:
            raise TrapError(f"a kernel failed ({failed})")

    def close(self) -> None:
        """End the threads and drop the memory."""
        self._closing()
        self._workers.clear()
        self._first = None
        self._rescue = None


class _Run:
    """A worker's part of a run: what it returns is empty, or why it failed."""

    def __init__(self, worker: _Worker, number: int, count: int, rescue: _Rescue | None) -> None:
        self._worker, self._number, self._count, self._rescue = worker, number, count, rescue

    def __call__(self, program: int, scratch: int) -> str:
        import wasmtime

        failure = ""
        try:
            assert self._worker.replay is not None
            self._worker.replay(program, self._number, self._count, scratch)
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            failure = _reason(str(error))
        if self._rescue is not None:
            self._rescue.leave(program, self._number, bool(failure))
        return failure


class _Rescue:
    """Ends a run in which a worker failed: the others would wait for it forever.

    They are let through every barrier; what they compute then is of no use to anybody.
    """

    def __init__(self, engine: Any, memory: Any) -> None:
        import wasmtime

        self._store = wasmtime.Store(engine)
        module = wasmtime.Module(engine, _pusher())
        exports = wasmtime.Instance(self._store, module, [memory]).exports(self._store)
        self._push = exports["push"]
        self._lock = threading.Lock()
        self._running = 0

    def begin(self, count: int) -> None:
        self._running = count

    def leave(self, program: int, number: int, failed: bool) -> None:
        """A worker is out of its run; where it failed, wait until all others are."""
        with self._lock:
            self._running -= 1
            if failed and number:
                self._push(self._store, signed(program + _DONE))
        while failed and self._running:
            with self._lock:
                self._push(self._store, signed(program + _TURN))
            time.sleep(0.001)


def _pusher() -> bytes:
    """A module whose `push(address)` adds 1 to a word and wakes all who sleep on it."""
    module = Module()
    f = module.function((I32,), (), export="push")
    f.get(0)
    f.i32(1)
    f.access("i32.atomic.rmw.add")
    f.drop()
    f.get(0)
    f.i32(-1)
    f.access("memory.atomic.notify")
    f.drop()
    return module.encode(shared=True)


def _serve(
    run: _Run, orders: SimpleQueue[tuple[int, int] | None], answers: SimpleQueue[str]
) -> None:
    """A thread's life: run programs until there is none."""
    while (order := orders.get()) is not None:
        answers.put(run(*order))


def _dismiss(orders: Sequence[SimpleQueue[tuple[int, int] | None]]) -> None:
    for queue in orders:
        queue.put(None)


def _reason(message: str) -> str:
    """What a trap's message says of the cause, without its backtrace."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    causes = [line for line in lines if "wasm trap:" in line]
    return (causes or lines or ["unknown"])[-1].removeprefix("1: ").removeprefix("wasm trap: ")


def one_line(message: str) -> str:
    """The last line of an error, which names the cause."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[-1].removeprefix("0: ") if lines else "unknown"
