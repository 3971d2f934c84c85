"""Plan -> LLVM IR: vector code for the bulk of a chunk, the same code one element at a time for its tail.

A kernel has the signature `void (ptr row, i64 begin, i64 end, ptr chunk)`. The row is the tensor's line in the table of
addresses: after `HEAD` words come the addresses of the plan's tensors in their order, and of what stands beside them.
"""

from __future__ import annotations

from ...compiler.graph import Node
from ...compiler.ops import CONDITIONS
from ...compiler.plan import Plan
from ..storage import STORAGES, Kept, beside_of
from .block import OPS, Block
from .blocks import blocks, wait
from .kept import LOAD, STORE, Random
from .layout import Layout, at, loop, place, spread
from .words import ARGUMENTS, HEAD, KEY, LANES, SLOTS


def kernel(plan: Plan, kept: Kept, name: str) -> str:
    """The module text of a plan's update for tensors that are kept so."""
    of = Layout(plan, kept)
    vector, scalar = Block(of.real, LANES[of.real], "v"), Block(of.real, 1, "s")
    for block in (vector, scalar):
        _body(of, block)
    more: list[Block] = []
    if of.blocked:
        lines, more = blocks(of, vector, scalar)
    else:
        lines = [
            "  %count = sub i64 %end, %begin",
            f"  %bulk = and i64 %count, -{vector.lanes}",
            "  %turn = add i64 %begin, %bulk",
            "  br label %v.test",
            *loop(vector, "%begin", "%turn", "s.test"),
            *loop(scalar, "%turn", "%end", "done", before="v.test"),
        ]
    declared = sorted(set().union(*(block.declared for block in (vector, scalar, *more))))
    return "\n".join(
        [
            f"; {plan.graph.name}: {', '.join(plan.reads) or 'nothing'} -> {', '.join(plan.writes) or 'nothing'}",
            *declared,
            "",
            f"define void @{name}({ARGUMENTS}) {{",
            "entry:",
            *_entry(of),
            *lines,
            "done:",
            "  ret void",
            "}",
            "",
        ]
    )


def _entry(of: Layout) -> list[str]:
    """Addresses, the key of random bits, and the slots' values rounded to the type and spread over the lanes."""
    lanes = LANES[of.real]
    lines = []
    beside = beside_of(of.plan.tensors, of.kept)
    words = {t: HEAD + i for i, t in enumerate([*of.plan.tensors, *beside])}
    touched = [*of.tensors, *beside_of(of.tensors, tuple(map(of.storage, of.tensors)))]
    for tensor in touched:
        lines += [
            f"  {at(tensor, '.row')} = getelementptr i64, ptr %row, i64 {words[tensor]}",
            f"  {at(tensor)} = load ptr, ptr {at(tensor, '.row')}",
        ]
    if any(STORAGES[of.storage(t)].random for t in of.plan.writes):
        lines += [
            f"  %key.row = getelementptr i64, ptr %row, i64 {KEY}",
            "  %key.s = load i32, ptr %key.row",
            *spread("key", "i32", "%key.s", lanes),
        ]
    if of.plan.slots:
        lines += [f"  %slots.row = getelementptr i64, ptr %row, i64 {SLOTS}", "  %slots = load ptr, ptr %slots.row"]
    for i, slot in enumerate(of.plan.slots):
        kind = "i1" if slot.op in CONDITIONS else of.real
        narrow = {
            "i1": f"fcmp une double %slot{i}.d, 0.0",
            "float": f"fptrunc double %slot{i}.d to float",
            "double": f"fadd double %slot{i}.d, -0.0",
        }[kind]
        lines += [
            f"  %slot{i}.at = getelementptr double, ptr %slots, i64 {i}",
            f"  %slot{i}.d = load double, ptr %slot{i}.at",
            f"  %slot{i}.s = {narrow}",
            *spread(f"slot{i}", kind, f"%slot{i}.s", lanes),
        ]
    return lines


def _body(of: Layout, block: Block) -> None:
    """Load everything, compute, then store: a tensor may be read and written."""
    plan = of.plan
    values: dict[Node | str, str] = {}
    random = Random(block, f"%{block.prefix}.i", of.random)
    coded = set(of.coded)
    needed = [t for t in of.tensors if t in plan.reads or t not in coded]
    places = {tensor: place(of, tensor, block, random) for tensor in needed}
    for tensor in plan.reads:
        values[tensor] = LOAD[of.storage(tensor)](block, places[tensor])
    for i, slot in enumerate(plan.slots):
        values[slot] = f"%slot{i}.{'s' if block.lanes == 1 else 'v'}"

    def value(n: Node) -> str:
        if n.op == "const":
            return block.number(n.number)
        return values[str(n.value)] if n.op == "tensor" else values[n]

    for n in plan.body:
        values[n] = OPS[n.op](block, *map(value, n.args))
    for tensor, result in plan.writes.items():
        if tensor in coded:
            wait(of, block, tensor, value(result))
        else:
            STORE[of.storage(tensor)](block, places[tensor], value(result))
