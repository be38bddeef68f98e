"""The function that runs a whole plan, on one worker or on many: see `abi` for its program.

One worker needs no atomics. It calls a kernel for some units at a time: engines that compile in
tiers put better code in place between two calls, and the first run of a kernel may be a long one.
Several workers take the units of a step in chunks from the step's counter `next`, until none are
left. A step that waits begins with a barrier: the
last worker to arrive sets `arrived` back to 0 and moves `turn` on, the others read `turn` before
they arrive and wait until it is another. They spin for a while, because the others are nearly
done as a rule, and then sleep.

The end: a worker other than 0 adds itself to `done` when it finds no unit left in the last step,
and that is the last time that it touches the program. Worker 0 waits until all of them have: so
everything is computed, nobody looks at the counters any more, and it sets them back to what they
were before it returns. The program can be replayed, or its memory used for something else.
"""

from __future__ import annotations

from collections.abc import Callable

from webrt.codegen import abi
from webrt.codegen.encoder import I32, Function, Module

SPINS = 1 << 17
"""Looks at a word before a worker sleeps: a tenth of a millisecond or two. Who sleeps at every
barrier is put on the core of who wakes it (Linux on two virtual cores), and stays there for tens of
milliseconds. MiniLM-L6 of 64 and 128 tokens after a pause of 150 ms, two threads in Chromium:
31 and 52 ms with 1 << 14, 23 and 35 with 1 << 17, 23 and 33 with 1 << 18; 16 tokens without a pause
8.1, 6.4 and 6.4; with another process on one of the cores 11.9, 13.4 and 15.2 (2026-11-22)."""

_CHUNKS = 16  # of several workers, each takes about so many: at the end of a step few wait long
_CALLS = 64  # of one worker for a step

_ARRIVED, _TURN, _DONE = 4, 8, 12
_KERNEL, _ARGS, _UNITS, _WAITS, _NEXT = 0, 4, 8, 12, 16


def replay(module: Module) -> None:
    """Add `replay` to a module and export it."""
    f = module.function(*abi.KERNEL, export="replay")
    program, worker, workers, scratch = range(4)
    step, end = f.local(I32), f.local(I32)
    _set_step(f, program, step)
    f.get(step)
    f.get(program)
    f.access("i32.load")
    f.i32(abi.STEP_WORDS * 4)
    f.emit("i32.mul")
    f.emit("i32.add")
    f.set(end)
    f.get(workers)
    f.i32(1)
    f.emit("i32.eq")
    f.if_()
    _open_steps(f, step, end)
    _run_units(f, step, scratch)
    _close_steps(f, step, end)
    f.else_()
    _open_steps(f, step, end)
    f.get(step)
    f.access("i32.load", _WAITS)
    f.if_()
    _barrier(f, program, workers)
    f.end()
    _take_units(f, step, workers, scratch)
    _close_steps(f, step, end)
    f.get(worker)
    f.if_()
    _leave(f, program)
    f.else_()
    _finish(f, program, workers, step, end)
    f.end()
    f.end()


def _set_step(f: Function, program: int, step: int) -> None:
    f.get(program)
    f.i32(abi.HEADER_WORDS * 4)
    f.emit("i32.add")
    f.set(step)


def _open_steps(f: Function, step: int, end: int) -> None:
    """A loop over the steps; closed by `_close_steps`."""
    f.get(step)
    f.get(end)
    f.emit("i32.ne")
    f.if_()
    f.loop()


def _close_steps(f: Function, step: int, end: int) -> None:
    f.get(step)
    f.i32(abi.STEP_WORDS * 4)
    f.emit("i32.add")
    f.tee(step)
    f.get(end)
    f.emit("i32.ne")
    f.br_if(0)
    f.end()
    f.end()


def _call(f: Function, step: int, first: int, last: int, scratch: int) -> None:
    """Run a step's kernel on the units between two locals."""
    f.get(step)
    f.access("i32.load", _ARGS)
    f.get(first)
    f.get(last)
    f.get(scratch)
    f.get(step)
    f.access("i32.load", _KERNEL)
    f.call_indirect(abi.KERNEL)


def _run_units(f: Function, step: int, scratch: int) -> None:
    """Run all units of the step."""
    units, chunk, first, last = (f.local(I32) for _ in range(4))
    _set_chunk(f, step, units, chunk, lambda: f.i32(_CALLS))
    f.i32(0)
    f.set(first)
    f.block()
    f.loop()
    f.get(first)
    f.get(units)
    f.emit("i32.ge_u")
    f.br_if(1)
    _set_last(f, first, chunk, units, last)
    _call(f, step, first, last, scratch)
    f.get(last)
    f.set(first)
    f.br(0)
    f.end()
    f.end()


