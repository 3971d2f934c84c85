"""Kernels with 8-bit values: a block is computed into a buffer, then its scale is known, and it is encoded."""

from __future__ import annotations

from ..storage import BLOCK
from .block import Block
from .kept import MAPS, Random, scale8, store8
from .layout import Layout, at, loop, place, spread
from .words import LANES


def blocks(of: Layout, vector: Block, scalar: Block) -> tuple[list[str], list[Block]]:
    """The lines around the two bodies, and the blocks that are added to them."""
    lanes, coded = LANES[of.real], of.coded
    numbers = {t: of.number(t) for t in of.tensors}
    eight = [t for t in of.tensors if of.storage(t) in MAPS]
    start = Block("i32", lanes, "m")
    lines = [
        *(f"  %buffer{numbers[t]} = alloca [{BLOCK} x float], align 64" for t in coded),
        "  br label %b.test",
        "b.test:",
        "  %b.i = phi i64 [ %begin, %entry ], [ %b.next, %b.done ]",
        "  %b.more = icmp slt i64 %b.i, %end",
        "  br i1 %b.more, label %b.loop, label %done",
        "b.loop:",
        f"  %b.after = add i64 %b.i, {BLOCK}",
        "  %b.whole = icmp slt i64 %b.after, %end",
        "  %b.next = select i1 %b.whole, i64 %b.after, i64 %end",
        f"  %b.number = sdiv i64 %b.i, {BLOCK}",
        "  %b.count = sub i64 %b.next, %b.i",
        f"  %b.bulk = and i64 %b.count, -{lanes}",
        "  %b.turn = add i64 %b.i, %b.bulk",
    ]
    for t in eight:
        k = numbers[t]
        lines.append(f"  %scale{k}.at = getelementptr float, ptr {at(f'{t}_scale')}, i64 %b.number")
        if t in of.plan.reads:
            lines.append(f"  %scale{k}.s = load float, ptr %scale{k}.at, align 4")
            lines += spread(f"scale{k}", "float", f"%scale{k}.s", lanes)
    most = {f"most{numbers[t]}": (start.of("i32"), "zeroinitializer") for t in coded}
    lines += [
        "  br label %v.test",
        *loop(vector, "%b.i", "%b.turn", "s.start", before="b.loop", carried=most),
        "s.start:",
    ]
    more = Block(of.real, 1, "b.x")
    for t in coded:
        k = numbers[t]
        reduce = f"@llvm.vector.reduce.umax.v{lanes}i32"
        more.declared.add(f"declare i32 {reduce}({start.of('i32')})")
        lines.append(f"  %most{k} = call i32 {reduce}({start.of('i32')} %v.most{k})")
    most = {f"most{numbers[t]}": ("i32", f"%most{numbers[t]}") for t in coded}
    lines += [
        "  br label %s.test",
        *loop(scalar, "%b.turn", "%b.next", "b.code", before="s.start", carried=most),
        "b.code:",
    ]
    if not coded:
        return [*lines, "  br label %b.done", "b.done:", "  br label %b.test"], [more]
    for t in coded:
        k = numbers[t]
        scale, reciprocal = scale8(more, f"%s.most{k}", MAPS[of.storage(t)])
        more.lines.append(f"  store float {scale}, ptr %scale{k}.at, align 4")
        more.lines += spread(f"inverse{k}", "float", reciprocal, lanes)
        more.lines.append(f"  %inverse{k}.s = extractelement <{lanes} x float> %inverse{k}.v, i64 0")
    encoders = Block(of.real, lanes, "w"), Block(of.real, 1, "u")
    for block in encoders:
        _encode(of, block)
    lines += [
        *more.lines,
        "  br label %w.test",
        *loop(encoders[0], "%b.i", "%b.turn", "u.test", before="b.code"),
        *loop(encoders[1], "%b.turn", "%b.next", "b.done", before="w.test"),
        "b.done:",
        "  br label %b.test",
    ]
    return lines, [more, *encoders]


def wait(of: Layout, block: Block, tensor: str, value: str) -> None:
    """Put a value by until its block is complete, and see how large it is."""
    k, p = of.number(tensor), block.prefix
    inside = block.let(f"sub i64 %{p}.i, %b.i")
    there = block.let(f"getelementptr float, ptr %buffer{k}, i64 {inside}")
    block.lines.append(f"  store {block.type} {value}, ptr {there}, align 4")
    magnitude = block.bits("and", block.cast("bitcast", value, "float", "i32"), 0x7FFFFFFF)
    larger = block.let(f"icmp ugt {block.of('i32')} {magnitude}, %{p}.most{k}")
    ints = block.of("i32")
    block.lines.append(f"  %{p}.most{k}.next = select {block.mask} {larger}, {ints} {magnitude}, {ints} %{p}.most{k}")


def _encode(of: Layout, block: Block) -> None:
    """What is put by, to its codes."""
    random = Random(block, f"%{block.prefix}.i", of.random)
    inside = block.let(f"sub i64 %{block.prefix}.i, %b.i")
    for t in of.coded:
        k = of.number(t)
        there = block.let(f"getelementptr float, ptr %buffer{k}, i64 {inside}")
        value = block.let(f"load {block.type}, ptr {there}, align 4")
        found = place(of, t, block, random)
        found.beside = f"%inverse{k}.{'s' if block.lanes == 1 else 'v'}"
        store8(block, found, value, MAPS[of.storage(t)])
