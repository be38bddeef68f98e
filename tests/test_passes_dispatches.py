"""How many kernels a transformer takes: held a layer, in both exporters' spellings.

The published models are held end to end; these are their layers, small.
"""

from __future__ import annotations

import pytest
from onnx_text import check, families, model

H, HEADS, D, F = 8, 2, 4, 16

OLD_HEADS = f"""
    a{{j}}_b = Shape <start = 0, end = 1> ({{x}})
    a{{j}}_s = Shape <start = 1, end = 2> ({{x}})
    a{{j}}_h = Constant <value = int64[2] {{{{{HEADS}, {D}}}}}> ()
    a{{j}}_shape = Concat <axis = 0> (a{{j}}_b, a{{j}}_s, a{{j}}_h)
"""
NEW_HEADS = f"    a{{j}}_shape = Constant <value = int64[4] {{{{0, 0, {HEADS}, {D}}}}}> ()\n"

ATTENTION = """
    q{j} = MatMul ({x}, wq{j})
    qb{j} = Add (wqb{j}, q{j})
    k{j} = MatMul ({source}, wk{j})
    kb{j} = Add (wkb{j}, k{j})
    v{j} = MatMul ({source}, wv{j})
    vb{j} = Add (v{j}, wvb{j})
    qr{j} = Reshape (qb{j}, a{j}_shape)
    qt{j} = Transpose <perm = [0, 2, 1, 3]> (qr{j})
    kr{j} = Reshape (kb{j}, c{j}_shape)
    kt{j} = Transpose <perm = [0, 2, 3, 1]> (kr{j})
    vr{j} = Reshape (vb{j}, c{j}_shape)
    vt{j} = Transpose <perm = [0, 2, 1, 3]> (vr{j})
    s{j} = MatMul (qt{j}, kt{j})
    sd{j} = Div (s{j}, two)
    sm{j} = Add (sd{j}, {mask})
    p{j} = Softmax <axis = -1> (sm{j})
    o{j} = MatMul (p{j}, vt{j})
    ot{j} = Transpose <perm = [0, 2, 1, 3]> (o{j})
    or{j} = Reshape (ot{j}, flat)
    op{j} = MatMul (or{j}, wo{j})
    ob{j} = Add (wob{j}, op{j})
"""

GELU = """
    g{j} = MatMul ({x}, wi{j})
    gb{j} = Add (wib{j}, g{j})
    gd{j} = Div (gb{j}, root)
    ge{j} = Erf (gd{j})
    g1{j} = Add (ge{j}, one)
    gm{j} = Mul (gb{j}, g1{j})
    gh{j} = Mul (gm{j}, half)
    f{j} = MatMul (gh{j}, wf{j})
    fb{j} = Add (f{j}, wfb{j})
"""

TANH_GELU = """
    g{j} = MatMul ({x}, wi{j})
    gb{j} = Add (wib{j}, g{j})
    gc{j} = Pow (gb{j}, three)
    gk{j} = Mul (gc{j}, half)
    ga{j} = Add (gb{j}, gk{j})
    gt{j} = Tanh (ga{j})
    g1{j} = Add (gt{j}, one)
    gl{j} = Mul (gb{j}, half)
    gh{j} = Mul (gl{j}, g1{j})
    f{j} = MatMul (gh{j}, wf{j})
    fb{j} = Add (f{j}, wfb{j})
"""

CONSTANTS = f"""
    two = Constant <value = float {{2.0}}> ()
    three = Constant <value = float {{3.0}}> ()
    root = Constant <value = float {{1.41421356}}> ()
    one = Constant <value = float {{1.0}}> ()
    half = Constant <value = float {{0.5}}> ()
    low = Constant <value = float {{-3.4028235e38}}> ()
    flat = Constant <value = int64[3] {{0, 0, {H}}}> ()
    m1 = Cast <to = 1> (keep)
    m2 = Sub (one, m1)
    m3 = Mul (m2, low)
    a12 = Constant <value = int64[2] {{1, 2}}> ()
    mask = Unsqueeze (m3, a12)
"""


def norm(x: str, name: str) -> str:
    return (
        f"    {name} = LayerNormalization <axis = -1, epsilon = 1e-5> ({x}, wn{name}, wm{name})\n"
    )


def weights(j: int) -> list[str]:
    return [
        *(f"float[{H}, {H}] w{n}{j}" for n in "qkvo"), *(f"float[{H}] w{n}b{j}" for n in "qkvo"),
        f"float[{H}, {F}] wi{j}", f"float[{F}] wib{j}", f"float[{F}, {H}] wf{j}",
        f"float[{H}] wfb{j}",
    ]  # fmt: skip


