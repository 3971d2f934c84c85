"""Plan -> LLVM IR: vector code for the bulk of a chunk, the same code one element at a time for its tail.

A kernel has the signature `void (ptr row, i64 begin, i64 end, ptr chunk)`. The row is the tensor's line in the table of
addresses: after `HEAD` words come the addresses of the plan's tensors in their order.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from ..compiler.graph import Node
from ..compiler.ops import CONDITIONS
from ..compiler.plan import Plan

# The words of a row: the update's code, the norm's code, the address of the slots' values, then the tensors.
UPDATE, NORM, SLOTS, HEAD = 0, 1, 2, 3
# The words of a chunk: the address of its row, first and last element, and a place for its partial sum.
CHUNK = 4

ARGUMENTS = "ptr noalias readonly %row, i64 %begin, i64 %end, ptr %chunk"
LANES = {"float": 16, "double": 8}  # 64 bytes: one register of AVX-512, two of AVX2, four of NEON


@dataclass
class Block:
    """Lines of IR at one vector width; `lanes == 1` writes scalar code."""

    real: str
    lanes: int
    prefix: str
    lines: list[str] = field(default_factory=list)
    declared: set[str] = field(default_factory=set)

    @property
    def type(self) -> str:
        return self.real if self.lanes == 1 else f"<{self.lanes} x {self.real}>"

    @property
    def mask(self) -> str:
        return "i1" if self.lanes == 1 else f"<{self.lanes} x i1>"

    def let(self, code: str) -> str:
        name = f"%{self.prefix}{len(self.lines)}"
        self.lines.append(f"  {name} = {code}")
        return name

    def number(self, value: float) -> str:
        """A constant: LLVM wants the bits of a double, exactly representable in the type."""
        if self.real == "float":
            value = _as_float32(value)
        bits = f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"
        return bits if self.lanes == 1 else "<" + ", ".join([f"{self.real} {bits}"] * self.lanes) + ">"

    def intrinsic(self, name: str, *args: str) -> str:
        suffix = {"float": "f32", "double": "f64"}[self.real]
        full = f"@llvm.{name}.{suffix if self.lanes == 1 else f'v{self.lanes}{suffix}'}"
        self.declared.add(f"declare {self.type} {full}({', '.join([self.type] * len(args))})")
        return self.let(f"call {self.type} {full}({', '.join(f'{self.type} {a}' for a in args)})")

    def libm(self, name: str, *args: str) -> str:
        """A function of the C mathematics library, called for each lane: rare in formulas, so right before fast."""
        function = f"@{name}{'f' if self.real == 'float' else ''}"
        self.declared.add(f"declare {self.real} {function}({', '.join([self.real] * len(args))})")

        def call(values: list[str]) -> str:
            return self.let(f"call {self.real} {function}({', '.join(f'{self.real} {v}' for v in values)})")

        if self.lanes == 1:
            return call(list(args))
        result = "poison"
        for lane in range(self.lanes):
            one = call([self.let(f"extractelement {self.type} {a}, i64 {lane}") for a in args])
            result = self.let(f"insertelement {self.type} {result}, {self.real} {one}, i64 {lane}")
        return result

    def compare(self, how: str, a: str, b: str) -> str:
        return self.let(f"fcmp {how} {self.type} {a}, {b}")

    def select(self, condition: str, yes: str, no: str) -> str:
        return self.let(f"select {self.mask} {condition}, {self.type} {yes}, {self.type} {no}")

    def extreme(self, how: str, a: str, b: str) -> str:
        """The larger or smaller of two, or nan where either is: `a` unless `b` is beyond it or nan."""
        wins = self.let(f"or {self.mask} {self.compare(how, a, b)}, {self.compare('uno', a, a)}")
        return self.select(wins, a, b)

    def sign(self, x: str) -> str:
        zero = self.number(0.0)
        below = self.select(self.compare("olt", x, zero), self.number(-1.0), zero)
        return self.select(self.compare("ogt", x, zero), self.number(1.0), below)

    def invert(self, a: str) -> str:
        ones = "true" if self.lanes == 1 else "<" + ", ".join(["i1 true"] * self.lanes) + ">"
        return self.let(f"xor {self.mask} {a}, {ones}")


def _as_float32(value: float) -> float:
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _arithmetic(code: str) -> Callable[..., str]:
    # `contract` lets a product and a sum become one fused multiply-add; nothing else may be rearranged.
    return lambda b, *args: b.let(f"{code} contract {b.type} {', '.join(args)}")


def _compare(how: str) -> Callable[..., str]:
    return lambda b, x, y: b.compare(how, x, y)


def _logic(code: str) -> Callable[..., str]:
    return lambda b, x, y: b.let(f"{code} {b.mask} {x}, {y}")


def _intrinsic(name: str) -> Callable[..., str]:
    return lambda b, *args: b.intrinsic(name, *args)


def _libm(name: str) -> Callable[..., str]:
    return lambda b, *args: b.libm(name, *args)


OPS: dict[str, Callable[..., str]] = {
    "add": _arithmetic("fadd"),
    "sub": _arithmetic("fsub"),
    "mul": _arithmetic("fmul"),
    "div": _arithmetic("fdiv"),
    "neg": lambda b, x: b.let(f"fneg {b.type} {x}"),
    "abs": _intrinsic("fabs"),
    "sqrt": _intrinsic("sqrt"),
    "floor": _intrinsic("floor"),
    "sign": lambda b, x: b.sign(x),
    "exp": _libm("exp"),
    "log": _libm("log"),
    "tanh": _libm("tanh"),
    "sin": _libm("sin"),
    "cos": _libm("cos"),
    "atan2": _libm("atan2"),
    "pow": _libm("pow"),
    "maximum": lambda b, x, y: b.extreme("ogt", x, y),
    "minimum": lambda b, x, y: b.extreme("olt", x, y),
    "lt": _compare("olt"),
    "le": _compare("ole"),
    "gt": _compare("ogt"),
    "ge": _compare("oge"),
    "eq": _compare("oeq"),
    "ne": _compare("une"),
    "and": _logic("and"),
    "or": _logic("or"),
    "not": lambda b, x: b.invert(x),
    "isfinite": lambda b, x: b.compare("olt", b.intrinsic("fabs", x), b.number(float("inf"))),
    "where": lambda b, c, x, y: b.select(c, x, y),
}


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


def norm(real: str, name: str) -> str:
    """The module text of a chunk's sum of squared gradients, kept in double in the chunk's last word.

    It is nan where a gradient is not finite: a square alone could overflow, and a finite sum of squares alone proves
    that all is finite."""
    grad = HEAD + 1
    lanes = 8
    return f"""; the sum of squares of g
