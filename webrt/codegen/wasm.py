"""Prints loop IR as WebAssembly. A printer only: decisions are `schedule/`'s and `lower/`'s."""

from __future__ import annotations

from collections.abc import Sequence

from webrt.kernel import loop


def module(kernels: Sequence[loop.Kernel], relaxed: bool = False) -> bytes:
    """The module of `kernels` (see `abi`); `relaxed` uses relaxed SIMD."""
    raise NotImplementedError


def scratch_bytes(kernel: loop.Kernel) -> int:
    """Bytes that a worker needs for the kernel's workgroup arrays; each begins 16-aligned."""
    return sum(-(-s.length * s.lanes * s.dtype.storage.bytes // 16) * 16 for s in kernel.shared)
