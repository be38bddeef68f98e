"""What wasmtime-py doesn't do well, by its own bindings: quick calls, shared memories to import.

Measured 2026-11 with wasmtime-py 50: `Func.__call__` takes 120 µs, all of them under Python's
interpreter lock, so that sixteen workers would begin one after the other for 2 ms; this takes 6 µs.
Where a later version of wasmtime-py has changed its bindings, its public way is taken.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from typing import Any

from webrt.codegen.encoder import MAX_PAGES

Call = Callable[[int, int, int, int], None]


def memory_type(shared: bool) -> Any:
    """The type of the memory that our modules import."""
    import wasmtime

    return wasmtime.MemoryType(wasmtime.Limits(1, MAX_PAGES), shared=shared)


def shared_memory(engine: Any) -> Any:
    """A shared memory of one page, to be imported by instances of several stores."""
    import wasmtime
    from wasmtime import _ffi as ffi

    memory = wasmtime.SharedMemory(engine, memory_type(shared=True))
    itself = weakref.ref(memory)  # or it would keep itself alive

    def extern() -> Any:
        found = itself()
        assert found is not None
        union = ffi.wasmtime_extern_union(sharedmemory=found.ptr())
        return ffi.wasmtime_extern_t(ffi.WASMTIME_EXTERN_SHAREDMEMORY, union)

    try:
        memory._as_extern()
    except TypeError:  # wasmtime-py 50 takes the pointer's address for the pointer
        memory._as_extern = extern
    return memory


def caller(store: Any, function: Any) -> Call:
    """Calls a function of i32s without a result; raises WasmtimeError or Trap."""
    import wasmtime
    from wasmtime import _ffi as ffi

    def plainly(*values: int) -> None:
        function(store, *map(signed, values))

    try:
        call, kind, value = ffi.wasmtime_func_call, ffi.WASMTIME_I32, ffi.wasmtime_val_t
        pointer = ctypes.byref(function._func)
        store._context()
    except AttributeError:
        return plainly

    def quickly(*values: int) -> None:
        arguments = (value * len(values))()
        for argument, given in zip(arguments, values, strict=True):
            argument.kind, argument.of.i32 = kind, signed(given)
        trap = ctypes.POINTER(ffi.wasm_trap_t)()
        error = call(
            store._context(), pointer, arguments, len(values), None, 0, ctypes.byref(trap)
        )  # it holds the arguments against the function's type
        if error:
            raise wasmtime.WasmtimeError._from_ptr(error)
        if trap:
            raise wasmtime.Trap._from_ptr(trap)

    return quickly


def signed(value: int) -> int:
    """An address as the i32 that wasm knows."""
    return value - (1 << 32) if value >= 1 << 31 else value
