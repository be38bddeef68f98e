"""Images as tensors and tensors as images, by onnxruntime-web's names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from browsers import Performer

WIDTH, HEIGHT = 3, 2
PIXELS = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8)
PIXELS[..., 3] = 255  # a canvas multiplies colours with alpha, and loses what it can't divide

PREPARE = """
  const image = new ImageData(new Uint8ClampedArray(args.pixels), args.width, args.height);
  const told = (t) => ({type: t.type, dims: [...t.dims], data: [...t.data]});
"""


def run(browser: Performer, body: str, **more: Any) -> Any:
    given = {"pixels": PIXELS.reshape(-1).tolist(), "width": WIDTH, "height": HEIGHT, **more}
    return browser.run(f"async ({{Tensor}}, args) => {{{PREPARE}{body}}}", given)


def array(found: dict[str, Any]) -> np.ndarray[Any, Any]:
    return np.array(found["data"], found["type"]).reshape(found["dims"])


@pytest.mark.parametrize(
    ("options", "order"),
    [
        ({}, [0, 1, 2]),
        ({"tensorFormat": "RGBA"}, [0, 1, 2, 3]),
        ({"tensorFormat": "BGR", "norm": {"mean": 128, "bias": -127.5}}, [2, 1, 0]),
        ({"tensorFormat": "RBG", "norm": {"mean": [50, 60, 70], "bias": [1, 2, 3]}}, [0, 2, 1]),
        ({"tensorLayout": "NHWC"}, [0, 1, 2]),
        ({"dataType": "uint8", "tensorLayout": "NHWC"}, [0, 1, 2]),
    ],
)
def test_pixels_are_numbers(browser: Performer, options: Any, order: list[int]) -> None:
    found = run(
        browser, "return told(await Tensor.fromImage(image, args.options));", options=options
    )
    bytes_ = options.get("dataType") == "uint8"
    norm = options.get("norm", {})
    mean, bias = (
        np.broadcast_to(np.array(norm.get(key, default), np.float32), 3 if norm else 4)
        for key, default in (("mean", 1 if bytes_ else 255), ("bias", 0))
    )
    wanted = np.stack([(PIXELS[..., c] + bias[c]) / mean[c] for c in order])[None]
    if options.get("tensorLayout") == "NHWC":
        wanted = wanted.transpose(0, 2, 3, 1)
    made = array(found)
    assert made.shape == wanted.shape
    assert made.dtype == (np.uint8 if bytes_ else np.float32)
    np.testing.assert_allclose(made, wanted, rtol=1e-6)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("format", ["RGB", "RGBA", "BGR", "RBG"])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_there_and_back(browser: Performer, format: str, layout: str, dtype: str) -> None:
    body = """
      const {format, tensorLayout, dataType} = args;
      const there = await Tensor.fromImage(image, {tensorFormat: format, tensorLayout, dataType});
      const back = there.toImageData({format, tensorLayout});
      const shown = await Tensor.fromImage(there.toDataURL({format, tensorLayout}),
        {tensorFormat: "RGBA", tensorLayout: "NHWC", dataType: "uint8"});
      return {size: [back.width, back.height], data: [...back.data], shown: [...shown.data]};
    """
    found = run(browser, body, format=format, tensorLayout=layout, dataType=dtype)
    assert found["size"] == [WIDTH, HEIGHT]
    assert found["data"] == found["shown"] == PIXELS.reshape(-1).tolist()


def test_images_of_every_kind_and_size(browser: Performer) -> None:
    body = """
      const bitmap = await createImageBitmap(image);
      const canvas = Object.assign(document.createElement("canvas"), {width: 3, height: 2});
      canvas.getContext("2d").putImageData(image, 0, 0);
      const element = Object.assign(new Image(), {src: canvas.toDataURL()});
      await element.decode();
      const same = [];
      for (const source of [image, bitmap, canvas, element, element.src]) {
        same.push(told(await Tensor.fromImage(source)));
      }
      const larger = await Tensor.fromImage(image, {resizedWidth: 6, resizedHeight: 8});
      return {same, larger: [...larger.dims]};
    """
    found = run(browser, body)
    assert all(one == found["same"][0] for one in found["same"])
    assert found["larger"] == [1, 3, 8, 6]


def test_what_is_no_image_is_told(browser: Performer) -> None:
    body = """
      const flat = new Tensor("float32", [1, 2, 3, 4], [4]), four = flat.reshape([1, 4, 1, 1]);
      const tries = [() => Tensor.fromImage({}), () => Tensor.fromImage("data:image/png,none"),
        () => Tensor.fromImage(image, {tensorFormat: "HSV"}),
        () => Tensor.fromImage(image, {tensorLayout: "CHW"}),
        () => Tensor.fromImage(image, {dataType: "int8"}), () => flat.toImageData(),
        () => four.toImageData(), () => four.toDataURL()];
      const errors = [];
      for (const one of tries) {
        try { await one(); errors.push(null); } catch (e) { errors.push([e.name, e.message]); }
      }
      return errors;
    """
    found = run(browser, body)
    assert [name for name, _ in found] == ["UsageError"] * 8
    wanted = [
        "an image that is loaded", "can't be loaded", "'HSV'", "'CHW'", "'int8'",
        "expected NCHW with 3 channels for RGB, found [4]", "[1,4,1,1]", "[1,4,1,1]",
    ]  # fmt: skip
    for (_, message), part in zip(found, wanted, strict=True):
        assert part in message
