"""The text of a problem in a manifest: parsed, checked, and held against its kernel's bindings."""

from __future__ import annotations

from webrt.kernel.check import check_problem
from webrt.kernel.problem import Problem
from webrt.kernel.text import parse_problem, print_problem
from webrt.kernel.widen import widened
from webrt.pack.field import Field
from webrt.pack.format import MAX_WGSL_BYTES, KernelEntry


def read_problem(field: Field) -> Problem:
    """The problem whose text stands at `field`; raises PackError where it means nothing."""
    text = field.text(MAX_WGSL_BYTES, 1)
    try:
        problem = parse_problem(text)
        check_problem(problem)
    except (ValueError, RecursionError, OverflowError, ZeroDivisionError) as error:
        raise field.fail(f"is no problem: {str(error) or 'nested too deep'}") from error
    return problem


def check_wide(field: Field, problem: Problem) -> None:
    """Hold the text of the problem without f16, where there is one, to the problem's own."""
    if field.has("wide") and field.member("wide").value != print_problem(widened(problem)):
        raise field.member("wide").fail("is not the problem with f32 for f16")


def check_kernel(field: Field, problem: Problem, kernel: KernelEntry) -> None:
    """Hold a kernel's bindings against its problem's operands and outputs."""
    wanted = [(o.dtype.storage, not o.constant) for o in problem.operands]
    wanted += [(o.dtype.storage, True) for o in problem.outputs]
    if wanted != [(b.dtype, b.writable) for b in kernel.bindings]:
        raise field.member("bindings").fail("don't fit the operands and outputs of the problem")
