"""Plan -> Triton source: a kernel for the pass over elements, and one for what is computed once per step.

On a GPU what is once per step is computed there too, in double, for all parameters side by side: a learning rate, a
step count or a norm that lies on the device is read where it is, and nobody waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from keyword import iskeyword

from ..compiler.graph import Node, walk
from ..compiler.ops import CONDITIONS, ONE_NUMBER
from ..compiler.plan import Plan
from .gpu_storage import EIGHT, LOADS, POINTS_TO, STORES, Place, indices, key_lines, random_lines
from .storage import STORAGES, Kept, beside_of, random_numbers

# What the kernels call their own; values of formulas get other names.
RESERVED = frozenset(
    name
    for line in (
        "tl math_of rows grads chunks slots keys key seed skip begin end full row i inside start chunk bank places",
        "settings measured group group_of count width groups place BLOCK WORK True False None t",
        "code scale value largest up inverse y bits upper hash block",
        "random0 random1 random2 random3 random4 random5",
    )
    for name in line.split()
)

_ROUNDED = {"tl.float32": ("tl.div_rn({}, {})", "tl.sqrt_rn({})"), "tl.float64": ("{} / {}", "tl.sqrt({})")}

OPS: dict[str, str] = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "neg": "-{}",
    "abs": "tl.abs({})",
    "floor": "tl.floor({})",
    "exp": "tl.exp({})",
    "log": "tl.log({})",
    "sin": "tl.sin({})",
    "cos": "tl.cos({})",
    "tanh": "math_of.tanh({})",
    "atan2": "math_of.atan2({}, {})",
    "pow": "math_of.pow({}, {})",
    "sign": "tl.where({0} > 0, 1.0, tl.where({0} < 0, -1.0, 0.0)).to(WORK)",
    "maximum": "tl.maximum({}, {}, propagate_nan=tl.PropagateNan.ALL)",
    "minimum": "tl.minimum({}, {}, propagate_nan=tl.PropagateNan.ALL)",
    "lt": "{} < {}",
    "le": "{} <= {}",
    "gt": "{} > {}",
    "ge": "{} >= {}",
    "eq": "{} == {}",
    "ne": "{} != {}",
    "and": "{} & {}",
    "or": "{} | {}",
    "not": "{} == 0",
    "isfinite": "tl.abs({}) < float('inf')",
    "where": "tl.where({}, {}, {})",
}


@dataclass
class Body:
    """Lines of a kernel, and what each value in them is called."""

    work: str
    lines: list[str] = field(default_factory=list)
    names: dict[Node | str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=lambda: set(RESERVED))

    def name(self, wish: str) -> str:
        """A name that nothing has yet, as near to the wish as can be."""
        plain = "".join(c if c.isalnum() or c == "_" else "_" for c in wish).strip("_") or "v"
        plain = f"v{plain}" if plain[0].isdigit() or iskeyword(plain) else plain
        found, number = plain, 1
        while found in self.taken:
            number += 1
            found = f"{plain}_{number}"
        self.taken.add(found)
        return found

    def let(self, key: Node | str, wish: str, code: str) -> str:
        name = self.names[key] = self.name(wish)
        self.lines.append(f"{name} = {code}")
        return name

    def constants(self, nodes: Iterable[Node]) -> None:
        """Every constant once, in the type of the arithmetic."""
        for n in nodes:
            if n.op == "const" and n not in self.names:
                self.let(n, "c", f"tl.full((), {_number(n.number)}, WORK)")

    def compute(self, n: Node, known: Mapping[Node, str]) -> None:
        text = OPS.get(n.op) or dict(zip(("div", "sqrt"), _ROUNDED[self.work]))[n.op]
        self.let(n, known.get(n, "v"), text.format(*(self.names[a] for a in n.args)))


def _number(value: float) -> str:
    text = repr(float(value))
    return text if text[-1].isdigit() else f"float('{text}')"


def update(plan: Plan, kept: Kept, aligned: bool) -> str:
    """The source of the pass over a chunk of one tensor. `kept` are the storages of the plan's tensors; the arithmetic
    is in float64 if p is, else in float32; `aligned` promises addresses that 16 divides, which lets the device move 16
    bytes at a time.

    A row of the table has the addresses of the plan's tensors but g, whose addresses change in every step and are a
    table of their own, and of what stands beside them; the slots of tensor number `row` stand at `slots[:, row]`.
    Nothing is written where `skip` is set."""
    storage = dict(zip(plan.tensors, kept))
    beside, random = beside_of(plan.tensors, kept), random_numbers(plan.tensors, kept)
    body = Body("tl.float64" if storage["p"] == "float64" else "tl.float32")
    tensors = list(dict.fromkeys([*plan.reads, *plan.writes]))
    width = len(plan.tensors) + len(beside)

    def place_of(name: str, source: str, points_to: str) -> None:
        at = f"tl.load({source}).to(tl.pointer_type(tl.{points_to}))"
        body.let(f"at.{name}", f"at_{name}", f"tl.multiple_of({at}, 16)" if aligned else at)

    for name in tensors:
        word = plan.tensors.index(name)
        place_of(name, "grads + row" if name == "g" else f"rows + row * {width} + {word}", POINTS_TO[storage[name]])
        for more in beside_of([name], (storage[name],)):
            kind = str(STORAGES[storage[name]].beside.dtype).removeprefix("torch.")  # type: ignore[union-attr]
            place_of(f"beside.{name}", f"rows + row * {width} + {len(plan.tensors) + beside.index(more)}", kind)
    for k, slot in enumerate(plan.slots):
        code = f"tl.load(slots + {k} * count + row)"
        code += " != 0" if slot.op in CONDITIONS else ".to(WORK)"
        body.let(slot, plan.graph.names.get(slot, "slot"), code)
    body.constants(_used(plan))
    drawn = max((random[name] + 1 for name in plan.writes if name in random), default=0)
    if drawn:
        body.lines.append("key = tl.load(keys + row).to(tl.uint32)")
    head, body.lines = body.lines, []
    matrix = any(storage[name] in EIGHT for name in tensors)

    def block(masked: bool) -> list[str]:
        inner = Body(body.work, names=dict(body.names), taken=set(body.taken))

        def place(name: str) -> Place:
            beside = inner.names.get(f"at.beside.{name}", "")
            return Place(inner.names[f"at.{name}"], beside, masked, f"random{random.get(name)}")

        inner.lines += random_lines(drawn)
        for name in plan.reads:
            value = inner.names[name] = inner.name(name)
            inner.lines += LOADS[storage[name]](place(name), value)
        for n in walk(plan.writes.values()):
            if n.op == "tensor":
                inner.names[n] = inner.names[str(n.value)]
        for n in plan.body:
            inner.compute(n, plan.graph.names)
        for name, n in plan.writes.items():
            value = inner.names[n]
            if n.op == "const" or n in plan.slots:
                value = inner.let(f"all.{name}", f"new_{name}", f"{value} + tl.zeros(i.shape, WORK)")
            inner.lines += STORES[storage[name]](place(name), value)
        return [f"    {line}" for line in inner.lines]

    reads, writes = (", ".join(names) or "nothing" for names in (plan.reads, plan.writes))
    return _text(
        "def update(rows, grads, chunks, slots, keys, skip, count, BLOCK: tl.constexpr):",
        f"# {plan.graph.name}: {reads} -> {writes}",
        f"WORK: tl.constexpr = {body.work}",
        "chunk = tl.program_id(0).to(tl.int64)",
        "row = tl.load(chunks + 3 * chunk)",
        "begin = tl.multiple_of(tl.load(chunks + 3 * chunk + 1), BLOCK)",
        "end = tl.load(chunks + 3 * chunk + 2)",
        "if tl.load(skip) != 0:",
        "    end = begin",
        *head,
        "full = begin + (end - begin) // BLOCK * BLOCK",
        "for start in range(begin, full, BLOCK):",
        *(f"    {line}" for line in indices("tl.multiple_of(start, BLOCK)", matrix)),
        *block(masked=False),
        "if full < end:",
        *(f"    {line}" for line in indices("full", matrix)),
        "    inside = i < end",
        *block(masked=True),
    )


def sources(plan: Plan, kind: str) -> str:
    """All kernels of a plan for tensors of one dtype, to be read."""
    measured = ("rows", "columns", *(c.result for each in plan.passes for c in each.calls if c.op in ONE_NUMBER))
    apart = {"t", *plan.numbers, *measured}
    settings = tuple(dict.fromkeys(n for each in plan.passes for n in each.scalars if n not in apart))
    kernels = []
    for each in plan.passes:
        kernels.append(once(each, settings, measured, False, each.then is None))
        kernels.append(update(each, (kind,) * len(plan.tensors), True))
    return "\n\n".join(kernels).rstrip()


def _used(plan: Plan) -> list[Node]:
    return [*dict.fromkeys([*(a for n in plan.body for a in n.args), *plan.writes.values()])]


def once(plan: Plan, settings: tuple[str, ...], measured: tuple[str, ...], first: bool, last: bool) -> str:
    """The source of what a pass needs computed once per step: its slots and the new scalar states, in double.

    `settings` are the scalars that stand in a table with a line for each and a column for each param group; `measured`
    those with a number for each parameter. The step count and the scalar states are in the bank, a line for each
    parameter; the `last` pass counts the step, the `first` one makes the keys of its random bits, from a hash of the
    seed."""
    body = Body("tl.float64")
    lines = body.lines
    body.names["t"] = body.name("step")
    lines.append(f"{body.names['t']} = tl.load(bank + place * width, mask=inside, other=0).to(WORK) + 1")
    lines += key_lines(body.names["t"]) if first else []
    wanted = [*plan.slots, *plan.updates.values()]
    for n in walk(wanted):
        if n.op != "scalar":
            continue
        name = str(n.value)
        if name == "t":
            body.names[n] = body.names["t"]
        elif name in plan.numbers:
            at = f"bank + place * width + {1 + plan.numbers.index(name)}"
            body.let(n, name, f"tl.load({at}, mask=inside, other=0).to(WORK)")
        elif name in measured:
            at = f"measured + {measured.index(name)} * count + i"
            body.let(n, name, f"tl.load({at}, mask=inside, other=0)")
        else:
            at = f"settings + {settings.index(name)} * groups + group"
            body.let(n, name, f"tl.load({at}, mask=inside, other=0)")
    body.constants(walk(wanted))
    for n in walk(wanted):
        if n.args:
            body.compute(n, plan.graph.names)
    for k, slot in enumerate(plan.slots):
        value = _real(slot, body.names)
        lines.append(f"tl.store(slots + {k} * count + i, {value}, mask=inside)")
    lines.append("inside = i < tl.where(tl.load(skip) != 0, 0, count)")
    for name, n in plan.updates.items():
        at = f"bank + place * width + {1 + plan.numbers.index(name)}"
        lines.append(f"tl.store({at}, {_real(n, body.names)}, mask=inside)")
    if last:
        lines.append(f"tl.store(bank + place * width, {body.names['t']}, mask=inside)")
    return _text(
        "def once(slots, keys, seed, bank, places, settings, measured, group_of, skip, count, width, groups, "
        "BLOCK: tl.constexpr):",
        f"# {plan.graph.name}, once per step",
        "WORK: tl.constexpr = tl.float64",
        "i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)",
        "inside = i < count",
        "place = tl.load(places + i, mask=inside, other=0)",
        "group = tl.load(group_of + i, mask=inside, other=0)",
        *lines,
    )


def _real(n: Node, names: Mapping[Node | str, str]) -> str:
    value = f"tl.where({names[n]}, 1.0, 0.0)" if n.op in CONDITIONS else names[n]
    return f"{value} + tl.zeros([BLOCK], WORK)"


def _text(head: str, *lines: str) -> str:
    return "\n".join([head, *(f"    {line}" for line in lines), ""])


def reduction(kept: str, squares: bool) -> str:
    """The source of a chunk's sum of a tensor in a storage, or of its squares, in `partial[chunk]`; `word` says which
    tensor of the rows, `beside` what stands beside it. Within a block the sum is in float32 for all but float64."""
    place = Place("at", "at_beside", True)
    beside = STORAGES[kept].beside
    kind = str(beside.dtype).removeprefix("torch.") if beside else ""
    at = f"at_beside = tl.load(addresses + row * stride + beside).to(tl.pointer_type(tl.{kind}))"
    return _text(
        "def reduce(addresses, stride, word, beside, chunks, partial, BLOCK: tl.constexpr):",
        f"WORK: tl.constexpr = {'tl.float64' if kept == 'float64' else 'tl.float32'}",
        "chunk = tl.program_id(0).to(tl.int64)",
        "row = tl.load(chunks + 3 * chunk)",
        "begin = tl.load(chunks + 3 * chunk + 1)",
        "end = tl.load(chunks + 3 * chunk + 2)",
        f"at = tl.load(addresses + row * stride + word).to(tl.pointer_type(tl.{POINTS_TO[kept]}))",
        *([at] if beside else []),
        "total = tl.full((), 0.0, tl.float64)",
        "for start in range(begin, end, BLOCK):",
        *(f"    {line}" for line in indices("start", kept in EIGHT)),
        "    inside = i < end",
        *(f"    {line}" for line in LOADS[kept](place, "x")),
        "    x = tl.where(inside, x, 0.0)",
        f"    total += tl.sum({'x * x' if squares else 'x'}).to(tl.float64)",
        "tl.store(partial + chunk, total)",
    )


TOTAL = _text(
    "def total(partial, first, out, BLOCK: tl.constexpr):",
    "# the sum of a row's partial sums, in their order",
    "row = tl.program_id(0)",
    "begin = tl.load(first + row)",
    "end = tl.load(first + row + 1)",
    "found = tl.zeros([BLOCK], tl.float64)",
    "for start in range(begin, end, BLOCK):",
    "    i = start + tl.arange(0, BLOCK)",
    "    found += tl.load(partial + i, mask=i < end, other=0)",
    "tl.store(out + row, tl.sum(found, axis=0))",
)
