"""The plan of a graph that decides something while it runs: runs of steps, and what lies between.

A graph's nodes are cut at those that are no kernels: branches, loops, host steps. What lies between
two of them is lowered and fused as a program of its own, whose inputs and outputs are tensors of
the plan; so is what lies in branches and bodies. A node goes into the first run in which all that
it reads is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Graph, Node, Value, binds, subgraphs
from webrt.graph.program import ProblemNode, Program
from webrt.kernel import expr as ex
from webrt.kernel.expr import Load
from webrt.kernel.problem import Map, Operand, Output, Problem
from webrt.ops.dynamic import host_reads, nms_options
from webrt.ops.flow import graph_of, pitch_of
from webrt.ops.intervals import Interval
from webrt.ops.site import Site
from webrt.passes.assemble import Built, Table, device_dtype, stored
from webrt.passes.counters import counters
from webrt.passes.fuse import fuse
from webrt.passes.halves import store_halves
from webrt.passes.lower import lower
from webrt.passes.rewrite import substituted
from webrt.passes.spans import tell_spans
from webrt.plan import plan as p
from webrt.plan.plan import Branch, Flow, Home, HostStep, Item, Need, Plan, Port, Run, Step

HOST_NODES = {"NonZero": "nonzero", "NonMaxSuppression": "nms", "Different": "unique"}


def is_structural(node: Node) -> bool:
    """Whether a node is no kernel."""
    return bool(subgraphs(node)) or node.op in ("Need", "Values") or node.op in HOST_NODES


def has_flow(graph: Graph) -> bool:
    return any(is_structural(n) for n in graph.nodes)


def build_flow(graph: Graph) -> Built:
    """The plan of a graph with branches, loops or host steps. Raises what lowering raises."""
    return _Builder(graph).built()


@dataclass(slots=True)
class _Builder:
    graph: Graph
    table: Table = field(default_factory=Table)
    problems: dict[Problem, int] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    facts: dict[Value, Interval] = field(default_factory=dict)
    ranges: dict[Value, Interval] = field(default_factory=dict)
    longest: dict[str, int] = field(default_factory=dict)
    hosts: dict[Value, int] = field(default_factory=dict)
    final: dict[Value, int] = field(default_factory=dict)
    conditions: dict[int, int] = field(default_factory=dict)
    rings: dict[int, list[int]] = field(default_factory=dict)
    bound: set[str] = field(default_factory=set)
    loops: int = 0

    def built(self) -> Built:
        graph = self.graph
        for value in graph.inputs:
            self.table.add(value, Home.INPUT)
        ids = [s.id for s in graph.symbols]
        shown = {s for v in graph.inputs for d in v.shape for s in dims.free_symbols(d)}
        self.bound = {s for s in ids if s in shown}
        targets = {}
        for value in dict.fromkeys(graph.outputs):
            if value.data is not None:
                self.table.add(value, Home.CONSTANT)
            elif value not in graph.inputs:
                targets[self.table.new(value, Home.OUTPUT)] = value
        self.final = {value: tensor for tensor, value in targets.items()}
        flow = self.flow(graph, targets)
        outputs = {value: tensor for tensor, value in targets.items()}
        inputs = tuple(
            Port(v.name, v.dtype, v.shape, self.table.index[v], *self.ranges.get(v, ()))
            for v in graph.inputs
        )
        ports = tuple(
            Port(name, v.dtype, v.shape, outputs.get(v, self.table.index.get(v, 0)))
            for name, v in zip(graph.output_names, graph.outputs, strict=True)
        )
        symbols = tuple(replace(s, most=self.longest.get(s.id, s.most)) for s in graph.symbols)
        tensors, problems = tuple(self.table.tensors), tuple(self.problems)
        plan = Plan(symbols, inputs, ports, tensors, problems, tuple(self.steps), flow)
        constants = {
            j: stored(value) for value, j in self.table.index.items() if value.data is not None
        }
        return Built(plan, constants)

    def flow(self, graph: Graph, targets: dict[int, Value]) -> Flow:
        """The items that run a graph's nodes; `targets` tells which tensors get which values."""
        items: list[Item] = []
        waiting = list(graph.nodes)
        stops = [n for n in waiting if is_structural(n) and n.op != "Need"]
        wanted = dict(targets)
        for stop in stops:
            items += self.needs(waiting)
            waiting.remove(stop)
            before = self.before(stop)
            run = self.ready(waiting)
            waiting = [n for n in waiting if n not in run]
            needed = self.needed(run, [stop, *waiting], [*wanted.values(), *before.values()])
            ready = {t: v for t, v in wanted.items() if self.is_here(v, run)}
            wanted = {t: v for t, v in wanted.items() if t not in ready}
            kept = {v for n in [*waiting, *stops[stops.index(stop) + 1 :]] for v in n.inputs}
            kept |= {*wanted.values(), *_captures(stop)}
            items += self.run(run, needed, before | ready, kept)
            items.append(self.stop(stop))
            self.bound |= set(binds(stop))
        items += self.needs(waiting)
        items += self.run(waiting, self.needed(waiting, (), wanted.values()), wanted)
        return tuple(items)

    def needs(self, waiting: list[Node]) -> list[Need]:
        """What can be held to be equal by now, taken from the nodes that wait."""
        found = []
        for node in [n for n in waiting if n.op == "Need"]:
            if self.symbols_of([v for v in node.inputs if v is not None]) <= self.bound:
                waiting.remove(node)
                site = Site.of(node)
                found.append(Need(site.scalar(0, "a size"), site.scalar(1, "a size"), node.name))
        return found

    def is_here(self, value: Value, run: Sequence[Node]) -> bool:
        """Whether a value is written once the run is through."""
        if value.content is not None:
            return self.symbols_of([value]) <= self.bound
        made = value.data is not None or value in self.table.index
        return made or any(value in n.outputs for n in run)

    def ready(self, nodes: Sequence[Node]) -> list[Node]:
        """The nodes whose inputs, and the symbols of their shapes, are all there."""
        found: list[Node] = []
        made: set[Value] = set()
        for node in nodes:
            if is_structural(node):
                continue
            values = [v for v in node.inputs if v is not None]
            there = all(
                v in made or v in self.table.index or _is_known(v) or 0 in v.shape for v in values
            )
            if there and self.symbols_of([*values, *node.outputs]) <= self.bound:
                found.append(node)
                made |= set(node.outputs)
        return found

    def symbols_of(self, values: Iterable[Value]) -> set[str]:
        return {
            s for v in values for d in (*v.shape, *(v.content or ())) for s in dims.free_symbols(d)
        }

    def needed(
        self, run: Sequence[Node], later: Sequence[Node], wanted: Iterable[Value]
    ) -> list[Value]:
        """What a run makes for others."""
        read = {v for n in later for v in n.inputs if v is not None and 0 not in v.shape}
        read |= set(wanted)
        return [v for n in run for v in n.outputs if v in read and not _is_known(v)]

    # Runs

    def run(
        self,
        nodes: Sequence[Node],
        needed: list[Value],
        targets: dict[int, Value],
        kept: AbstractSet[Value | None] = frozenset(),
    ) -> Flow:
        """Lower, fuse and list the steps of nodes that make `needed`, and write `targets`.

        `kept` are the values that are read after the loop that follows, or in it.
        """
        first = len(self.steps)
        known = [v for v in targets.values() if v.content is not None]
        outs = tuple(dict.fromkeys([*needed, *known]))
        inputs = tuple(
            dict.fromkeys(
                v for n in nodes for v in n.inputs
                if v is not None and not _is_known(v) and v in self.table.index
            )
        )  # fmt: skip
        graph = Graph(self.graph.symbols, inputs, outs, tuple(nodes), tuple(v.name for v in outs))
        results = self.lowered(graph, targets, kept) if outs else {}
        written: set[int] = set()
        for tensor, value in targets.items():
            made = results.get(value, value)
            if self.table.index.get(made) == tensor:
                written.add(tensor)
        for tensor, value in targets.items():
            if tensor not in written:
                self.copy(results.get(value, value), tensor)
        return (Run(first, len(self.steps)),) if len(self.steps) > first else ()

    def lowered(
        self, graph: Graph, targets: dict[int, Value], kept: AbstractSet[Value | None]
    ) -> dict[Value, Value]:
        """The graph's steps; returns the value in whose tensor each output is."""
        own = set(self.graph.inputs)
        facts = {v: self.facts[v] for v in graph.inputs if v in self.facts}
        program = lower(graph, facts, frozenset(v for v in graph.inputs if v not in own))
        self.note(program)
        fused = store_halves(tell_spans(fuse(program)), graph.outputs)
        results = dict(zip(graph.outputs, fused.outputs, strict=True))
        made = {v for n in fused.nodes for v in n.outputs}
        for value in made:  # a known one may have a tensor: each run that gives it makes it anew
            self.table.index.pop(value, None)
        kept_results = {result for value, result in results.items() if value in kept}
        for tensor, value in targets.items():
            result = results.get(value, value)
            if self.table.tensors[tensor].home is Home.WINDOW and result in kept_results:
                continue  # a state's first value, which the loop writes over
            if result in made and result not in self.table.index and self.fits(result, tensor):
                self.table.index[result] = tensor
        for node in fused.nodes:
            self.step(node)
        for value, result in results.items():
            home = Home.ARENA if result.data is None else Home.CONSTANT
            index = self.table.add(result, home)
            if not self.fits(value, index):  # the very numbers, but of f16 where f32 is meant
                index = self.table.new(value, Home.ARENA)
                self.copy(result, index)
                results[value] = value
            self.table.index.setdefault(value, index)
        return results

    def fits(self, value: Value, tensor: int) -> bool:
        """Whether a value's elements may be written into a tensor as they are."""
        return self.table.tensors[tensor].dtype is device_dtype(value.dtype)

    def note(self, program: Program) -> None:
        """Keep what lowering has learnt of the model's inputs, symbols, and integer values."""
        own = set(self.graph.inputs)
        for value, (low, high) in program.ranges.items():
            if value in own:
                before = self.ranges.get(value, (low, high))
                self.ranges[value] = max(low, before[0]), min(high, before[1])
        for name, most in program.longest.items():
            self.longest[name] = min(most, self.longest.get(name, most))
        self.facts |= program.facts

    def step(self, node: ProblemNode) -> None:
        reads = tuple(
            self.table.add(v, Home.ARENA if v.data is None else Home.CONSTANT) for v in node.inputs
        )
        writes = tuple(self.table.add(v, Home.ARENA) for v in node.outputs)
        number = self.problems.setdefault(node.problem, len(self.problems))
        self.steps.append(Step(number, reads, writes, node.name))

    def copy(self, value: Value, tensor: int) -> None:
        """A step that writes a value that is there into a tensor."""
        source = self.table.add(value, Home.ARENA if value.data is None else Home.CONSTANT)
        given, made = (self.table.tensors[t].dtype for t in (source, tensor))
        at = dims.symbol("i0")
        size = dims.product(value.shape)
        load: ex.Expr = Load(0, at, given)
        if DType.F16 in (given, made):
            load = ex.cast(ex.cast(load, DType.F32), made)
        operand = Operand(given, size, value.data is not None)
        problem = Map((size,), (operand,), (Output(made, size, at, load),))
        number = self.problems.setdefault(problem, len(self.problems))
        self.steps.append(Step(number, (source,), (tensor,), value.name))

    # What lies between runs

    def before(self, stop: Node) -> dict[int, Value]:
        """The tensors that must be written for a stop: what its host reads, states, rings."""
        if stop.op == "Loop":
            return self.loop_targets(stop)
        found = {}
        for value in host_reads(stop):
            index = self.table.index.get(value)
            home = None if index is None else self.table.tensors[index].home
            if home in (Home.INPUT, Home.OUTPUT) and index is not None:
                self.hosts[value] = index
            elif value not in self.hosts:
                self.hosts[value] = self.table.new(value, Home.OUTPUT)
                found[self.hosts[value]] = value
        return found

    def stop(self, node: Node) -> Item:
        """The item that stands for a node that is no kernel."""
        if node.op == "If":
            return self.branch(node)
        if node.op == "Loop":
            return self.loop(node)
        inputs = tuple(self.hosts[v] for v in host_reads(node))
        if node.op == "Values":
            return HostStep("values", (), inputs, (), binds(node), node.name)
        outputs = tuple(self.table.add(v, Home.ARENA) for v in node.outputs)
        options: dict[str, int | float] = {}
        if node.op == "NonMaxSuppression":
            options = nms_options(Site.of(node))
        elif node.op == "Different":
            options = {k: Site.of(node).integer(k) for k in ("axis", "sorted")}
        for value in node.outputs:
            self.facts[value] = 0, dims.MAX_SYMBOL
        name = HOST_NODES[node.op]
        return HostStep(name, tuple(options.items()), inputs, outputs, binds(node), node.name)

    # Branches and loops

    def inner(self, graph: Graph, given: Sequence[Value | None]) -> Graph:
        """A node's graph, whose inputs are found in the tensors of `given`."""
        known: dict[Value, Value] = {}
        for formal, actual in zip(graph.inputs, given, strict=True):
            assert actual is not None
            if _is_known(actual):
                known[formal] = actual
            elif formal is not actual:
                self.table.index[formal] = self.table.index[actual]
                if actual in self.facts:
                    self.facts[formal] = self.facts[actual]
        return substituted(graph, known)

    def branch(self, node: Node) -> Branch:
        captures = node.inputs[1:]
        for value in node.outputs:
            if value in self.final:
                self.table.index.setdefault(value, self.final[value])
        joined = {self.table.add(v, Home.ARENA): j for j, v in enumerate(node.outputs)}
        names = ("then", "other")
        graphs = [self.inner(graph_of(Site.of(node), name), captures) for name in names]
        bound = self.sizes(node, *(g.outputs for g in graphs))
        outside, hosts = set(self.bound), dict(self.hosts)
        flows = []
        for graph in graphs:
            self.bound |= {name for name, _, _ in bound}
            flows.append(self.flow(graph, {t: graph.outputs[j] for t, j in joined.items()}))
            self.bound, self.hosts = set(outside), dict(hosts)
        condition = node.inputs[0]
        assert condition is not None
        return Branch(self.hosts[condition], flows[0], flows[1], tuple(bound), node.name)

    def sizes(
        self, node: Node, left: Sequence[Value], right: Sequence[Value]
    ) -> list[tuple[str, Dim, Dim]]:
        """The symbols that stand for sizes in which an If's branches differ."""
        found: dict[str, tuple[Dim, Dim]] = {}
        for value, one, other in zip(node.outputs, left, right, strict=True):
            for dim, a, b in zip(value.shape, one.shape, other.shape, strict=True):
                symbol = dims.lone_symbol(dim + 1) or ""
                if symbol in binds(node):
                    found.setdefault(symbol, (a + 1, b + 1))
        late = {s for pair in found.values() for d in pair for s in dims.free_symbols(d)}
        if not late <= self.bound:
            raise Site.of(node).unsupported("a branch's sizes depend on data in that branch")
        return [(name, a, b) for name, (a, b) in found.items()]

    def loop_targets(self, node: Node) -> dict[int, Value]:
        """The loop's rings, and its condition: what is written into them before it begins."""
        site = Site.of(node)
        states, scans = site.integer("states"), site.integer("scans")
        found: dict[int, Value] = {}
        condition = node.inputs[1]
        if condition is not None:
            tensor = self.table.new(condition, Home.OUTPUT)
            self.conditions[id(node)] = tensor
            found[tensor] = condition
        for value in node.inputs[2 : 2 + states]:
            assert value is not None
            shape = (2, pitch_of(value.dtype, value.shape))
            ring = self.table.put(device_dtype(value.dtype), shape, Home.ARENA)
            found[self.table.window(value, ring, 0, None)] = value
            self.rings.setdefault(id(node), []).append(ring)
        for value in node.inputs[2 + states : 2 + states + scans]:
            assert value is not None
            ring = self.table.new(value, Home.ARENA)
            found[ring] = value
            self.rings.setdefault(id(node), []).append(ring)
        return found

    def loop(self, node: Node) -> p.Loop:
        site = Site.of(node)
        states, scans = site.integer("states"), site.integer("scans")
        rings = self.rings.pop(id(node), [])
        number, self.loops = self.loops, self.loops + 1
        body = graph_of(site, "body")
        captures = 2 + states + scans
        inner = self.inner(
            replace(body, inputs=body.inputs[captures - 2 :]), node.inputs[captures:]
        )
        for formal, ring in zip(body.inputs[: states + scans], rings, strict=True):
            self.table.index[formal] = self.table.window(formal, ring, 0, number)
        scanned = zip(body.inputs[states : states + scans], node.inputs[2 + states :], strict=False)
        for formal, actual in scanned:
            if actual in self.facts:
                self.facts[formal] = self.facts[actual]
        condition = self.conditions.get(id(node))
        made = list(inner.outputs)
        targets: dict[int, Value] = {}
        if condition is not None:
            targets[condition] = made.pop(0)
        for value, ring in zip(made[:states], rings, strict=False):
            targets[self.table.window(value, ring, 1, number)] = value
        for value, ring_value in zip(made[states:], node.outputs[states:], strict=True):
            ring = self.table.put(device_dtype(value.dtype), ring_value.shape, Home.ARENA)
            self.table.index[ring_value] = ring
            targets[self.table.window(value, ring, 0, number)] = value
        begins = [v for v in node.inputs[2 : 2 + states] if v is not None]
        turned = dict(zip(body.inputs, zip(made, begins, strict=False), strict=False))
        counts = counters(inner, turned, self.facts, site.integer("most"))
        after = dict(zip(body.inputs, node.outputs, strict=False))
        self.facts |= counts | {after[state]: found for state, found in counts.items()}
        outside, hosts = set(self.bound), dict(self.hosts)
        flow = self.flow(inner, targets)
        self.bound, self.hosts = outside, hosts
        trips = None if node.inputs[0] is None else site.scalar(0, "its number of turns")
        names = binds(node)
        last: Dim = dims.symbol(names[0]) - 1 if names else trips if trips is not None else 0
        for value, ring in zip(node.outputs[:states], rings, strict=False):
            self.table.index[value] = self.table.window(value, ring, last, None)
        symbol = names[0] if names else None
        return p.Loop(trips, site.integer("most"), condition, flow, symbol, node.name)


def _captures(stop: Node) -> tuple[Value | None, ...]:
    """What a loop's body reads of its surroundings, turn after turn."""
    if stop.op != "Loop":
        return ()
    site = Site.of(stop)
    return stop.inputs[2 + site.integer("states") + site.integer("scans") :]


def _is_known(value: Value) -> bool:
    return value.data is not None or value.content is not None
