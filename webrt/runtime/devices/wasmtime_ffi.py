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
    """Calls a function of four i32s and no result; raises WasmtimeError or Trap.

    Raises ValueError for a function of another type: nothing checks the arguments of a quick call.
    """
    import wasmtime
    from wasmtime import _ffi as ffi

    kind = function.type(store)
    if [str(t) for t in kind.params] != ["i32"] * 4 or len(kind.results):
        raise ValueError("the module's `replay` is no function of four i32s")

    def plainly(*values: int) -> None:
        function(store, *map(signed, values))

    try:
        call, raw = ffi.wasmtime_func_call_unchecked, ffi.wasmtime_val_raw_t
        pointer = ctypes.byref(function._func)
        store._context()
    except AttributeError:
        return plainly

    def quickly(*values: int) -> None:
        arguments = (raw * len(values))()
        for position, value in enumerate(values):
            arguments[position].i32 = signed(value)
        trap = ctypes.POINTER(ffi.wasm_trap_t)()
        error = call(store._context(), pointer, arguments, len(values), ctypes.byref(trap))
        if error:
            raise wasmtime.WasmtimeError._from_ptr(error)
        if trap:
            raise wasmtime.Trap._from_ptr(trap)

    return quickly


def signed(value: int) -> int:
    """An address as the i32 that wasm knows."""
    return value - (1 << 32) if value >= 1 << 31 else value
