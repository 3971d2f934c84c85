"""Lines of LLVM IR, and the table of operations in it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field


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

    def of(self, kind: str) -> str:
        return kind if self.lanes == 1 else f"<{self.lanes} x {kind}>"

    def whole(self, value: int, kind: str = "i32") -> str:
        """An integer constant."""
        return str(value) if self.lanes == 1 else "<" + ", ".join([f"{kind} {value}"] * self.lanes) + ">"

    def bits(self, code: str, a: str, b: str | int) -> str:
        """An operation on integers of 32 bits."""
        return self.let(f"{code} {self.of('i32')} {a}, {self.whole(b) if isinstance(b, int) else b}")

    def cast(self, code: str, x: str, before: str, after: str) -> str:
        return self.let(f"{code} {self.of(before)} {x} to {self.of(after)}")

    def choose(self, condition: str, yes: str, no: str) -> str:
        """One of two integers."""
        return self.let(f"select {self.mask} {condition}, {self.of('i32')} {yes}, {self.of('i32')} {no}")

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
