"""The loop IR interpreter: what it computes, and what it refuses that a device would let pass."""

from __future__ import annotations

import numpy as np
import pytest

from webrt.kernel.interpret import RaceError, run
from webrt.kernel.text import parse_kernel

HEAD = """\
kernel main(x0: f32, x1: f32; s0)
  workgroup 4, 1, 1
  grid ((s0 + 3) // 4), 1, 1
  shared parts: f32[4]
  let row = int(4*wg0 + lane0)
"""


def execute(body: str, size: int = 6, head: str = HEAD) -> np.ndarray:
    """x1 after the kernel has run on x0 = 0, 1, 2 …"""
    data = np.arange(size, dtype=np.float32)
    poison = np.full(size, np.nan, np.float32)
    return run(parse_kernel(head + body), [data, poison], {"s0": size})[1]


def test_a_guarded_map() -> None:
    body = "  if int(row) < int(s0) {\n    x1[s0 - row - 1] = x0.f32[row] * 2.0\n  }\n"
    assert execute(body).tolist() == [10, 8, 6, 4, 2, 0]


def test_a_loop_of_a_length_of_its_own_in_each_lane() -> None:
    body = """\
      var sum = 0.0
      for e = 0 to row + 1 step 1 {
        sum := sum.f32 + x0.f32[e]
      }
      if int(row) < int(s0) {
        x1[row] = sum.f32
      }
    """
    assert execute(body).tolist() == [0, 1, 3, 6, 10, 15]


def test_both_sides_of_a_branch() -> None:
    body = """\
      var value = 1.0
      if int((row % 2)) == 0 {
        value := 5.0
      } else {
        value := value.f32 + 1.0
      }
      if int(row) < int(s0) {
        x1[row] = value.f32
      }
    """
    assert execute(body).tolist() == [5, 2, 5, 2, 5, 2]


def test_lanes_meet_in_workgroup_memory() -> None:
    body = """\
      parts[lane0] = x0.f32[row]
      barrier
      x1[row] = parts.f32[3 - lane0]
    """
    assert execute(body, 8).tolist() == [3, 2, 1, 0, 7, 6, 5, 4]


def test_four_lanes() -> None:
    head = HEAD.replace("x0: f32, x1: f32", "x0: f32x4, x1: f32x4")
    body = """\
      if int(row) < 2 {
        let value = x0.f32x4[4*row]
        x1[4*row] = vec4(lane3(value.f32x4), sum4(value.f32x4), 1.0, 2.0) * splat(2.0) + 1.0
      }
    """
    expected = [7, 13, 3, 5, 15, 45, 3, 5]
    assert execute(body, 8, head).tolist() == expected


def test_loads_out_of_range_are_clamped() -> None:
    body = "  if int(row) < int(s0) {\n    x1[row] = x0.f32[row*100 - 50]\n  }\n"
    assert execute(body).tolist() == [0, 5, 5, 5, 5, 5]


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        ("  x1[row] = 1.0\n", IndexError, "x1: a store at 7 of 6"),
        ("  x1[row - 1] = 1.0\n", IndexError, "x1: a store at 6 of 6"),
        ("  parts[row] = 1.0\n", IndexError, "parts\\[row\\] is out of range"),
        ("  x1[0] = f32(int(row))\n", RaceError, "store different values in one place"),
        (
            "  parts[lane0] = 1.0\n  x1[0] = parts.f32[0]\n",
            RaceError,
            "parts is loaded where another lane has stored",
        ),
        (
            "  let other = parts.f32[3 - lane0]\n  parts[lane0] = 1.0\n",
            RaceError,
            "parts is stored where another lane has loaded",
        ),
        (
            "  if int(row) < int(s0) {\n    barrier\n  }\n",
            ValueError,
            "a barrier that only some lanes of a workgroup meet",
        ),
    ],
)
def test_what_it_refuses(body: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        execute(body)


def test_constants_are_read_only() -> None:
    head = HEAD.replace("x1: f32", "x1: readonly f32")
    with pytest.raises(ValueError, match="x1 is read-only"):
        execute("  x1[0] = 1.0\n", 6, head)


def test_lanes_may_store_the_same_value_in_one_place() -> None:
    assert execute("  x1[0] = 3.0\n")[0] == 3


def test_an_endless_loop_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webrt.kernel.interpret.MAX_STEPS", 100)
    with pytest.raises(RuntimeError, match="the loop over e doesn't end"):
        execute("  for e = 0 to 1000 step 1 {\n    barrier\n  }\n")
