"""A session's device memory: the weights, the arena, and the buffers of inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping

from webrt import dims
from webrt.errors import DeviceError
from webrt.pack.format import Pack
from webrt.plan.memory import ALIGNMENT
from webrt.plan.plan import Home, Plan
from webrt.runtime.device import Buffer, Device, DeviceInfo, Slice


def aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def binding_size(size: int) -> int:
    """What a tensor of `size` bytes is bound as: whole vec4s, and never nothing."""
    return max(16, -(-size // 16) * 16)


def check_buffer(size: int, what: str, info: DeviceInfo) -> None:
    """Raise DeviceError for a buffer that is larger than the device has any."""
    if size > info.limits.max_buffer_size:
        raise DeviceError(
            f"{what} needs a buffer of {size} bytes, {info.adapter} has at most"
            f" {info.limits.max_buffer_size}; try smaller inputs"
        )


class Weights:
    """The constants: one buffer a shard, each tensor at an aligned offset of it.

    `kept` holds the bytes of those constants that are outputs of the model: the host copies them.
    """

    def __init__(self, pack: Pack, device: Device) -> None:
        self._pack = pack
        self._device = device
        self.slices: dict[int, Slice] = {}
        self.kept: dict[int, bytes] = {}
        self._outputs = {p.tensor for p in pack.plan.outputs}
        self._offsets, self._sizes = self._lay_out()
        for size in self._sizes:
            check_buffer(size, "a weight shard", device.info)

    def _lay_out(self) -> tuple[dict[int, int], list[int]]:
        offsets: dict[int, int] = {}
        sizes = [0] * len(self._pack.shards)
        order = sorted(self._pack.placements.items(), key=lambda p: (p[1].shard, p[1].offset))
        for index, place in order:
            offsets[index] = sizes[place.shard]
            sizes[place.shard] += aligned(binding_size(place.bytes))
        return offsets, sizes

    def upload(self, shard: int, data: memoryview) -> None:
        """Put a shard's tensors on the device; `data` is the whole file, checked."""
        if not self._sizes[shard]:
            return
        buffer = self._device.allocate(self._sizes[shard], f"weights {shard}")
        for index, place in self._pack.placements.items():
            if place.shard != shard:
                continue
            raw = data[place.offset : place.offset + place.bytes]
            if index in self._outputs:
                self.kept[index] = bytes(raw)
            if place.bytes % 4:
                raw = memoryview(bytes(raw) + bytes(-place.bytes % 4))
            if raw.nbytes:
                self._device.upload(buffer, self._offsets[index], raw)
            self.slices[index] = Slice(buffer, self._offsets[index], binding_size(place.bytes))


class Memory:
    """The buffers that a run writes; they grow when a larger shape comes and are never shrunk.

    `buffers` holds one for every input and output tensor, `arena` the one for all activations.
    """

    def __init__(self, plan: Plan, device: Device) -> None:
        self._device = device
        self._private = [i for i, t in enumerate(plan.tensors) if t.home is not Home.CONSTANT]
        self._homes = [t.home for t in plan.tensors]
        self.buffers: dict[int, Buffer] = {}
        self.arena: Buffer | None = None

    def reserve(self, sizes: Mapping[int, int], arena: int, share: bool) -> bool:
        """Make room for tensors of `sizes` bytes; returns whether any buffer was replaced.

        Limits are checked for all of them before the first is allocated.
        """
        wanted = {
            i: aligned(binding_size(sizes[i]))
            for i in self._private
            if not (share and self._homes[i] is Home.ARENA)
        }
        for index, size in wanted.items():
            check_buffer(size, f"tensor {index}", self._device.info)
        check_buffer(arena, "the arena", self._device.info)
        moved = False
        for index, size in wanted.items():
            old = self.buffers.get(index)
            if old is None or old.size < size:
                moved = self._release(self.buffers.pop(index, None)) or moved
                self.buffers[index] = self._device.allocate(size, self._homes[index].value)
        if share and arena and (self.arena is None or self.arena.size < arena):
            old, self.arena = self.arena, None
            moved = self._release(old) or moved
            self.arena = self._device.allocate(arena, "arena")
        return moved

    def _release(self, buffer: Buffer | None) -> bool:
        if buffer is None:
            return False
        self._device.free(buffer)
        return True

    def free(self) -> None:
        for buffer in self.buffers.values():
            self._device.free(buffer)
        self._release(self.arena)
        self.buffers, self.arena = {}, None


def tensor_bytes(plan: Plan, bindings: Mapping[str, int]) -> dict[int, int]:
    """Bytes of every tensor of the plan."""
    return {i: dims.evaluate(t.bytes, bindings) for i, t in enumerate(plan.tensors)}