def _set_chunk(
    f: Function, step: int, units: int, chunk: int, push_parts: Callable[[], None]
) -> None:
    """`chunk`: the step's `units` over the parts that are pushed, 1 at least."""
    f.get(step)
    f.access("i32.load", _UNITS)
    f.tee(units)
    push_parts()
    f.emit("i32.div_u")
    f.tee(chunk)
    f.i32(1)
    f.get(chunk)
    f.select()
    f.set(chunk)


def _take_units(f: Function, step: int, workers: int, scratch: int) -> None:
    """Take chunks of the step's units until there are none."""
    units, chunk, first, last = (f.local(I32) for _ in range(4))

    def push_parts() -> None:
        f.get(workers)
        f.i32(_CHUNKS)
        f.emit("i32.mul")

    _set_chunk(f, step, units, chunk, push_parts)
    f.block()
    f.loop()
    f.get(step)
    f.get(chunk)
    f.access("i32.atomic.rmw.add", _NEXT)
    f.tee(first)
    f.get(units)
    f.emit("i32.ge_u")
    f.br_if(1)
    _set_last(f, first, chunk, units, last)
    _call(f, step, first, last, scratch)
    f.br(0)
    f.end()
    f.end()


def _set_last(f: Function, first: int, chunk: int, units: int, last: int) -> None:
    """`last` = min(first + chunk, units), where first + chunk may pass 2³¹ but not 2³²."""
    f.get(first)
    f.get(chunk)
    f.emit("i32.add")
    f.tee(last)
    f.get(units)
    f.get(last)
    f.get(units)
    f.emit("i32.lt_u")
    f.select()
    f.set(last)


def _barrier(f: Function, program: int, workers: int) -> None:
    """Go on when all workers are here."""
    turn = f.local(I32)
    f.get(program)
    f.access("i32.atomic.load", _TURN)  # before arriving: afterwards it may have moved on
    f.set(turn)
    f.get(program)
    f.i32(1)
    f.access("i32.atomic.rmw.add", _ARRIVED)
    f.i32(1)
    f.emit("i32.add")
    f.get(workers)
    f.emit("i32.eq")
    f.if_()
    f.get(program)
    f.i32(0)
    f.access("i32.atomic.store", _ARRIVED)  # before the others may arrive again
    f.get(program)
    f.i32(1)
    f.access("i32.atomic.rmw.add", _TURN)
    f.drop()
    f.get(program)
    f.i32(-1)
    f.access("memory.atomic.notify", _TURN)
    f.drop()
    f.else_()
    _wait(f, program, _TURN, turn, "i32.ne")
    f.end()


def _wait(f: Function, program: int, word: int, value: int, ends: str) -> None:
    """Wait until `ends` (a comparison) holds of a word of the program and the local `value`."""
    spins, seen = f.local(I32), f.local(I32)

    def look() -> None:
        f.get(program)
        f.access("i32.atomic.load", word)
        f.tee(seen)
        f.get(value)
        f.emit(ends)

    f.i32(SPINS)
    f.set(spins)
    f.block()
    f.loop()
    look()
    f.br_if(1)
    f.get(spins)
    f.i32(1)
    f.emit("i32.sub")
    f.tee(spins)
    f.br_if(0)
    f.end()
    f.loop()  # sleeping ends when the word isn't what was seen, or for no reason
    f.get(program)
    f.get(seen)
    f.wait32(word)
    f.drop()
    look()
    f.emit("i32.eqz")
    f.br_if(0)
    f.end()
    f.end()


def _leave(f: Function, program: int) -> None:
    """The end of a worker other than 0; waking looks at the address only, not at memory."""
    f.get(program)
    f.i32(1)
    f.access("i32.atomic.rmw.add", _DONE)
    f.drop()
    f.get(program)
    f.i32(1)
    f.access("memory.atomic.notify", _DONE)
    f.drop()


def _finish(f: Function, program: int, workers: int, step: int, end: int) -> None:
    """The end of worker 0: wait for the others, then make the program as it was."""
    others = f.local(I32)
    f.get(workers)
    f.i32(1)
    f.emit("i32.sub")
    f.set(others)
    _wait(f, program, _DONE, others, "i32.eq")
    for word in (_TURN, _DONE):
        f.get(program)
        f.i32(0)
        f.access("i32.atomic.store", word)
    _set_step(f, program, step)
    _open_steps(f, step, end)
    f.get(step)
    f.i32(0)
    f.access("i32.atomic.store", _NEXT)
    _close_steps(f, step, end)
