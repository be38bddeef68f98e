"""Cases of ONNX's backend suites in browsers: at least 300, of every operator, in a few pages."""

from __future__ import annotations

import base64
import collections
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backend import Packed, assert_similar, pack_case
from browsers import Performer
from onnx_cases import Case, all_cases
from test_models import from_json

RUN = """async ({InferenceSession, decodeAll, encodeAll}, {cases, options}) => {
  const results = {};
  for (const {name, url, feeds} of cases) {
    try {
      const session = await InferenceSession.create(url, options);
      results[name] = {outputs: encodeAll(await session.run(decodeAll(feeds)))};
      await session.release();
    } catch (error) {
      results[name] = {error: `${error.name}: ${error.message}`};
    }
  }
  return results;
}"""

AT_LEAST = 300
EACH = 3
"""Cases of each operator, where it has so many."""
PAGE = 60
"""Cases a page, so that a page that dies tells which ones it had."""
Ready = list[tuple[Case, Packed]]


def chosen(each: int) -> list[Case]:
    """The last cases of each operator that hold no other: later ones are the richer ones."""
    found: dict[str, list[Case]] = collections.defaultdict(list)
    for case in all_cases():
        if case.suite == "node" and not case.reasons and len(case.operators) == 1:
            found["".join(case.operators)].append(case)
    return [case for name in sorted(found) for case in found[name][-each:]]


@pytest.fixture(scope="module")
def ready(packs: Path) -> Ready:
    """The cases as packs that the site serves; those that are folded away have nothing to run."""
    (packs / "backend").mkdir(exist_ok=True)
    made = [(c, pack_case(c, packs / "backend" / c.name)) for c in chosen(EACH)]
    return [(case, packed) for case, packed in made if not packed.is_folded]


def pages(ready: Ready) -> Iterator[Ready]:
    for first in range(0, len(ready), PAGE):
        yield ready[first : first + PAGE]


def run(ready: Ready, browser: Performer, options: dict[str, Any]) -> list[str]:
    """Run the cases in a browser; gives what is wrong, a line for each."""
    wrong: list[str] = []
    for part in pages(ready):
        cases = [
            {"name": c.name, "url": f"/packs/backend/{c.name}", "feeds": _feeds(c, p)}
            for c, p in part
        ]
        args = {"cases": cases, "options": options}
        results = browser.run(RUN, args, timeout=240)
        for case, _ in part:
            result = results[case.name]
            try:
                assert "error" not in result, result["error"]
                for info, wanted in zip(case.model.graph.output, case.data[0][1], strict=False):
                    found = from_json(result["outputs"][info.name])
                    assert_similar(found, wanted, case, info.name)
            except AssertionError as error:
                wrong.append(f"{case.id}: {' '.join(str(error).split())[:300]}")
    return wrong


def _feeds(case: Case, packed: Packed) -> dict[str, Any]:
    given = {n: a for n, a in case.feeds().items() if n not in packed.constants}
    return {
        name: {
            "type": array.dtype.name,
            "dims": list(array.shape),
            "base64": base64.b64encode(np.ascontiguousarray(array).tobytes()).decode(),
        }
        for name, array in given.items()
    }


def test_at_least_300_cases_are_chosen(ready: Ready) -> None:
    assert len(ready) >= AT_LEAST


def test_cases_on_the_cpu_in_chromium(ready: Ready, isolated: Performer) -> None:
    assert not run(ready, isolated, {"device": "wasm", "threads": 1})


def test_cases_on_the_cpu_in_firefox(ready: Ready, firefox: Performer) -> None:
    assert not run(ready[::2], firefox, {"device": "wasm", "threads": 1, "relaxedSimd": False})


def test_cases_on_webgpu_in_chromium(ready: Ready, chromium: Performer) -> None:
    """Every third of them: SwiftShader takes long to compile."""
    assert not run(ready[::3], chromium, {"device": "webgpu"})
