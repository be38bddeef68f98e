"""Runs kernels in wasmtime on NumPy operands: what tests hold generated WebAssembly to."""

from __future__ import annotations

import ctypes
import functools
import struct
import threading
from collections.abc import Mapping, Sequence

import numpy as np
import wasmtime
import wasmtime._ffi as ffi

from webrt import dims
from webrt.codegen import abi, wasm
from webrt.dtypes import DType
from webrt.kernel import loop
from webrt.kernel.problem import Problem
from webrt.kernel.reference import NUMPY, Array


@functools.cache
def engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.wasm_threads = True
    config.shared_memory = True
    config.wasm_relaxed_simd = True
    return wasmtime.Engine(config)


def run_problem(
    kernel: loop.Kernel,
    problem: Problem,
    operands: Sequence[Array],
    bindings: Mapping[str, int],
    relaxed: bool = False,
    threads: int = 1,
) -> list[Array]:
    """The problem's outputs, flat, as `kernel` computes them; a bool output as bool."""
    arrays = [np.asarray(a).reshape(-1) for a in operands]
    for output in problem.outputs:
        size = dims.evaluate(output.size, bindings)
        poison = np.nan if output.dtype.is_float else 77
        arrays.append(np.full(size, poison, NUMPY[output.dtype.storage]))
    results = run(kernel, arrays, bindings, relaxed, threads)[len(operands) :]
    for result, output in zip(results, problem.outputs, strict=True):
        if output.dtype is DType.BOOL and not np.isin(result, (0, 1)).all():
            raise ValueError("a bool is stored as 0 or 1")
    return [
        r.astype(np.bool_) if o.dtype is DType.BOOL else r
        for r, o in zip(results, problem.outputs, strict=True)
    ]


def run(
    kernel: loop.Kernel,
    arrays: Sequence[Array],
    bindings: Mapping[str, int],
    relaxed: bool = False,
    threads: int = 1,
) -> list[Array]:
    """What every binding holds after the kernel has run on flat `arrays`, outputs included."""
    machine = Machine(wasm.module([kernel], relaxed), threads > 1)
    places = []
    for array, binding in zip(arrays, kernel.bindings, strict=True):
        flat = np.array(array).reshape(-1).astype(NUMPY[binding.dtype])
        places.append((machine.put(flat.tobytes()), flat.dtype, flat.size))
    symbols = machine.put_symbols(bindings)
    args = machine.put(abi.arguments([place for place, *_ in places], symbols))
    units = dims.evaluate(kernel.grid[0], bindings)
    program = machine.put(abi.program([abi.ProgramStep(0, args, units, True)]))
    scratch = [machine.reserve(wasm.scratch_bytes(kernel)) for _ in range(threads)]
    machine.replay(program, scratch)
    return [machine.get(place, dtype, size) for place, dtype, size in places]


class _SharedMemory(wasmtime.SharedMemory):
    """wasmtime 50.0.1 passes a pointer to the pointer."""

    def _as_extern(self) -> object:
        union = ffi.wasmtime_extern_union(sharedmemory=self.ptr())
        return ffi.wasmtime_extern_t(ffi.WASMTIME_EXTERN_SHAREDMEMORY, union)


class Machine:
    """A module with its memory; everything that is put there lies 16-aligned, end to end."""

    def __init__(self, code: bytes, shared: bool = False, pages: int = 1 << 10) -> None:
        self.shared = shared
        self.next = abi.FIRST_ADDRESS
        if shared:
            assert code[abi.MEMORY_FLAGS_OFFSET] == abi.UNSHARED
            offset = abi.MEMORY_FLAGS_OFFSET
            code = code[:offset] + bytes([abi.SHARED]) + code[offset + 1 :]
        self.module = wasmtime.Module(engine(), code)
        limits = wasmtime.Limits(pages, 65536)
        kind = wasmtime.MemoryType(limits, shared=shared) if shared else None
        self.memory: wasmtime.Memory | wasmtime.SharedMemory
        self.stores = [wasmtime.Store(engine())]
        if kind is not None:
            self.memory = _SharedMemory(engine(), kind)
            address = ctypes.addressof(self.memory.data_ptr().contents)
        else:
            self.memory = wasmtime.Memory(self.stores[0], wasmtime.MemoryType(limits))
            address = ctypes.addressof(self.memory.data_ptr(self.stores[0]).contents)
        size = pages * abi.PAGE
        self.bytes = np.frombuffer((ctypes.c_ubyte * size).from_address(address), np.uint8)
        self.exports = [self._instance(self.stores[0])]

    def _instance(self, store: wasmtime.Store) -> wasmtime.InstanceExports:
        linker = wasmtime.Linker(engine())
        linker.define(store, "env", "memory", self.memory)
        return linker.instantiate(store, self.module).exports(store)

    def reserve(self, size: int) -> int:
        place = self.next
        self.next += -(-size // 16) * 16
        assert self.next + abi.SLACK <= self.bytes.size, "a larger memory is needed"
        return place

    def put(self, data: bytes) -> int:
        """Write bytes; the result is their address."""
        place = self.reserve(len(data))
        self.bytes[place : place + len(data)] = np.frombuffer(data, np.uint8)
        return place

    def put_symbols(self, bindings: Mapping[str, int]) -> int:
        count = max((int(name[1:]) + 1 for name in bindings), default=0)
        values = [bindings.get(f"s{j}", 0) for j in range(count)]
        return self.put(struct.pack(f"<{count}i", *values))

    def get(self, place: int, dtype: np.dtype, size: int) -> Array:
        return np.array(self.bytes[place : place + size * dtype.itemsize]).view(dtype)

    def replay(self, program: int, scratch: Sequence[int]) -> None:
        """Run a program with one worker for each address of scratch memory."""
        workers = len(scratch)
        while len(self.stores) < workers:
            self.stores.append(wasmtime.Store(engine()))
            self.exports.append(self._instance(self.stores[-1]))
        errors: list[BaseException] = []

        def work(worker: int) -> None:
            try:
                replay = self.exports[worker]["replay"]
                assert isinstance(replay, wasmtime.Func)
                replay(self.stores[worker], program, worker, workers, scratch[worker])
            except BaseException as error:
                errors.append(error)

        others = [threading.Thread(target=work, args=(j,)) for j in range(1, workers)]
        for thread in others:
            thread.start()
        work(0)
        for thread in others:
            thread.join()
        if errors:
            raise errors[0]
