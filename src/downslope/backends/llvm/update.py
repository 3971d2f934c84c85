"""Plan -> LLVM IR: vector code for the bulk of a chunk, the same code one element at a time for its tail.

A kernel has the signature `void (ptr row, i64 begin, i64 end, ptr chunk)`. The row is the tensor's line in the table of
addresses: after `HEAD` words come the addresses of the plan's tensors in their order.
"""

from __future__ import annotations

from ...compiler.graph import Node
from ...compiler.ops import CONDITIONS
from ...compiler.plan import Plan
from .block import OPS, Block
from .words import ARGUMENTS, HEAD, LANES, SLOTS


def kernel(plan: Plan, real: str, name: str) -> str:
    """The module text of a plan's update for `float` or `double` tensors."""
    vector, scalar = Block(real, LANES[real], "v"), Block(real, 1, "s")
    tensors = list(dict.fromkeys([*plan.reads, *plan.writes]))
    head = _entry(plan, real, tensors)
    for block in (vector, scalar):
        _body(plan, block)
    return _module(
        name,
        f"{plan.graph.name}: {', '.join(plan.reads) or 'nothing'} -> {', '.join(plan.writes) or 'nothing'}",
        head,
        vector,
        scalar,
    )


def _entry(plan: Plan, real: str, tensors: list[str]) -> list[str]:
    """Addresses, and the slots' values rounded to the type and spread over the lanes."""
    lanes = LANES[real]
    lines = []
    for tensor in tensors:
        word = HEAD + plan.tensors.index(tensor)
        lines += [
            f"  {_at(tensor, '.row')} = getelementptr i64, ptr %row, i64 {word}",
            f"  {_at(tensor)} = load ptr, ptr {_at(tensor, '.row')}",
        ]
    if plan.slots:
        lines += [f"  %slots.row = getelementptr i64, ptr %row, i64 {SLOTS}", "  %slots = load ptr, ptr %slots.row"]
    for i, slot in enumerate(plan.slots):
        kind = "i1" if slot.op in CONDITIONS else real
        narrow = {
            "i1": f"fcmp une double %slot{i}.d, 0.0",
            "float": f"fptrunc double %slot{i}.d to float",
            "double": f"fadd double %slot{i}.d, -0.0",
        }[kind]
        lines += [
            f"  %slot{i}.at = getelementptr double, ptr %slots, i64 {i}",
            f"  %slot{i}.d = load double, ptr %slot{i}.at",
            f"  %slot{i}.s = {narrow}",
            f"  %slot{i}.one = insertelement <{lanes} x {kind}> poison, {kind} %slot{i}.s, i64 0",
            f"  %slot{i}.v = shufflevector <{lanes} x {kind}> %slot{i}.one, <{lanes} x {kind}> poison, "
            f"<{lanes} x i32> zeroinitializer",
        ]
    return lines


def _at(tensor: str, suffix: str = "") -> str:
    """Where a tensor begins; names that are not ASCII are quoted."""
    name = f"at.{tensor}{suffix}"
    return f"%{name}" if name.isascii() else f'%"{name}"'


def _body(plan: Plan, block: Block) -> None:
    """Load everything, compute, then store: a tensor may be read and written."""
    align = {"float": 4, "double": 8}[block.real]
    index = f"%{block.prefix}.i"
    values: dict[Node | str, str] = {}

    def place(tensor: str) -> str:
        return block.let(f"getelementptr {block.real}, ptr {_at(tensor)}, i64 {index}")

    places = {tensor: place(tensor) for tensor in dict.fromkeys([*plan.reads, *plan.writes])}
    for tensor in plan.reads:
        values[tensor] = block.let(f"load {block.type}, ptr {places[tensor]}, align {align}")
    for i, slot in enumerate(plan.slots):
        values[slot] = f"%slot{i}.{'s' if block.lanes == 1 else 'v'}"

    def value(n: Node) -> str:
        if n.op == "const":
            return block.number(n.number)
        return values[str(n.value)] if n.op == "tensor" else values[n]

    for n in plan.body:
        values[n] = OPS[n.op](block, *map(value, n.args))
    for tensor, result in plan.writes.items():
        block.lines.append(f"  store {block.type} {value(result)}, ptr {places[tensor]}, align {align}")


def _module(name: str, title: str, head: list[str], vector: Block, scalar: Block, tail: list[str] | None = None) -> str:
    declared = sorted(vector.declared | scalar.declared)
    return "\n".join(
        [
            f"; {title}",
            *declared,
            "",
            f"define void @{name}({ARGUMENTS}) {{",
            "entry:",
            *head,
            "  %count = sub i64 %end, %begin",
            f"  %bulk = and i64 %count, -{vector.lanes}",
            "  %turn = add i64 %begin, %bulk",
            "  br label %v.test",
            *_loop(vector, "%begin", "%turn", "s.test"),
            *_loop(scalar, "%turn", "%end", "done", before="v.test"),
            "done:",
            *(tail or []),
            "  ret void",
            "}",
            "",
        ]
    )


def _loop(block: Block, first: str, last: str, then: str, before: str = "entry") -> list[str]:
    p = block.prefix
    return [
        f"{p}.test:",
        f"  %{p}.i = phi i64 [ {first}, %{before} ], [ %{p}.next, %{p}.loop ]",
        f"  %{p}.more = icmp slt i64 %{p}.i, {last}",
        f"  br i1 %{p}.more, label %{p}.loop, label %{then}",
        f"{p}.loop:",
        *block.lines,
        f"  %{p}.next = add i64 %{p}.i, {block.lanes}",
        f"  br label %{p}.test",
    ]
