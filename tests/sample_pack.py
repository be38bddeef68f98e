"""A tiny pack with hand-written kernels, for tests of everything that reads or runs packs.

`python tests/sample_pack.py DIR` writes it. The model, with b and n dynamic, n at most 4096:

    ids      int64 [b, n], 0 … 9        hidden  = table[ids] * scale        f32 [b, n, 4]
    scale    f32 [4]                    pooled  = sum of table[ids] over n  f32 [b, 4]
                                        mask    = ids > 0                   bool [b, n]
                                        echo    = ids                       int64 [b, n]
                                        release = [2, 0, 1]                 int64 [3]
"""

from __future__ import annotations

import array
import sys
from dataclasses import replace
from pathlib import Path

from webrt import dims
from webrt.dims import symbol
from webrt.dtypes import DType
from webrt.kernel.expr import Load, Ref, as_dim, call, i32
from webrt.kernel.loop import Binding
from webrt.kernel.problem import Map, Operand, Output, Pass, Problem, Reduce
from webrt.lower import lower
from webrt.pack.format import KernelEntry, Pack, Packer
from webrt.pack.wasm import WasmPlan, plan_wasm
from webrt.pack.write import write_pack
from webrt.plan.plan import Home, ModelSymbol, Plan, Port, Step, Tensor
from webrt.schedule import CpuLimits, default

B, N = symbol("s0"), symbol("s1")
IDS, SCALE, TABLE, EMBEDDED, HIDDEN, POOLED, MASK, RELEASE = range(8)
TABLE_VALUES = [[row + 0.25 * column for column in range(4)] for row in range(10)]
RELEASE_VALUES = [2, 0, 1]


def _declarations(kinds: str) -> str:
    """`kinds`: one letter a binding, r or w and f, i or u: `rf wf` is a constant and an output."""
    types = {"f": "f32", "i": "i32", "u": "u32"}
    lines = [
        f"@group(0) @binding({j}) var<storage, {'read' if k[0] == 'r' else 'read_write'}> "
        f"x{j}: array<{types[k[1]]}>;"
        for j, k in enumerate(kinds.split())
    ]
    uniform = f"@group(0) @binding({len(lines)}) var<uniform> symbols: array<vec4<i32>, 1>;"
    return "\n".join([*lines, uniform]) + "\n"


def _kernel(name: str, kinds: str, points: dims.Dim, body: str) -> KernelEntry:
    """One lane a point; `body` computes for point `i` with b and n in scope."""
    wgsl = (
        _declarations(kinds)
        + "@compute @workgroup_size(64)\n"
        + "fn main(@builtin(global_invocation_id) id: vec3<u32>) {\n"
        + "  let s0 = symbols[0].x;\n  let s1 = symbols[0].y;\n  let i = i32(id.x);\n"
        + f"  if (i >= {str(points).replace('//', '/')}) {{ return; }}\n"
        + "".join(f"  {line}\n" for line in body.splitlines())
        + "}\n"
    )
    dtypes = {"f": DType.F32, "i": DType.I32, "u": DType.U32}
    bindings = tuple(
        Binding(f"x{j}", dtypes[k[1]], 1, k[0] == "w") for j, k in enumerate(kinds.split())
    )
    grid = (dims.ceil_div(points, 64), 1, 1)
    return KernelEntry(name, {"lanes": 64}, grid, (64, 1, 1), bindings, wgsl, points)


def _problems() -> tuple[Problem, ...]:
    i0, i1, i2, r0 = (symbol(n) for n in ("i0", "i1", "i2", "r0"))
    ids = Operand(DType.I32, B * N)
    row = as_dim(Load(0, i0 * N + i1, DType.I32))
    at = i0 * N * 4 + i1 * 4 + i2
    embedded = Operand(DType.F32, B * N * 4)
    product = call("mul", Load(0, at, DType.F32), Load(1, i2, DType.F32))
    positive = call("gt", Load(0, i0 * N + i1, DType.I32), i32(0))
    return (
        Map(
            (B, N, 4),
            (ids, Operand(DType.F32, 40, constant=True)),
            (Output(DType.F32, B * N * 4, at, Load(1, row * 4 + i2, DType.F32)),),
        ),
        Map(
            (B, N, 4),
            (embedded, Operand(DType.F32, 4)),
            (Output(DType.F32, B * N * 4, at, product),),
        ),
        Reduce(
            (B, 4),
            (N,),
            (embedded,),
            (Pass("sum", Load(0, i0 * N * 4 + r0 * 4 + i1, DType.F32)),),
            (Output(DType.F32, B * 4, i0 * 4 + i1, Ref("p0", DType.F32)),),
        ),
        Map((B, N), (ids,), (Output(DType.BOOL, B * N, i0 * N + i1, positive),)),
    )


