"""If, Loop and Scan: the front end builds their graphs (`frontend/control.py`); their names."""

from __future__ import annotations

from typing import NoReturn

from webrt.ops.compose import Make, composite
from webrt.ops.registry import Attr
from webrt.ops.site import Site

CONTROL = ("If", "Loop", "Scan")


def _by_the_front_end(site: Site, make: Make) -> NoReturn:
    raise AssertionError(f"{site.op} is built by the front end")


composite("If", Attr("then_branch"), Attr("else_branch"))(_by_the_front_end)
composite("Loop", Attr("body"))(_by_the_front_end)
composite(
    "Scan", Attr("body"), Attr("num_scan_inputs"), Attr("directions", until=8),
    Attr("scan_input_axes", since=9), Attr("scan_input_directions", since=9),
    Attr("scan_output_axes", since=9), Attr("scan_output_directions", since=9), since=8,
)(_by_the_front_end)  # fmt: skip
