"""How a host and the wasm module of a plan talk: imports, signatures, and the program in memory.

One module holds all kernels of a plan. It imports its memory as `env.memory` (1 to 65536 pages),
and exports `table`, whose entry j is kernel j, and `replay`, which runs a whole plan:

    kernel(args, first, last, scratch)
        runs units first … last - 1 of the kernel: `wg0` of its loop IR. `args` is the address of
        i32s: the addresses of its bindings, in order, then the address of the symbols, an array of
        i32s in which `s<j>` is the j-th. `scratch` is the address of memory of the worker's own
        for the kernel's workgroup arrays, 16-aligned.
    replay(program, worker, workers, scratch)
        runs the program at an address as worker number `worker` of `workers`; every one of them
        must call it. When worker 0 returns, everything was computed.

A program is an array of i32s:

    0  count   how many steps follow          1  arrived      the barrier's, 0 at first
    2  turn    the barrier's, 0 at first       3  done       workers that are, 0 at first
    then for each step
    0  kernel  its entry of the table          1  args         its arguments' address
    2  units   how many there are              3  waits        1: all steps before must be done
    4  next    the first unit that no worker has taken yet, 0 at first
    5  unused

The module's memory is declared unshared; a host that has threads sets the byte at
`MEMORY_FLAGS_OFFSET` from `UNSHARED` to `SHARED` and gives it a shared memory. Buffers and
scratch memory lie at `FIRST_ADDRESS` or above and end `SLACK` bytes before the end of the memory,
because a load whose value isn't used may reach that far outside of its operand.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from webrt.codegen.encoder import I32, V128, Signature

KERNEL: Signature = ((I32, I32, I32, I32), ())
UNARY: Signature = ((V128,), (V128,))
BINARY: Signature = ((V128, V128), (V128,))
TYPES = (KERNEL, UNARY, BINARY)
"""All types of a module, in this order whatever it uses: kernels and `replay`, functions of the
library. So the bytes up to the memory's flags are the same in every module."""

HEADER_WORDS = 4
STEP_WORDS = 6

MEMORY_FLAGS_OFFSET = 0x2C
"""Where the memory's flags stand: `tests/test_codegen_encoder.py` holds encoders to it."""
UNSHARED, SHARED = 0x01, 0x03

FIRST_ADDRESS = 1 << 16
SLACK = 1 << 16
PAGE = 1 << 16


@dataclass(frozen=True, slots=True)
class ProgramStep:
    """A step of a program: units 0 … units - 1 of table entry `kernel`; `args` is an address."""

    kernel: int
    args: int
    units: int
    waits: bool


def arguments(addresses: Sequence[int], symbols: int) -> bytes:
    """The arguments of a kernel: the addresses of its bindings, then that of the symbols."""
    return struct.pack(f"<{len(addresses) + 1}I", *addresses, symbols)


def program(steps: Sequence[ProgramStep]) -> bytes:
    """A program, ready to run."""
    words = [len(steps), 0, 0, 0]
    for step in steps:
        words += (step.kernel, step.args, step.units, int(step.waits), 0, 0)
    return struct.pack(f"<{len(words)}I", *words)