def _kernels() -> tuple[KernelEntry, ...]:
    pooled = (
        "var sum = 0.0;\n"
        "for (var r = 0; r < s1; r++) { sum += x0[(i / 4) * s1 * 4 + r * 4 + i % 4]; }\n"
        "x1[i] = sum;"
    )
    return (
        _kernel("embed", "wi rf wf", B * N * 4, "x2[i] = x1[x0[i / 4] * 4 + i % 4];"),
        _kernel("scale", "wf wf wf", B * N * 4, "x2[i] = x0[i] * x1[i % 4];"),
        _kernel("pool", "wf wf", B * 4, pooled),
        _kernel("positive", "wi wu", B * N, "x1[i] = select(0u, 1u, x0[i] > 0);"),
    )


def _wasm() -> WasmPlan:
    """Default kernels, but for `embed`: it reads its table transposed, by a packer."""
    embed, *others = _problems()
    i0, i1, i2 = (symbol(n) for n in ("i0", "i1", "i2"))
    row = as_dim(Load(0, i0 * N + i1, DType.I32))
    assert isinstance(embed, Map)
    output = replace(embed.outputs[0], expr=Load(1, i2 * 10 + row, DType.F32))
    made = plan_wasm([replace(embed, outputs=(output,)), *others])
    table = Operand(DType.F32, 40, constant=True)
    turned = Output(DType.F32, 40, i1 * 10 + i0, Load(0, i0 * 4 + i1, DType.F32))
    packing = Map((10, 4), (table,), (turned,))
    packer = lower(packing, default(packing, CpuLimits()), "packer_0")
    units = dims.evaluate(packer.grid[0], {})
    return WasmPlan(
        (replace(made.kernels[0], panels=((1, 0),)), *made.kernels[1:]),
        (Packer(packer.name, units, 0, 160, 160),),
        (*made.code, packer),
    )


def sample_plan() -> Plan:
    return Plan(
        symbols=(ModelSymbol("s0", "batch"), ModelSymbol("s1", "length", most=4096)),
        inputs=(
            Port("ids", DType.I64, (B, N), IDS, low=0, high=9),
            Port("scale", DType.F32, (4,), SCALE),
        ),
        outputs=(
            Port("hidden", DType.F32, (B, N, 4), HIDDEN),
            Port("pooled", DType.F32, (B, 4), POOLED),
            Port("mask", DType.BOOL, (B, N), MASK),
            Port("echo", DType.I64, (B, N), IDS),
            Port("release", DType.I64, (3,), RELEASE),
        ),
        tensors=(
            Tensor(DType.I32, (B, N), Home.INPUT),
            Tensor(DType.F32, (4,), Home.INPUT),
            Tensor(DType.F32, (10, 4), Home.CONSTANT),
            Tensor(DType.F32, (B, N, 4), Home.ARENA),
            Tensor(DType.F32, (B, N, 4), Home.OUTPUT),
            Tensor(DType.F32, (B, 4), Home.OUTPUT),
            Tensor(DType.BOOL, (B, N), Home.OUTPUT),
            Tensor(DType.I32, (3,), Home.CONSTANT),
        ),
        problems=_problems(),
        steps=(
            Step(0, (IDS, TABLE), (EMBEDDED,), "/embed/Gather"),
            Step(1, (EMBEDDED, SCALE), (HIDDEN,), "/scale/Mul"),
            Step(2, (EMBEDDED,), (POOLED,), "/pool/ReduceSum"),
            Step(3, (IDS,), (MASK,), "/mask/Greater"),
        ),
    )


def sample_constants() -> dict[int, object]:
    return {
        TABLE: array.array("f", [v for row in TABLE_VALUES for v in row]),
        RELEASE: array.array("i", RELEASE_VALUES),
    }


def write_sample(target: Path) -> Pack:
    return write_pack(target, sample_plan(), _kernels(), _wasm(), sample_constants())


if __name__ == "__main__":
    write_sample(Path(sys.argv[1]))
