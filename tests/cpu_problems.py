"""Shapes of Map and Reduce that loops of fours have to get right, by name, in the text form."""

from __future__ import annotations

from webrt.kernel.problem import Map, Reduce
from webrt.kernel.text import parse_problem

_MAPS = {
    "one element": "map\n  in x0: f32[1]\n  out x1: f32[1] at 0 = tanh(x0.f32[0])",
    "axes of one": """map
  over i0 < 1, i1 < 1, i2 < 5
  in x0: f32[5]
  out x1: f32[5] at 5*i0 + 5*i1 + i2 = neg(x0.f32[i0 + i1 + i2])""",
    "three elements": """map
  over i0 < 3
  in x0: u32[3]
  out x1: u32[3] at i0 = x0.u32[i0] * x0.u32[i0]""",
    "integers and bools": """map
  over i0 < s0, i1 < 37
  in x0: i32[37*s0]
  in x1: bool[37]
  out x2: i32[37*s0] at 37*i0 + i1 = select(x1.bool[i1], x0.i32[37*i0 + i1] * 3, int(i1 - 4))
  out x3: bool[37*s0] at 37*i0 + i1 = x1.bool[i1] | x0.i32[37*i0 + i1] > 2""",
    "a slice": """map
  over i0 < s0, i1 < 13
  in x0: f32[40*s0]
  out x1: f32[13*s0] at 13*i0 + i1 = x0.f32[40*i0 + 2*i1 + 7]""",
    "a slice of neighbours": """map
  over i0 < s0, i1 < 13
  in x0: f32[40*s0]
  out x1: f32[13*s0] at 13*i0 + i1 = x0.f32[40*i0 + i1 + 7]""",
    "padded along rows": """map
  over i0 < s0, i1 < 19
  in x0: f32[16*s0]
  out x1: f32[19*s0] at 19*i0 + i1 = select(int(i1 - 2) >= 0 & int(i1 - 2) < 16, """
    "x0.f32[16*i0 + i1 - 2], 0.0)",
    "padded on all sides": """map
  over i0 < s0, i1 < s1 + 2, i2 < 10
  in x0: f32[8*s0*s1]
  out x1: f32[10*s0*s1 + 20*s0] at 10*i0*s1 + 20*i0 + 10*i1 + i2 = select(int(i1 - 1) >= 0 & """
    "int(i1 - 1) < int(s1) & (int(i2 - 1) >= 0 & int(i2 - 1) < 8), "
    "x0.f32[8*i0*s1 + 8*i1 + i2 - 9], 0.0)",
    "three parts joined": """map
  over i0 < 3*s0, i1 < 12
  in x0: f32[12*s0]
  in x1: f32[12*s0]
  in x2: f32[12*s0]
  out x3: f32[36*s0] at 12*i0 + i1 = select(int(i0) < int(s0), x0.f32[12*i0 + i1], """
    "select(int(i0) < int(2*s0), x1.f32[12*i0 - 12*s0 + i1], x2.f32[12*i0 - 24*s0 + i1]))",
    "enlarged twice": """map
  over i0 < s0, i1 < 24
  in x0: f32[12*s0]
  out x1: f32[24*s0] at 24*i0 + i1 = x0.f32[12*i0 + (i1 // 2)]""",
    "heads split": """map
  over i0 < s0, i1 < 40
  in x0: f32[40*s0]
  out x1: f32[40*s0] at 40*i0 + i1 = x0.f32[8*i0 + 8*s0*(i1 // 8) + (i1 % 8)]""",
    "reversed": """map
  over i0 < s0, i1 < 21
  in x0: f32[21*s0]
  out x1: f32[21*s0] at 21*i0 + i1 = x0.f32[21*i0 - i1 + 20]""",
    "stored elsewhere": """map
  over i0 < 6, i1 < s1
  in x0: f32[6*s1]
  out x1: f32[6*s1] at i0*s1 + i1 = x0.f32[i0*s1 + i1]
  out x2: f32[6*s1] at i0 + 6*i1 = x0.f32[i0*s1 + i1]""",
    "transposed": """map
  over i0 < 18, i1 < 21
  in x0: f32[378]
  in x1: f32[18]
  out x2: f32[378] at 21*i0 + i1 = x0.f32[i0 + 18*i1] + x1.f32[i0]""",
    "a long transpose": """map
  over i0 < 600, i1 < s1 + 16
  in x0: f32[600*s1 + 9600]
  out x1: f32[600*s1 + 9600] at i0*s1 + 16*i0 + i1 = x0.f32[i0 + 600*i1]""",
    "panels of columns": """map
  over i0 < 3, i1 < 7, i2 < 8
  in x0: f32[147]
  out x1: f32[168] at 56*i0 + 8*i1 + i2 = """
    "select(int(8*i0 + i2) < 21, x0.f32[56*i0 + i1 + 7*i2], 0.0)",
    "a position's bias": """map
  over i0 < 8, i1 < s1, i2 < s1
  in x0: f32[256]
  out x1: f32[8*s1*s1] at i0*s1*s1 + i1*s1 + i2 = """
    "x0.f32[8*[min(max(int(i1 - i2), 0) * 2, 31)] + i0]",
    "indices of indices": """map
  over i0 < s0, i1 < 9
  in x0: i32[s0]
  in x1: i32[6]
  in x2: f32[54]
  out x3: f32[9*s0] at 9*i0 + i1 = x2.f32[9*[x1.i32[[x0.i32[i0]]]] + i1]""",
    "gathered one by one": """map
  over i0 < s0, i1 < 7
  in x0: i32[7*s0]
  in x1: f32[6]
  out x2: f32[7*s0] at 7*i0 + i1 = x1.f32[[select(x0.i32[7*i0 + i1] < 0, """
    "x0.i32[7*i0 + i1] + 6, x0.i32[7*i0 + i1])]]",
}

