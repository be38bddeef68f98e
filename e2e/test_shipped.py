"""Records in a pack: what one visitor's page found serves the next one at once, without a trial."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from browsers import Chromium
from sample_pack import write_sample
from site_server import Site
from test_player import expected, rows

from webrt.pack.format import MANIFEST, RECORDS
from webrt.pack.write import seal

TUNE = """async ({InferenceSession, Tensor}, {url, ids, options}) => {
  const {Records, Store, deviceKey} = await import("/web/records.js");
  const events = [];
  const session = await InferenceSession.create(url, {
    ...options, onProgress: (p) => p.status === "tune" && events.push(p) });
  const feeds = {
    ids: new Tensor("int64", ids.flat(), [ids.length, ids[0].length]),
    scale: new Tensor("float32", [1, 2, 3, 4], [4]),
  };
  const loaded = session.compiledKernels;
  await session.run(feeds);
  if (options.tune) await session.tuned;
  const outputs = await session.run(feeds);
  const records = new Records();
  const store = await Store.open();
  for (const one of await store.load(await deviceKey(session.deviceInfo))) records.add(one);
  await session.release();
  return {loaded, events, records: records.toJson(),
    outputs: Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => (
      [name, {type: tensor.type, dims: tensor.dims, data: Array.from(tensor.data, Number)}])))};
}"""

IDS = rows(2, 33)


def ship(folder: Path, records: dict[str, Any]) -> None:
    """The sample pack with records that travel along."""
    write_sample(folder)
    data = json.dumps(records).encode()
    (folder / RECORDS).write_bytes(data)
    body = json.loads((folder / MANIFEST).read_bytes())
    del body["sha256"]
    digest = hashlib.sha256(data).hexdigest()
    body["records"] = {"file": RECORDS, "bytes": len(data), "sha256": digest}
    (folder / MANIFEST).write_bytes(seal(body))


@pytest.mark.parametrize("kind", ["webgpu", "wasm"])
def test_what_one_visitor_found_serves_the_next(
    chromium: Chromium, site: Site, packs: Path, sample: str, wheel: str, kind: str
) -> None:
    first_context, second_context = (chromium.browser.new_context() for _ in range(2))
    options = {"device": kind}
    tuning = {"tune": "background", "budget": 4, "pyodide": "/pyodide/", "wheel": wheel,
              "_trials": {"pause": 1}}  # fmt: skip
    first = Chromium(site, first_context).run(
        TUNE, {"url": sample, "ids": IDS, "options": options | tuning}
    )
    assert first["outputs"] == expected(IDS)
    served = [r for r in first["records"]["records"] if any("code" in t for t in r["trials"])]
    assert served
    name = f"shipped-{kind}"
    ship(packs / name, first["records"])
    site.requests.clear()
    second = Chromium(site, second_context).run(
        TUNE, {"url": f"/packs/{name}", "ids": IDS, "options": options}
    )
    assert second["outputs"] == expected(IDS)
    assert second["events"] == []
    assert second["loaded"] > first["loaded"]
    assert [r for r in site.requests if r.endswith(RECORDS)]
    assert not [r for r in site.requests if "pyodide" in r or r.endswith(".whl")]
    (packs / name / RECORDS).write_bytes(b"{}")  # no longer what the manifest says
    third_context = chromium.browser.new_context()
    third = Chromium(site, third_context).run(
        TUNE, {"url": f"/packs/{name}", "ids": IDS, "options": options}
    )
    assert third["outputs"] == expected(IDS)  # the pack's own kernels serve
    assert third["loaded"] == first["loaded"]
    assert [e["state"] for e in third["events"]] == ["failed"]
    for context in (first_context, second_context, third_context):
        context.close()
