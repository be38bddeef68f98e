"""The text form of loop IR: read it to see what a kernel does.

    kernel main(x0: f32x4, x1: readonly f32; s0)
      workgroup 64, 1, 1
      grid (s0 + 63) // 64, 1, 1
      shared parts: f32[64]
      let row = int(wg0*64 + lane0)
      if int(row) < int(s0) {
        var sum = 0.0
        for e = 0 to s1 step 1 {
          sum := sum.f32 + x0.f32[row*s1 + e]
        }
        x1[row] = sum.f32
      }

`let` names a value, `var` declares a register, `:=` sets one, `name[…] =` stores, `barrier` waits.
"""

from __future__ import annotations

from webrt.dtypes import DType
from webrt.kernel import loop
from webrt.kernel.expr import Index, lanes_of
from webrt.kernel.text_expr import (
    check_height,
    memory_of,
    parsing,
    print_expr,
    read_dim,
    read_expr,
)
from webrt.kernel.text_tokens import MAX_DEPTH, MAX_TEXT, Tokens


def print_kernel(kernel: loop.Kernel) -> str:
    """Several lines, ending with a newline; `parse_kernel` is the inverse."""
    bindings = ", ".join(
        f"{b.name}: {'' if b.writable else 'readonly '}{_typed(b.dtype, b.lanes)}"
        for b in kernel.bindings
    )
    symbols = f"; {', '.join(kernel.symbols)}" if kernel.symbols else ""
    lines = [f"kernel {kernel.name}({bindings}{symbols})"]
    lines.append(f"  workgroup {', '.join(map(str, kernel.workgroup))}")
    lines.append(f"  grid {', '.join(map(str, kernel.grid))}")
    for shared in kernel.shared:
        lines.append(
            f"  shared {shared.name}: {_typed(shared.dtype, shared.lanes)}[{shared.length}]"
        )
    _print_body(kernel.body, "  ", lines)
    return "\n".join(lines) + "\n"


def _typed(dtype: DType, lanes: int) -> str:
    return str(dtype) if lanes == 1 else f"{dtype}x{lanes}"


def _print_body(body: tuple[loop.Stmt, ...], indent: str, lines: list[str]) -> None:
    for statement in body:
        match statement:
            case loop.Let(name, expr):
                lines.append(f"{indent}let {name} = {print_expr(expr)}")
            case loop.Var(name, expr):
                lines.append(f"{indent}var {name} = {print_expr(expr)}")
            case loop.Assign(name, expr):
                lines.append(f"{indent}{name} := {print_expr(expr)}")
            case loop.Store(memory, offset, expr):
                name = memory if isinstance(memory, str) else f"x{memory}"
                lines.append(f"{indent}{name}[{offset}] = {print_expr(expr)}")
            case loop.Barrier():
                lines.append(f"{indent}barrier")
            case loop.For(name, start, stop, step, inner):
                lines.append(f"{indent}for {name} = {start} to {stop} step {step} {{")
                _print_body(inner, indent + "  ", lines)
                lines.append(f"{indent}}}")
            case loop.If(condition, inner, otherwise):
                lines.append(f"{indent}if {print_expr(condition)} {{")
                _print_body(inner, indent + "  ", lines)
                if otherwise:
                    lines.append(f"{indent}}} else {{")
                    _print_body(otherwise, indent + "  ", lines)
                lines.append(f"{indent}}}")


def parse_kernel(text: str) -> loop.Kernel:
    """The kernel that `text` prints; raises ValueError."""
    if len(text) > MAX_TEXT:
        raise ValueError(f"a kernel of {len(text)} characters is too long")
    with parsing():
        return _Reader([line for line in text.split("\n") if line.strip()]).kernel()


