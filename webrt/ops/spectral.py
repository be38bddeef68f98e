"""Windows of signals and the matrix from a spectrum to mel bands."""

from __future__ import annotations

import math

import numpy as np

from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr, call, f32
from webrt.ops.emit import Emitter, Operands, device_dtype
from webrt.ops.registry import Attr, operator
from webrt.ops.site import Inferred, Site, Tensor, numpy_dtype

_TYPE = Attr("output_datatype", 1)


def _dtype(site: Site) -> DType:
    """The dtype that is asked for: float32 as long as the model names none."""
    given = site.attributes.get("output_datatype", 1)
    return DType(given) if isinstance(given, str) else DType.F32


def _window(name: str, weights: tuple[float, ...]) -> None:
    """Register sum over j of weights[j] · cos(j · 2π · i / n)."""

    class Window:
        @staticmethod
        def infer(site: Site) -> tuple[Inferred, ...]:
            return (Inferred(_dtype(site), (site.scalar(0, "its length"),)),)

        @staticmethod
        def reference(site: Site, size: Tensor) -> tuple[Tensor, ...]:
            count = int(size.reshape(-1)[0])
            period = max(count if site.integer("periodic") else count - 1, 1)
            angle = np.arange(count) * (2 * np.pi / period)
            total = np.add.reduce([w * np.cos(j * angle) for j, w in enumerate(weights)])
            return (total.astype(numpy_dtype(_dtype(site))),)

        @staticmethod
        def lower(site: Site, emit: Emitter) -> None:
            count = site.scalar(0, "its length")
            period = ex.as_index(count if site.integer("periodic") else count - 1)
            whole = call("max", ex.cast(period, DType.F32), f32(1))

            def body(_: Operands, at: tuple[Dim, ...]) -> Expr:
                place = ex.cast(ex.as_index(at[0]), DType.F32)
                angle = call("mul", call("div", place, whole), f32(2 * math.pi))
                total: Expr = f32(weights[0])
                for j, weight in enumerate(weights[1:], 1):
                    wave = call("cos", call("mul", angle, f32(j)))
                    total = call("add", total, call("mul", wave, f32(weight)))
                return ex.cast(total, device_dtype(_dtype(site)))

            emit.map(body)

    operator(name, Attr("periodic", 1), _TYPE, since=17)(Window)


_window("HannWindow", (0.5, -0.5))
_window("HammingWindow", (25 / 46, -21 / 46))
_window("BlackmanWindow", (0.42, -0.5, 0.08))


@operator("MelWeightMatrix", _TYPE, since=17)
class MelWeightMatrix:
    """Triangles on the mel scale, [frequencies, bands]: a constant, as its inputs have to be."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        for j in range(5):
            site.constant(j, f"input {j}")
        bands, length = (int(site.constant(j, "a length").reshape(-1)[0]) for j in (0, 1))
        if bands < 0 or length < 1:
            raise site.shape_error("a number of bands and a length", f"{bands} and {length}")
        return (Inferred(_dtype(site), (length // 2 + 1, bands)),)

    @staticmethod
    def reference(site: Site, *inputs: Tensor) -> tuple[Tensor, ...]:
        bands, length = (int(a.reshape(-1)[0]) for a in inputs[:2])
        rate, lowest, highest = (float(a.reshape(-1)[0]) for a in inputs[2:])
        low, high = (2595 * math.log10(1 + hertz / 700) for hertz in (lowest, highest))
        mels = low + np.arange(bands + 2) * (high - low) / (bands + 2)
        hertz = 700 * (10 ** (mels / 2595) - 1)
        bins = ((length + 1) * hertz // rate).astype(np.int64)
        frequency = np.arange(length // 2 + 1)[:, None]
        left, centre, right = bins[:-2], bins[1:-1], bins[2:]
        rising = (frequency - left) / np.maximum(centre - left, 1)
        falling = (right - frequency) / np.maximum(right - centre, 1)
        found = np.where((frequency >= left) & (frequency <= centre), rising, 0.0)
        found = np.where((frequency == centre) & (centre == left), 1.0, found)
        found = np.where((frequency >= centre) & (frequency < right), falling, found)
        return (found.astype(numpy_dtype(_dtype(site))),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        raise site.unsupported("its inputs aren't constants")
