"""Fusion: a program of one problem a node becomes one of few kernels; `STEPS` is the order."""

from __future__ import annotations

from collections.abc import Callable

from webrt.graph.program import Program
from webrt.passes.fuse_axes import collapse_axes
from webrt.passes.fuse_contract import arrange_contractions
from webrt.passes.fuse_epilogue import absorb_epilogues
from webrt.passes.fuse_inline import dissolve_moves, inline_chains, inline_cheap
from webrt.passes.fuse_layout import store_as_read
from webrt.passes.fuse_literals import finite_masks, inline_literals
from webrt.passes.fuse_merge import (
    merge_reductions,
    settle_reductions,
    share_equal,
    store_from_reduction,
)
from webrt.passes.narrow import narrow_maps
from webrt.passes.split import split_constants, split_products
from webrt.passes.weights import store_windows
from webrt.passes.workbench import Workbench

STEPS: tuple[tuple[Callable[[Workbench], object], ...], ...] = (
    (inline_literals, share_equal, dissolve_moves, settle_reductions),
    (absorb_epilogues, inline_chains, settle_reductions, dissolve_moves, merge_reductions),
    (share_equal,),
    (store_from_reduction,),
    (inline_cheap, absorb_epilogues, inline_chains),
    (lambda bench: absorb_epilogues(bench, keep_source=True), merge_reductions),
    (finite_masks, split_products, narrow_maps),
    (arrange_contractions, store_windows),
    (store_as_read, collapse_axes),
)
"""Groups of steps; each group repeats until it changes nothing."""


def fuse(program: Program) -> Program:
    """The same results from fewer problems."""
    bench = Workbench(program)
    for group in STEPS:
        while any([step(bench) for step in group]):
            bench.drop_dead()
    split_constants(bench)
    return bench.close()
