"""The form in which fusion works: problems whose loads name values, with producers and readers.

A closed problem numbers its operands; here `Load.memory` is the name of a value (`v12`), so that
expressions move between problems as they are. `close` numbers operands by first use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from webrt import dims
from webrt.dims import Dim
from webrt.graph.ir import Value
from webrt.graph.program import ProblemNode, Program
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr, Load
from webrt.kernel.problem import (
    Attention,
    Contract,
    Fold,
    Map,
    Operand,
    Output,
    Problem,
    Reduce,
    expressions,
    extents,
    map_expressions,
)
from webrt.passes.parts import columns_of, part_count

MAX_BINDINGS = 8
"""WebGPU's default limit of storage buffers in a compute stage."""


@dataclass(frozen=True, slots=True)
class Node:
    """An open problem (`operands` is empty) and the names of the values that it makes."""

    problem: Problem
    outputs: tuple[str, ...]
    name: str
    alone: bool = False


def reads_of(problem: Problem) -> tuple[str, ...]:
    """The values that an open problem loads, in order of first use."""
    names: dict[str, None] = {}
    for expr in expressions(problem):
        for load in ex.distinct_loads(expr):
            assert isinstance(load.memory, str)
            names[load.memory] = None
    return tuple(names)


def output_space(problem: Problem, output: Output) -> dict[str, Dim]:
    """The indices over which an output is stored."""
    space = extents(problem)
    match problem:
        case Map():
            return space
        case Reduce():
            return {n: e for n, e in space.items() if output.each or n.startswith("i")}
        case Contract():
            return {n: e for n, e in space.items() if n != "k"}
        case Attention():
            return {n: e for n, e in space.items() if n not in ("t", "d")}
        case Fold():
            return {n: e for n, e in space.items() if n != "t"}


