"""A session's device memory: the weights, the arena, and the buffers of inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping

from webrt.errors import DeviceError
from webrt.pack.format import Pack, Packer, Placement
from webrt.plan.memory import ALIGNMENT
from webrt.plan.plan import Home, Plan
from webrt.runtime.arrays import widened
from webrt.runtime.device import Buffer, Device, DeviceInfo, Dispatch, Pipeline, Slice
from webrt.runtime.kernels import Kernels, PanelCode, direct_constants, panels_of


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


def check_total(size: int, what: str, info: DeviceInfo) -> None:
    """Raise DeviceError where all buffers together are more than the device has."""
    most = info.limits.max_total_size
    if most is not None and size > most:
        raise DeviceError(
            f"{what} of {size} bytes in all pass the {most} that {info.adapter} has;"
            " try smaller inputs, or a GPU"
        )


def stored_bytes(place: Placement, data: memoryview) -> memoryview:
    """A constant as the device stores it, of its shard's bytes."""
    raw = data[place.offset : place.offset + place.bytes]
    return widened(raw) if place.halves else raw


class Weights:
    """The constants: one buffer a shard, each tensor at an aligned offset of it.

    On a wasm device only those that steps read as they are; `panels` holds the others, by tensor
    and packer, each in a buffer of its own. `kept` holds the bytes of those constants that are
    outputs of the model: the host copies them. `total` counts all that stays on the device.
    """

    def __init__(self, pack: Pack, device: Device, kernels: Kernels) -> None:
        self._pack = pack
        self._device = device
        self._kernels = kernels
        self.slices: dict[int, Slice] = {}
        self.panels: dict[tuple[int, int], Slice] = {}
        self.kept: dict[int, bytes] = {}
        self._outputs = {p.tensor for p in pack.plan.outputs}
        self._packers = panels_of(pack, device.info)
        self._offsets, self._sizes = self._lay_out()
        for size in self._sizes:
            check_buffer(size, "a weight shard", device.info)
        self.total = sum(self._sizes) + kernels.scratch * device.info.threads
        for packers in self._packers.values():
            self.total += sum(aligned(binding_size(p.bytes)) for p in packers.values())
        largest = max((pack.placements[t].held for t in self._packers), default=0)
        check_total(self.total + aligned(binding_size(largest)), "weights", device.info)

    def _lay_out(self) -> tuple[dict[int, int], list[int]]:
        offsets: dict[int, int] = {}
        sizes = [0] * len(self._pack.shards)
        direct = direct_constants(self._pack, self._device.info)
        order = sorted(self._pack.placements.items(), key=lambda p: (p[1].shard, p[1].offset))
        for index, place in order:
            if index in direct:
                offsets[index] = sizes[place.shard]
                sizes[place.shard] += aligned(binding_size(place.held))
        return offsets, sizes

    def upload(self, shard: int, data: memoryview) -> None:
        """Put a shard's tensors on the device; `data` is the whole file, checked."""
        size = self._sizes[shard]
        buffer = self._device.allocate(size, f"weights {shard}") if size else None
        for index, place in self._pack.placements.items():
            if place.shard != shard:
                continue
            raw = stored_bytes(place, data)
            if index in self._outputs:
                self.kept[index] = bytes(raw)
            if raw.nbytes % 4:
                raw = memoryview(bytes(raw) + bytes(-raw.nbytes % 4))
            if index in self._offsets:
                assert buffer is not None
                if raw.nbytes:
                    self._device.upload(buffer, self._offsets[index], raw)
                self.slices[index] = Slice(buffer, self._offsets[index], binding_size(place.held))
            if index in self._packers:
                packers = self._packers[index]
                pipelines = {number: self._kernels.packers[number] for number in packers}
                self.pack_constant(index, raw, packers, pipelines)

    def pack_constant(
        self,
        index: int,
        raw: memoryview,
        packers: Mapping[int, Packer | PanelCode],
        pipelines: Mapping[int, Pipeline],
    ) -> None:
        """Make panels of a constant's bytes, which are on the device only meanwhile."""
        device = self._device
        made = {
            number: device.allocate(aligned(binding_size(packer.bytes)), f"panels of {index}")
            for number, packer in packers.items()
        }
        symbols = device.allocate(16, "symbols")
        given = device.allocate(aligned(binding_size(raw.nbytes)), f"tensor {index}")
        device.upload(given, 0, raw)
        dispatches = []
        for number, packer in packers.items():
            panel = Slice(made[number], 0, binding_size(packer.bytes))
            slices = (Slice(given, 0, binding_size(raw.nbytes)), panel)
            dispatches.append(Dispatch(pipelines[number], slices, (packer.units, 1, 1)))
            self.panels[index, number] = panel
        recording = device.record(dispatches, symbols)
        device.replay(recording)
        device.discard(recording)
        device.free(given)
        device.free(symbols)

    def lacks(self, index: int) -> bool:
        """Whether a tensor is a constant that is here in panels only."""
        return index in self._pack.placements and index not in self.slices

    def keep(self, index: int, raw: memoryview) -> None:
        """Put a constant on the device as it is."""
        size = binding_size(raw.nbytes)
        buffer = self._device.allocate(aligned(size), f"tensor {index}")
        self._device.upload(buffer, 0, memoryview(bytes(raw).ljust(-(-raw.nbytes // 4) * 4, b"\0")))
        self.slices[index] = Slice(buffer, 0, size)

    def of(self, tensor: int, packer: int | None) -> Slice:
        """What a step reads of a constant: the tensor itself, or what a packer made of it."""
        return self.slices[tensor] if packer is None else self.panels[tensor, packer]


class Memory:
    """The buffers that a run writes; they grow when a larger shape comes and are never shrunk.

    `buffers` holds one for every input and output tensor, `arenas` one for the activations of each
    epoch.
    """

    def __init__(self, plan: Plan, device: Device) -> None:
        self._device = device
        self._homes = [t.home for t in plan.tensors]
        self.buffers: dict[int, Buffer] = {}
        self.arenas: dict[int, Buffer] = {}

    def reserve(
        self, epoch: int, sizes: Mapping[int, int], arena: int, share: bool, held: int
    ) -> bool:
        """Make room for the tensors of an epoch, of `sizes` bytes, and an arena of `arena` bytes.

        Returns whether any buffer was replaced. Limits are checked for all of them before the first
        is allocated; `held` bytes of the device are taken by others. Where `share` is false, each
        tensor gets a buffer.
        """
        wanted = {
            index: aligned(binding_size(size))
            for index, size in sizes.items()
            if not (share and self._homes[index] is Home.ARENA)
        }
        for index, size in wanted.items():
            check_buffer(size, f"tensor {index}", self._device.info)
        arena = arena if share else 0
        check_buffer(arena, "the arena", self._device.info)
        self._check_total(epoch, wanted, arena, held)
        grown = [i for i, size in wanted.items() if self._size(self.buffers.get(i)) < size]
        moved = False
        for index in grown:
            moved = self._release(self.buffers.pop(index, None)) or moved
        if self._size(self.arenas.get(epoch)) < arena:
            moved = self._release(self.arenas.pop(epoch, None)) or moved
            self.arenas[epoch] = self._device.allocate(arena, "arena")
        for index in grown:
            self.buffers[index] = self._device.allocate(wanted[index], self._homes[index].value)
        return moved

    def _check_total(self, epoch: int, wanted: Mapping[int, int], arena: int, held: int) -> None:
        sizes = {index: buffer.size for index, buffer in self.buffers.items()}
        for index, size in wanted.items():
            sizes[index] = max(size, sizes.get(index, 0))
        arenas = {number: buffer.size for number, buffer in self.arenas.items()}
        arenas[epoch] = max(arena, arenas.get(epoch, 0))
        total = held + sum(sizes.values()) + sum(arenas.values())
        check_total(total, "weights, inputs, outputs and activations", self._device.info)

    def _size(self, buffer: Buffer | None) -> int:
        return 0 if buffer is None else buffer.size

    def _release(self, buffer: Buffer | None) -> bool:
        if buffer is None:
            return False
        self._device.free(buffer)
        return True

    def free(self) -> None:
        for buffer in (*self.buffers.values(), *self.arenas.values()):
            self._device.free(buffer)
        self.buffers, self.arenas = {}, {}