define void @{name}({ARGUMENTS}) {{
entry:
  %at.row = getelementptr i64, ptr %row, i64 {grad}
  %at = load ptr, ptr %at.row
  %count = sub i64 %end, %begin
  %bulk = and i64 %count, -{2 * lanes}
  %turn = add i64 %begin, %bulk
  br label %v.test
v.test:
  %v.i = phi i64 [ %begin, %entry ], [ %v.next, %v.loop ]
  %a = phi <{lanes} x double> [ zeroinitializer, %entry ], [ %a.next, %v.loop ]
  %b = phi <{lanes} x double> [ zeroinitializer, %entry ], [ %b.next, %v.loop ]
  %v.more = icmp slt i64 %v.i, %turn
  br i1 %v.more, label %v.loop, label %v.sum
v.loop:
  %v.at = getelementptr {real}, ptr %at, i64 %v.i
  %v.at2 = getelementptr {real}, ptr %v.at, i64 {lanes}
  %v.g = load <{lanes} x {real}>, ptr %v.at, align 4
  %v.g2 = load <{lanes} x {real}>, ptr %v.at2, align 4
  %v.d = {_widen(real, lanes, "%v.g")}
  %v.d2 = {_widen(real, lanes, "%v.g2")}
  %v.s = fmul contract <{lanes} x double> %v.d, %v.d
  %v.s2 = fmul contract <{lanes} x double> %v.d2, %v.d2
  %a.next = fadd contract <{lanes} x double> %a, %v.s
  %b.next = fadd contract <{lanes} x double> %b, %v.s2
  %v.next = add i64 %v.i, {2 * lanes}
  br label %v.test
v.sum:
  %ab = fadd <{lanes} x double> %a, %b
  %sum = call reassoc double @llvm.vector.reduce.fadd.v{lanes}f64(double 0.0, <{lanes} x double> %ab)
  br label %s.test
s.test:
  %s.i = phi i64 [ %turn, %v.sum ], [ %s.next, %s.loop ]
  %total = phi double [ %sum, %v.sum ], [ %total.next, %s.loop ]
  %s.more = icmp slt i64 %s.i, %end
  br i1 %s.more, label %s.loop, label %done
s.loop:
  %s.at = getelementptr {real}, ptr %at, i64 %s.i
  %s.g = load {real}, ptr %s.at
  %s.d = {_widen(real, 1, "%s.g")}
  %s.s = fmul contract double %s.d, %s.d
  %total.next = fadd contract double %total, %s.s
  %s.next = add i64 %s.i, 1
  br label %s.test
done:
  %out = getelementptr double, ptr %chunk, i64 {CHUNK - 1}
  store double %total, ptr %out
  ret void
}}
declare double @llvm.vector.reduce.fadd.v{lanes}f64(double, <{lanes} x double>)
"""


def _widen(real: str, lanes: int, value: str) -> str:
    wide, narrow = ("double", real) if lanes == 1 else (f"<{lanes} x double>", f"<{lanes} x {real}>")
    return f"fpext {narrow} {value} to {wide}" if real == "float" else f"bitcast {narrow} {value} to {wide}"


# Threads take chunks off one counter until none is left. A job: the counter, the number of chunks, the address of the
# chunks, and which word of a row holds the code to run.
WORKER = f"""; runs chunks until none is left
define void @work(ptr %job) {{
entry:
  %n.at = getelementptr i64, ptr %job, i64 1
  %n = load i64, ptr %n.at
  %chunks.at = getelementptr i64, ptr %job, i64 2
  %chunks = load ptr, ptr %chunks.at
  %word.at = getelementptr i64, ptr %job, i64 3
  %word = load i64, ptr %word.at
  br label %next
next:
  %i = atomicrmw add ptr %job, i64 1 monotonic
  %more = icmp slt i64 %i, %n
  br i1 %more, label %run, label %done
run:
  %offset = mul i64 %i, {CHUNK}
  %chunk = getelementptr i64, ptr %chunks, i64 %offset
  %row = load ptr, ptr %chunk
  %begin.at = getelementptr i64, ptr %chunk, i64 1
  %begin = load i64, ptr %begin.at
  %end.at = getelementptr i64, ptr %chunk, i64 2
  %end = load i64, ptr %end.at
  %code.at = getelementptr i64, ptr %row, i64 %word
  %code = load ptr, ptr %code.at
  call void %code(ptr %row, i64 %begin, i64 %end, ptr %chunk)
  br label %next
done:
  ret void
}}
"""