class Workbench:
    """Open nodes with who makes and who reads each value; fusion changes it step by step."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.values: dict[str, Value] = {}
        self.nodes: dict[int, Node] = {}
        self.makers: dict[str, int] = {}
        self.readers: dict[str, dict[int, None]] = {}
        self._reads: dict[int, tuple[str, ...]] = {}
        self._names: dict[Value, str] = {}
        self.parts: dict[str, list[str]] = {}  # of large constants
        self._next = 0
        for value in program.inputs:
            self.name_of(value)
        for node in program.nodes:
            self.add(self._open(node))
        self.results = [self.name_of(value) for value in program.outputs]

    def name_of(self, value: Value) -> str:
        """The name of a value, a new one at its first sight."""
        if value not in self._names:
            name = f"v{len(self._names)}"
            self._names[value] = name
            self.values[name] = value
        return self._names[value]

    def _open(self, node: ProblemNode) -> Node:
        names = [self.name_of(v) for v in node.inputs]

        def opened(expr: Expr) -> Expr | None:
            if isinstance(expr, Load):
                assert isinstance(expr.memory, int)
                return replace(expr, memory=names[expr.memory])
            return None

        problem = map_expressions(node.problem, lambda e: ex.rewrite(e, opened))
        outputs = tuple(self.name_of(v) for v in node.outputs)
        return Node(replace(problem, operands=()), outputs, node.name, node.alone)

    def bindings(self, problem: Problem) -> int:
        """How many storage buffers an open problem binds, a large constant once for each part.

        Weights of a product that is cut with them count once: each kernel will bind its own.
        """
        values = {name: self.values[name] for name in reads_of(problem)}
        parts = sum(
            1 if columns_of(problem, name, value) else part_count(value)
            for name, value in values.items()
        )
        return parts + len(problem.outputs)

    def add(self, node: Node) -> int:
        """Put a new node on the bench."""
        key = self._next
        self._next += 1
        self._attach(key, node)
        return key

    def _attach(self, key: int, node: Node) -> None:
        self.nodes[key] = node
        self._reads[key] = reads_of(node.problem)
        for name in self._reads[key]:
            self.readers.setdefault(name, {})[key] = None
        for name in node.outputs:
            self.makers[name] = key

    def remove(self, key: int) -> None:
        """Take a node off the bench."""
        node = self.nodes.pop(key)
        for name in self._reads.pop(key):
            self.readers[name].pop(key, None)
        for name in node.outputs:
            if self.makers.get(name) == key:
                del self.makers[name]

    def update(self, key: int, node: Node) -> None:
        """Change a node in place."""
        self.remove(key)
        self._attach(key, node)

    def reads(self, key: int) -> tuple[str, ...]:
        return self._reads[key]

    def readers_of(self, name: str) -> tuple[int, ...]:
        return tuple(self.readers.get(name, ()))

    def is_result(self, name: str) -> bool:
        return name in self.results

    def is_dead(self, name: str) -> bool:
        """Nobody reads the value and the model doesn't give it."""
        return not self.readers.get(name) and name not in self.results

    def rename(self, old: str, new: str) -> None:
        """Let all readers of `old` read `new`, whose elements are the same."""
        for key in self.readers_of(old):
            node = self.nodes[key]

            def change(expr: Expr) -> Expr | None:
                if isinstance(expr, Load) and expr.memory == old:
                    return replace(expr, memory=new)
                return None

            problem = map_expressions(node.problem, lambda e: ex.rewrite(e, change))
            self.update(key, replace(node, problem=problem))
        self.results = [new if name == old else name for name in self.results]

    def drop_dead(self) -> bool:
        """Remove outputs that nobody reads, and nodes without outputs."""
        changed = False
        for key in reversed(self.order()):
            node = self.nodes[key]
            keep = [j for j, name in enumerate(node.outputs) if not self.is_dead(name)]
            if len(keep) == len(node.outputs):
                continue
            changed = True
            if not keep:
                self.remove(key)
                continue
            outputs = tuple(node.problem.outputs[j] for j in keep)
            problem = prune_passes(replace(node.problem, outputs=outputs))
            self.update(key, Node(problem, tuple(node.outputs[j] for j in keep), node.name))
        return changed

    def depends(self, name: str, key: int) -> bool:
        """Whether the value is computed, by any way, from outputs of node `key`."""
        stack, seen = [name], set[str]()
        while stack:
            current = stack.pop()
            maker = self.makers.get(current)
            if current in seen or maker is None:
                continue
            seen.add(current)
            if maker == key:
                return True
            stack.extend(self._reads[maker])
        return False

    def order(self) -> list[int]:
        """Node keys in topological order, stable in the order of creation."""
        done: dict[int, None] = {}
        for root in sorted(self.nodes):
            stack = [root]
            while stack:
                key = stack[-1]
                if key in done:
                    stack.pop()
                    continue
                makers = [self.makers.get(name) for name in self._reads[key]]
                waiting = sorted(m for m in makers if m is not None and m not in done)
                if waiting:
                    stack.extend(reversed(waiting))
                else:
                    done[key] = None
                    stack.pop()
        return list(done)

    def in_order(self) -> Iterator[int]:
        """Keys in topological order as it stood at the start, skipping those removed meanwhile."""
        for key in self.order():
            if key in self.nodes:
                yield key

    def close(self) -> Program:
        """The program, operands numbered by first use."""
        self.drop_dead()
        nodes = tuple(self._close(self.nodes[key]) for key in self.order())
        outputs = tuple(self.values[name] for name in self.results)
        return replace(self.program, nodes=nodes, outputs=outputs)

    def _close(self, node: Node) -> ProblemNode:
        names = reads_of(node.problem)
        position = {name: j for j, name in enumerate(names)}

        def closed(expr: Expr) -> Expr | None:
            if isinstance(expr, Load):
                assert isinstance(expr.memory, str)
                return replace(expr, memory=position[expr.memory])
            return None

        inputs = tuple(self.values[name] for name in names)
        operands = tuple(
            Operand(v.dtype.computed, dims.product(v.shape), v.data is not None) for v in inputs
        )
        problem = map_expressions(node.problem, lambda e: ex.rewrite(e, closed))
        outputs = tuple(self.values[name] for name in node.outputs)
        return ProblemNode(replace(problem, operands=operands), inputs, outputs, node.name)


def prune_passes(problem: Problem) -> Problem:
    """Drop the passes of a Reduce whose results nothing uses any more."""
    if not isinstance(problem, Reduce):
        return problem
    used = _refs(tuple(o.expr for o in problem.outputs))
    keep: list[int] = []
    for j in reversed(range(len(problem.passes))):
        if f"p{j}" in used:
            keep.insert(0, j)
            used |= _refs((problem.passes[j].expr,))
    return _pick_passes(problem, keep)


def _refs(exprs: tuple[Expr, ...]) -> set[str]:
    return {e.name for root in exprs for e in ex.walk(root) if isinstance(e, ex.Ref)}


def _pick_passes(problem: Reduce, keep: list[int]) -> Reduce:
    if len(keep) == len(problem.passes):
        return problem
    new_name = {f"p{old}": f"p{new}" for new, old in enumerate(keep)}

    def change(expr: Expr) -> Expr | None:
        return replace(expr, name=new_name[expr.name]) if isinstance(expr, ex.Ref) else None

    picked = replace(problem, passes=tuple(problem.passes[j] for j in keep))
    changed = map_expressions(picked, lambda e: ex.rewrite(e, change))
    assert isinstance(changed, Reduce)
    return changed