_REDUCES = {
    "a row of three": """reduce
  over i0 < s0
  row r0 < 3
  in x0: f32[3*s0]
  p0 = max of x0.f32[3*i0 + r0]
  out x1: f32[s0] at i0 = p0.f32""",
    "rows of one": """reduce
  over i0 < s0
  row r0 < 1
  in x0: f32[s0]
  p0 = sum of x0.f32[i0 + r0]
  each x1: f32[s0] at i0 + r0 = x0.f32[i0 + r0] - p0.f32""",
    "windows at places that are looked up, below zero too": """reduce
  over i0 < 8
  row r0 < 4
  in x0: f32[8]
  in x1: f32[6]
  p0 = sum of x1.f32[min(max([i32(floor(x0.f32[i0] * 2.0))] + r0 - 1, 0), 5)]
  out x2: f32[8] at i0 = p0.f32""",
    "windows of channels": """reduce
  over i0 < s0, i1 < s1, i2 < 9, i3 < 20
  row r0 < 3, r1 < 5
  in x0: f32[180*s0*s1]
  in x1: f32[300]
  p0 = sum of select(int(i1 + r0 - 1) >= 0 & int(i1 + r0 - 1) < int(s1) & """
    "(int(i2 + r1 - 2) >= 0 & int(i2 + r1 - 2) < 9), "
    "x0.f32[180*i0*s1 + 180*min(max(i1 + r0 - 1, 0), s1 - 1) + "
    """20*min(max(i2 + r1 - 2, 0), 8) + i3], 0.0) * x1.f32[100*r0 + 20*r1 + i3]
  out x2: f32[180*s0*s1] at 180*i0*s1 + 180*i1 + 20*i2 + i3 = max(p0.f32, 0.0)""",
    "windows in channels": """reduce
  over i0 < 6, i1 < s1, i2 < 13
  row r0 < 3, r1 < 3
  in x0: f32[78*s1]
  p0 = max of select(int(i1 + r0 - 1) >= 0 & int(i1 + r0 - 1) < int(s1) & """
    "(int(i2 + r1 - 1) >= 0 & int(i2 + r1 - 1) < 13), "
    "x0.f32[13*i0*s1 + 13*min(max(i1 + r0 - 1, 0), s1 - 1) + "
    """min(max(i2 + r1 - 1, 0), 12)], -inf)
  out x1: f32[78*s1] at 13*i0*s1 + 13*i1 + i2 = p0.f32""",
    "windows with steps, some of them outside": """reduce
  over i0 < s1 + 3, i1 < 8
  row r0 < 4
  in x0: f32[8*s1]
  p0 = sum of select(int(2*i0 + 3*r0 - 5) >= 0 & int(2*i0 + 3*r0 - 5) < int(s1), """
    """x0.f32[8*min(max(2*i0 + 3*r0 - 5, 0), s1 - 1) + i1], 0.0)
  out x1: f32[8*s1 + 24] at 8*i0 + i1 = p0.f32""",
    "windows whose edges count": """reduce
  over i0 < s1, i1 < 8
  row r0 < 4
  in x0: f32[8*s1]
  p0 = max of select(int(i0 + r0 - 1) >= 0 & int(i0 + r0 - 1) < int(s1), """
    """x0.f32[8*min(max(i0 + r0 - 1, 0), s1 - 1) + i1], 0.0)
  out x1: f32[8*s1] at 8*i0 + i1 = p0.f32""",
    "windows whose edges are looked up": """reduce
  over i0 < 8
  row r0 < 4
  in x0: f32[8]
  in x1: f32[6]
  p0 = sum of select(int([i32(x0.f32[i0] * 4.0)] + r0 - 1) >= 0 & """
    "int([i32(x0.f32[i0] * 4.0)] + r0 - 1) < 6, "
    """x1.f32[min(max([i32(x0.f32[i0] * 4.0)] + r0 - 1, 0), 5)], 0.0)
  out x2: f32[8] at i0 = p0.f32""",
    "windows with corners cut": """reduce
  over i0 < s1, i1 < 8
  row r0 < 4, r1 < 2
  in x0: f32[8*s1]
  p0 = sum of select(int(i0 + r0 - 1) >= 0 & int(r0 + r1) < 4, """
    """x0.f32[8*min(max(i0 + r0 - 1, 0), s1 - 1) + i1], 0.0)
  out x1: f32[8*s1] at 8*i0 + i1 = p0.f32""",
    "one row": """reduce
  row r0 < 1003
  in x0: f32[1003]
  p0 = prod of x0.f32[r0] * 0.25 + 1.0
  p1 = min of x0.f32[r0] - p0.f32
  out x1: f32[1] at 0 = p1.f32 * p0.f32""",
    "integers": """reduce
  over i0 < s0
  row r0 < 22
  in x0: i32[22*s0]
  in x1: u32[22*s0]
  p0 = max of x0.i32[22*i0 + r0]
  p1 = min of x0.i32[22*i0 + r0]
  p2 = sum of x1.u32[22*i0 + r0]
  p3 = min of x1.u32[22*i0 + r0]
  out x2: i32[s0] at i0 = p0.i32 - p1.i32
  out x3: u32[s0] at i0 = p2.u32 * p3.u32""",
    "over the first axis": """reduce
  over i0 < 19
  row r0 < s1
  in x0: f32[19*s1]
  p0 = sum of x0.f32[i0 + 19*r0]
  p1 = max of x0.f32[i0 + 19*r0]
  out x1: f32[19] at i0 = p0.f32 / p1.f32""",
    "over the middle axis": """reduce
  over i0 < s0, i1 < 10
  row r0 < 6
  in x0: f32[60*s0]
  p0 = sum of exp(x0.f32[60*i0 + i1 + 10*r0])
  each x1: f32[60*s0] at 60*i0 + i1 + 10*r0 = exp(x0.f32[60*i0 + i1 + 10*r0]) / p0.f32""",
    "softmax of other powers": """reduce
  over i0 < s0
  row r0 < s1
  in x0: f32[s0*s1]
  p0 = max of x0.f32[i0*s1 + r0]
  p1 = sum of exp(x0.f32[i0*s1 + r0] - p0.f32)
  each x1: f32[s0*s1] at i0*s1 + r0 = exp(x0.f32[i0*s1 + r0] - p0.f32) / p1.f32
  each x2: f32[s0*s1] at i0 + r0*s0 = exp(x0.f32[i0*s1 + r0] - p0.f32) * 2.0
  out x3: f32[s0] at i0 = log(p1.f32) + p0.f32""",
    "an average without its border": """reduce
  over i0 < s0, i1 < 8
  row r0 < 3
  in x0: f32[8*s0]
  p0 = sum of select(int(i1 + r0 - 1) >= 0 & int(i1 + r0 - 1) < 8, x0.f32[8*i0 + i1 + r0 - 1], 0.0)
  p1 = sum of select(int(i1 + r0 - 1) >= 0 & int(i1 + r0 - 1) < 8, 1.0, 0.0)
  out x1: f32[8*s0] at 8*i0 + i1 = p0.f32 / p1.f32""",
    "rows of a table": """reduce
  over i0 < s0
  row r0 < 20
  in x0: i32[s0]
  in x1: f32[120]
  p0 = sum of x1.f32[20*[x0.i32[i0]] + r0]
  each x2: f32[20*s0] at 20*i0 + r0 = x1.f32[20*[x0.i32[i0]] + r0] - p0.f32""",
    "any and all": """reduce
  over i0 < s0
  row r0 < 9, r1 < 5
  in x0: bool[45*s0]
  p0 = max of i32(x0.bool[45*i0 + 5*r0 + r1])
  p1 = min of i32(x0.bool[45*i0 + 5*r0 + r1])
  out x1: bool[s0] at i0 = p0.i32 > 0
  out x2: bool[s0] at i0 = p1.i32 > 0""",
}


def _maps() -> dict[str, Map]:
    found = {name: parse_problem(text + "\n") for name, text in _MAPS.items()}
    return {name: problem for name, problem in found.items() if isinstance(problem, Map)}


def _reduces() -> dict[str, Reduce]:
    found = {name: parse_problem(text + "\n") for name, text in _REDUCES.items()}
    return {name: problem for name, problem in found.items() if isinstance(problem, Reduce)}


MAPS = _maps()
REDUCES = _reduces()
