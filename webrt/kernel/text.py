"""The text forms of dims, expressions, problems and kernels: `parse(print(x)) == x` for each."""

from __future__ import annotations

from webrt.kernel.text_expr import parse_dim, parse_expr, print_expr
from webrt.kernel.text_kernel import parse_kernel, print_kernel
from webrt.kernel.text_problem import parse_problem, print_problem

__all__ = [
    "parse_dim", "parse_expr", "parse_kernel", "parse_problem", "print_expr", "print_kernel",
    "print_problem",
]  # fmt: skip