class _Reader:
    """The lines of a kernel, read one by one."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.position = 0
        self.depth = 0

    def _next(self) -> Tokens:
        if self.position >= len(self.lines):
            raise ValueError("a kernel that ends before its blocks do")
        self.position += 1
        return Tokens(self.lines[self.position - 1])

    def kernel(self) -> loop.Kernel:
        name, bindings, symbols = self._head(self._next())
        workgroup, grid, shared = self._next(), None, []
        workgroup.expect("workgroup")
        size = [workgroup.integer() for j in range(3) if not j or workgroup.accept(",")]
        workgroup.end()
        tokens = self._next()
        tokens.expect("grid")
        grid = [read_dim(tokens) for j in range(3) if not j or tokens.accept(",")]
        tokens.end()
        if len(size) != 3 or len(grid) != 3:
            raise ValueError("a workgroup and a grid have three sizes")
        while self.position < len(self.lines) and self.lines[self.position].split()[0] == "shared":
            shared.append(self._shared(self._next()))
        body, closing = self._block(top=True)
        assert closing is None
        whole = (size[0], size[1], size[2]), (grid[0], grid[1], grid[2])
        return loop.Kernel(name, bindings, symbols, tuple(shared), *whole, body)

    def _head(self, tokens: Tokens) -> tuple[str, tuple[loop.Binding, ...], tuple[str, ...]]:
        tokens.expect("kernel")
        name = tokens.name()
        tokens.expect("(")
        bindings: list[loop.Binding] = []
        while tokens.text not in (";", ")"):
            if bindings:
                tokens.expect(",")
            binding = tokens.name()
            tokens.expect(":")
            writable = not tokens.accept("readonly")
            bindings.append(loop.Binding(binding, *tokens.dtype(), writable))
        symbols: list[str] = []
        if tokens.accept(";"):
            symbols.append(tokens.name())
            while tokens.accept(","):
                symbols.append(tokens.name())
        tokens.expect(")")
        tokens.end()
        return name, tuple(bindings), tuple(symbols)

    def _shared(self, tokens: Tokens) -> loop.Shared:
        tokens.expect("shared")
        name = tokens.name()
        tokens.expect(":")
        dtype, lanes = tokens.dtype()
        tokens.expect("[")
        length = tokens.integer()
        tokens.expect("]")
        tokens.end()
        return loop.Shared(name, dtype, lanes, length)

    def _block(self, top: bool = False) -> tuple[tuple[loop.Stmt, ...], Tokens | None]:
        """Statements to the closing bracket, whose line is given too, after the bracket."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ValueError(f"blocks nested more than {MAX_DEPTH} deep")
        statements: list[loop.Stmt] = []
        closing: Tokens | None = None
        while not (top and self.position == len(self.lines)):
            tokens = self._next()
            if tokens.accept("}"):
                closing = tokens
                break
            statements.append(self._statement(tokens))
        if top and closing is not None:
            raise closing.error("a bracket closes no block")
        self.depth -= 1
        return tuple(statements), closing

    def _statement(self, tokens: Tokens) -> loop.Stmt:
        word = tokens.name()
        statement: loop.Stmt
        if word == "if" and tokens.text not in (":=", "["):
            return self._if(tokens)
        if word == "for" and tokens.kind == "name":
            return self._for(tokens)
        if word in ("let", "var") and tokens.kind == "name":
            name = tokens.name()
            tokens.expect("=")
            expr = read_expr(tokens)
            statement = loop.Let(name, expr) if word == "let" else loop.Var(name, expr)
        elif tokens.accept(":="):
            expr = read_expr(tokens)
            statement = loop.Assign(word, expr)
        elif tokens.accept("["):
            offset = read_dim(tokens)
            tokens.expect("]")
            tokens.expect("=")
            expr = read_expr(tokens)
            check_height(Index(offset))
            statement = loop.Store(memory_of(word), offset, expr)
        elif word == "barrier":
            tokens.end()
            return loop.Barrier()
        else:
            raise tokens.error("not a statement")
        check_height(expr)
        tokens.end()
        return statement

    def _for(self, tokens: Tokens) -> loop.For:
        name = tokens.name()
        tokens.expect("=")
        start = read_dim(tokens)
        tokens.expect("to")
        stop = read_dim(tokens)
        tokens.expect("step")
        step = tokens.integer()
        if step < 1:
            raise tokens.error("a step is positive")
        tokens.expect("{")
        tokens.end()
        body, closing = self._block()
        if closing is not None:
            closing.end()
        return loop.For(name, start, stop, step, body)

    def _if(self, tokens: Tokens) -> loop.If:
        condition = read_expr(tokens)
        if condition.dtype is not DType.BOOL or lanes_of(condition) != 1:
            raise tokens.error("a condition is one bool")
        check_height(condition)
        tokens.expect("{")
        tokens.end()
        body, closing = self._block()
        otherwise: tuple[loop.Stmt, ...] = ()
        if closing is not None and closing.accept("else"):
            closing.expect("{")
            closing.end()
            otherwise, closing = self._block()
        if closing is not None:
            closing.end()
        return loop.If(condition, body, otherwise)