def norms(*names: str) -> list[str]:
    return [f"float[{H}] w{kind}{name}" for name in names for kind in "nm"]


def heads(spelling: str, j: int, x: str) -> str:
    return spelling.format(j=j, x=x) + f"    c{j}_shape = Identity (a{j}_shape)\n"


def encoder(spelling: str, layers: int) -> str:
    """BERT: x = norm(x + attention(x)); x = norm(x + mlp(x))."""
    body, x, parameters = CONSTANTS, "x", []
    for j in range(layers):
        body += heads(spelling, j, x)
        body += ATTENTION.format(j=j, x=x, source=x, mask="mask")
        body += f"    r{j} = Add (ob{j}, {x})\n" + norm(f"r{j}", f"x{j}a")
        body += GELU.format(j=j, x=f"x{j}a") + f"    t{j} = Add (fb{j}, x{j}a)\n"
        body += norm(f"t{j}", f"x{j}b")
        parameters += [*weights(j), *norms(f"x{j}a", f"x{j}b")]
        x = f"x{j}b"
    inputs = [f"float[batch, n, {H}] x", "int64[batch, n] keep", *parameters]
    return _graph(inputs, body, x)


def decoder(spelling: str, layers: int) -> str:
    """GPT-2: x = x + attention(norm(x)); x = x + mlp(norm(x)); a norm in the end."""
    body, x, parameters = CONSTANTS, "x", []
    for j in range(layers):
        body += norm(x, f"x{j}a") + heads(spelling, j, x)
        body += ATTENTION.format(j=j, x=f"x{j}a", source=f"x{j}a", mask="mask")
        body += f"    r{j} = Add ({x}, ob{j})\n" + norm(f"r{j}", f"x{j}b")
        body += TANH_GELU.format(j=j, x=f"x{j}b") + f"    t{j} = Add (r{j}, fb{j})\n"
        parameters += [*weights(j), *norms(f"x{j}a", f"x{j}b")]
        x = f"t{j}"
    body += norm(x, "last")
    inputs = [f"float[batch, n, {H}] x", "int64[batch, n] keep", *parameters, *norms("last")]
    return _graph(inputs, body, "last")


def _graph(inputs: list[str], body: str, result: str) -> str:
    done = body + f"    y = Identity ({result})\n"
    return f"agraph ({', '.join(inputs)}) => (float[batch, n, {H}] y) {{\n{done}}}"


@pytest.mark.parametrize("spelling", [OLD_HEADS, NEW_HEADS], ids=["torchscript", "dynamo"])
def test_an_encoder_layer_is_seven_kernels(spelling: str) -> None:
    built = check(model(encoder(spelling, 2)), batch=2, n=3)
    layer = ["Contract", "Attention", "Contract", "Reduce", "Contract", "Contract", "Reduce"]
    assert families(built) == layer * 2
    assert len(built.plan.problems) == 6  # the two norms of a layer are one problem, as are layers


@pytest.mark.parametrize("spelling", [OLD_HEADS, NEW_HEADS], ids=["torchscript", "dynamo"])
def test_a_pre_norm_layer_is_seven_kernels(spelling: str) -> None:
    built = check(model(decoder(spelling, 2)), batch=2, n=3)
    layer = ["Reduce", "Contract", "Attention", "Contract", "Reduce", "Contract", "Contract"]
    assert families(built) == [*layer * 2, "Reduce"]


def test_keys_and_values_of_another_sequence_are_one_product() -> None:
    body = CONSTANTS + NEW_HEADS.format(j=0, x="x") + "    c0_shape = Identity (a0_shape)\n"
    body += ATTENTION.format(j=0, x="x", source="memory", mask="mask")
    inputs = [f"float[batch, n, {H}] x", f"float[batch, t, {H}] memory", "int64[batch, t] keep"]
    built = check(model(_graph([*inputs, *weights(0)[:8]], body, "ob0")), batch=2, n=3, t=5)
    assert families(built) == ["Contract", "Contract", "Attention", "Contract"]


def test_a_mask_is_computed_where_it_is_used() -> None:
    built = check(model(encoder(NEW_HEADS, 1)), batch=2, n=3)
    attention = next(p for p in built.plan.problems if type(p).__name__ == "Attention")
    assert [str(o.size) for o in attention.operands] == ["24*s0*s1", "s0*s1"]


def test_activations_lie_as_they_are_read() -> None:
    built = check(model(encoder(NEW_HEADS, 1)), batch=2, n=3)
    for problem in built.plan.problems:
        if type(problem).__name__ == "Contract":
            assert str(getattr(problem, "a").offset).startswith("k + ")  # noqa: B009
            assert str(getattr(problem, "b").offset).endswith("*k + n")  # noqa: B009
