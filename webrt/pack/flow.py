"""The member `flow` of a manifest, written and read: how steps follow one another.

    {"run": [first, end]}
    {"host": "nonzero", "options": {…}, "inputs": [3], "outputs": [4], "symbols": ["s1"],
     "node": "…"}
    {"if": 5, "then": [item…], "else": [item…], "bound": [["s2", Dim, Dim]…], "node": "…"}
    {"need": [Dim, Dim], "node": "…"}
    {"loop": Dim or null, "most": n, "condition": tensor or null, "body": [item…],
     "symbol": "s3" or null, "node": "…"}

`webrt/plan/plan.py` tells what they mean. Runs cover the steps in order, each once. A tensor is
written before it is read and written once: each way through a branch writes for itself, a loop's
condition is written before the loop and in it, windows and rings are free. What the host reads is
an input or an output; a condition is bool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from webrt import dims
from webrt.dtypes import DType
from webrt.pack.field import Field
from webrt.plan.host import HOST_OPS
from webrt.plan.plan import Branch, Flow, Home, HostStep, Item, Loop, Need, Run, Step, Tensor

MAX_ITEMS = 1 << 14
MAX_DEPTH = 8
MAX_TURNS = 1 << 20
MAX_TENSORS = 8
_KINDS = ("run", "host", "if", "loop", "need")


def flow_json(flow: Flow) -> list[dict[str, object]]:
    """The member `flow` of a plan that has one."""
    return [_item_json(item) for item in flow]


def _item_json(item: Item) -> dict[str, object]:
    match item:
        case Run(first, end):
            return {"run": [first, end]}
        case HostStep():
            return {
                "host": item.op,
                "options": dict(item.options),
                "inputs": list(item.inputs),
                "outputs": list(item.outputs),
                "symbols": list(item.symbols),
                "node": item.node,
            }
        case Branch():
            return {
                "if": item.condition,
                "then": flow_json(item.then),
                "else": flow_json(item.other),
                "bound": [[n, dims.to_json(a), dims.to_json(b)] for n, a, b in item.bound],
                "node": item.node,
            }
        case Need(left, right, node):
            return {"need": [dims.to_json(left), dims.to_json(right)], "node": node}
    return {
        "loop": None if item.trips is None else dims.to_json(item.trips),
        "most": item.most,
        "condition": item.condition,
        "body": flow_json(item.body),
        "symbol": item.symbol,
        "node": item.node,
    }


@dataclass(slots=True)
class FlowReader:
    """Reads the flow and holds the steps to it; `steps` is the field that they stand in.

    `bound` are the symbols that inputs give, `check` holds a step to its kernel.
    """

    steps: Field
    listed: Sequence[Step]
    tensors: Sequence[Tensor]
    known: frozenset[str]
    bound: set[str]
    check: Callable[[Field, Step], None]
    fields: list[Field] = field(default_factory=list)
    next: int = 0
    items: int = 0
    loops: int = 0
    inside: list[int] = field(default_factory=list)
    readable: set[int] = field(default_factory=set)
    written: set[int] = field(default_factory=set)

    def read(self, root: Field) -> Flow:
        """The flow of a manifest, empty where it has none."""
        self.fields = self.steps.items()
        free = (Home.INPUT, Home.CONSTANT, Home.WINDOW)
        rings = {t.window.ring for t in self.tensors if t.window is not None}
        self.readable = {i for i, t in enumerate(self.tensors) if t.home in free} | rings
        self.written = {i for i in self.readable if self.tensors[i].window is None} - rings
        flow: Flow = ()
        if root.has("flow"):
            flow = self.flow(root.member("flow"), 0)
        else:
            self.run(0, len(self.listed))
        if self.next != len(self.listed):
            raise root.member("flow").fail(f"ends at step {self.next} of {len(self.listed)}")
        for index, tensor in enumerate(self.tensors):
            if tensor.home is Home.OUTPUT and index not in self.written:
                raise self.steps.fail(f"no step writes tensor {index}, an output")
        return flow

    def flow(self, field: Field, depth: int) -> Flow:
        if depth > MAX_DEPTH:
            raise field.fail(f"is nested deeper than {MAX_DEPTH}")
        return tuple(self.item(f, depth) for f in field.items(0, MAX_ITEMS))

    def item(self, field: Field, depth: int) -> Item:
        self.items += 1
        if self.items > MAX_ITEMS:
            raise field.fail(f"is one of more than {MAX_ITEMS} items")
        kind = next((k for k in _KINDS if field.has(k)), None)
        match kind:
            case "run":
                return self.run_item(field.member("run"))
            case "host":
                return self.host(field)
            case "if":
                return self.branch(field, depth)
            case "loop":
                return self.loop(field, depth)
            case "need":
                left, right = field.member("need").items(2, 2)
                return Need(left.dim(self.known), right.dim(self.known), self.node(field))
        raise field.expected("a run, a host step, an if, a loop or a need")

    def run_item(self, field: Field) -> Run:
        first, end = field.items(2, 2)
        run = Run(
            first.integer(self.next, self.next),
            end.integer(self.next, len(self.listed)),
        )
        self.run(run.first, run.end)
        return run

    def run(self, first: int, end: int) -> None:
        for index in range(first, end):
            step, item = self.listed[index], self.fields[index]
            for position, tensor in enumerate((*step.inputs, *step.outputs)):
                window = self.tensors[tensor].window
                if window is not None and window.loop not in (None, *self.inside):
                    raise item.fail(f"tensor {tensor} is a window of a loop that doesn't hold this")
                member = "inputs" if position < len(step.inputs) else "outputs"
                place = position - (0 if member == "inputs" else len(step.inputs))
                if member == "inputs" and tensor not in self.readable:
                    path = item.member("inputs").items()[place]
                    raise path.fail(f"tensor {tensor} is read before a step writes it")
                if member == "outputs":
                    self.write(tensor, item.member("outputs").items()[place])
            self.check(item, step)
        self.next = end

    def write(self, tensor: int, field: Field) -> None:
        if tensor in self.written:
            raise field.fail(f"tensor {tensor} can't be written here")
        self.readable.add(tensor)
        if self.tensors[tensor].window is None:
            self.written.add(tensor)

    def host(self, field: Field) -> HostStep:
        name = field.member("host").choice(*HOST_OPS)
        op = HOST_OPS[name]
        options = field.member("options").json_object()
        for key in op.options:
            value = field.member("options").member(key)
            if isinstance(value.value, bool) or not isinstance(value.value, int | float):
                raise value.expected("a number")
        reads = field.member("inputs").items(*op.reads)
        inputs = tuple(self.host_reads(f) for f in reads)
        symbols = tuple(self.symbol(f) for f in field.member("symbols").items(*op.binds))
        outputs = []
        for item in field.member("outputs").items(*op.writes):
            tensor = item.integer(0, len(self.tensors) - 1)
            if self.tensors[tensor].home is Home.WINDOW:
                raise item.fail(f"tensor {tensor} can't be written here")
            self.write(tensor, item)
            outputs.append(tensor)
        kept = tuple((k, v) for k, v in options.items() if isinstance(v, int | float))
        return HostStep(name, kept, inputs, tuple(outputs), symbols, self.node(field))

    def host_reads(self, field: Field) -> int:
        tensor = field.integer(0, len(self.tensors) - 1)
        home = self.tensors[tensor].home
        if home not in (Home.INPUT, Home.OUTPUT):
            raise field.fail(f"tensor {tensor} is {home.value}, which the host doesn't read")
        if tensor not in self.readable:
            raise field.fail(f"tensor {tensor} is read before a step writes it")
        return tensor

    def condition(self, field: Field) -> int:
        tensor = self.host_reads(field)
        if self.tensors[tensor].dtype is not DType.BOOL:
            raise field.fail(f"expected a tensor of bool, found {self.tensors[tensor].dtype}")
        return tensor

    def symbol(self, field: Field) -> str:
        name = field.choice(*sorted(self.known))
        if name in self.bound:
            raise field.fail(f"{name} has a value already")
        self.bound.add(name)
        return name

    def branch(self, field: Field, depth: int) -> Branch:
        condition = self.condition(field.member("if"))
        readable, written = set(self.readable), set(self.written)
        then = self.flow(field.member("then"), depth + 1)
        first, self.readable = self.readable, set(readable)
        done, self.written = self.written, set(written)
        other = self.flow(field.member("else"), depth + 1)
        self.readable &= first
        self.written |= done
        bound = []
        for item in field.member("bound").items(0, len(self.known)):
            name, left, right = item.items(3, 3)
            bound.append((self.symbol(name), left.dim(self.known), right.dim(self.known)))
        return Branch(condition, then, other, tuple(bound), self.node(field))

    def loop(self, field: Field, depth: int) -> Loop:
        trips = None if field.member("loop").value is None else field.member("loop").dim(self.known)
        most = field.member("most").integer(1, MAX_TURNS)
        condition = None
        if field.member("condition").value is not None:
            condition = self.condition(field.member("condition"))
            self.written.discard(condition)
        elif trips is None:
            raise field.fail("expected a number of turns or a condition")
        number, self.loops = self.loops, self.loops + 1
        readable = set(self.readable)
        self.inside.append(number)
        body = self.flow(field.member("body"), depth + 1)
        self.inside.pop()
        self.readable = readable
        if condition is not None and condition not in self.written:
            raise field.fail(f"its body doesn't write tensor {condition}, its condition")
        symbol = None
        if field.member("symbol").value is not None:
            symbol = self.symbol(field.member("symbol"))
        return Loop(trips, most, condition, body, symbol, self.node(field))

    def node(self, field: Field) -> str:
        return field.member("node").text(1 << 16)


def check_windows(field: Field, tensors: Sequence[Tensor]) -> None:
    """Hold every window to its ring: an arena tensor of two dims and the same storage."""
    for index, tensor in enumerate(tensors):
        if tensor.window is None:
            continue
        place = Field(None, f"{field.path}[{index}].window", field.file)
        ring = tensors[tensor.window.ring] if tensor.window.ring < len(tensors) else None
        if ring is None or ring.home is not Home.ARENA or len(ring.shape) != 2:
            raise place.fail(f"tensor {tensor.window.ring} is no ring")
        if ring.dtype.storage is not tensor.dtype.storage:
            raise place.fail(
                f"its ring is of {ring.dtype.storage}, expected {tensor.dtype.storage}"
            )
