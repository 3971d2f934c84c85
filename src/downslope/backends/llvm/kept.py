"""How each storage is loaded and stored: `backends.storage` in LLVM IR, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..storage import APART, HALF, INFINITE, MIX, NAN, ONE, SHIFT, SIGNED, UNSIGNED, Map
from .block import Block

MAPS: dict[str, Map] = {"int8": SIGNED, "uint8": UNSIGNED}


@dataclass
class Random:
    """The random bits of a loop's elements, each hash made once."""

    block: Block
    index: str
    numbers: dict[str, int]
    made: dict[int, str] = field(default_factory=dict)

    def take(self, tensor: str, shift: int = 0) -> str:
        """The 16 bits of a tensor, shifted to the left."""
        b, number = self.block, self.numbers[tensor]
        hashed = self.made.get(number // 2) or self._hash(number // 2)
        self.made[number // 2] = hashed
        if number % 2 == 0:
            kept = b.bits("and", hashed, 0xFFFF)
            return b.bits("shl", kept, shift) if shift else kept
        return (
            b.bits("and", b.bits("lshr", hashed, 16 - shift), 0xFFFF << shift) if shift else b.bits("lshr", hashed, 16)
        )

    def _hash(self, pair: int) -> str:
        b = self.block
        x = b.let(f"trunc i64 {self.index} to i32")
        if b.lanes > 1:
            x = b.let(f"insertelement {b.of('i32')} poison, i32 {x}, i64 0")
            x = b.let(f"shufflevector {b.of('i32')} {x}, {b.of('i32')} poison, {b.of('i32')} zeroinitializer")
            steps = "<" + ", ".join(f"i32 {(i + pair * APART) % 2**32}" for i in range(b.lanes)) + ">"
            x = b.bits("add", x, steps)
        elif pair:
            x = b.bits("add", x, pair * APART % 2**32)
        x = b.bits("xor", x, "%key.s" if b.lanes == 1 else "%key.v")
        for shift, factor in zip((16, 15), MIX):
            x = b.bits("xor", x, b.bits("lshr", x, shift))
            x = b.bits("mul", x, factor)
        return b.bits("xor", x, b.bits("lshr", x, 16))


@dataclass
class Place:
    """Where an element, or a vector of them, lies: its address, what stands beside it (an address, or the value of its
    block's scale), and its random bits."""

    tensor: str
    at: str
    beside: str = ""
    random: Random | None = None

    def bits(self, shift: int = 0) -> str:
        assert self.random is not None
        return self.random.take(self.tensor, shift)


def _load(b: Block, kind: str, at: str, align: int) -> str:
    return b.let(f"load {b.of(kind)}, ptr {at}, align {align}")


def _store(b: Block, kind: str, value: str, at: str, align: int) -> None:
    b.lines.append(f"  store {b.of(kind)} {value}, ptr {at}, align {align}")


def _load_half(b: Block, place: Place) -> str:
    return b.cast("fpext", _load(b, "half", place.at, 2), "half", "float")


def _store_half(b: Block, place: Place, value: str) -> None:
    _store(b, "half", b.cast("fptrunc", value, "float", "half"), place.at, 2)


def _upper(b: Block, place: Place) -> str:
    return b.bits("shl", b.cast("zext", _load(b, "i16", place.at, 2), "i16", "i32"), 16)


def _load_bfloat16(b: Block, place: Place) -> str:
    return b.cast("bitcast", _upper(b, place), "i32", "float")


def _bits(b: Block, value: str) -> str:
    """The bits of a number; every nan as the same, which no rounding makes another number."""
    bits = b.cast("bitcast", value, "float", "i32")
    return b.choose(b.compare("uno", value, value), b.whole(NAN), bits)


def _store_upper(b: Block, bits: str, at: str) -> None:
    _store(b, "i16", b.cast("trunc", b.bits("lshr", bits, 16), "i32", "i16"), at, 2)


def _store_bfloat16(b: Block, place: Place, value: str) -> None:
    """To the nearest, ties to even."""
    bits = _bits(b, value)
    last = b.bits("and", b.bits("lshr", bits, 16), 1)
    _store_upper(b, b.bits("add", b.bits("add", bits, last), HALF - 1), place.at)


def _store_stochastic(b: Block, place: Place, value: str) -> None:
    _store_upper(b, b.bits("add", _bits(b, value), place.bits()), place.at)


def _load_split(b: Block, place: Place) -> str:
    rest = b.cast("sext", _load(b, "i16", place.beside, 2), "i16", "i32")
    return b.cast("bitcast", b.bits("add", _upper(b, place), rest), "i32", "float")


def _store_split(b: Block, place: Place, value: str) -> None:
    bits = _bits(b, value)
    _store_upper(b, b.bits("add", bits, HALF), place.at)
    _store(b, "i16", b.cast("trunc", bits, "i32", "i16"), place.beside, 2)


def _load8(b: Block, place: Place, of: Map) -> str:
    codes = b.cast("zext", _load(b, "i8", place.at, 1), "i8", "i32")
    y = b.bits("add", b.bits("shl", b.bits("and", codes, of.last) if of.signed else codes, SHIFT), ONE)
    y = b.let(f"fsub {b.type} {b.cast('bitcast', y, 'i32', 'float')}, {b.number(1.0)}")
    y = b.let(f"fmul {b.type} {y}, {place.beside}")
    if not of.signed:
        return y
    sign = b.bits("and", b.bits("shl", codes, 24), -(1 << 31))
    return b.cast("bitcast", b.bits("or", b.cast("bitcast", y, "float", "i32"), sign), "i32", "float")


def store8(b: Block, place: Place, value: str, of: Map) -> None:
    """Encode a value with the reciprocal of its block's scale, which is beside it."""
    if of.signed:
        magnitude = b.intrinsic("fabs", value)
    else:
        magnitude = b.select(b.compare("olt", value, b.number(0.0)), b.number(0.0), value)
    y = b.let(f"fmul contract {b.type} {magnitude}, {place.beside}")
    y = b.cast("bitcast", b.let(f"fadd contract {b.type} {y}, {b.number(1.0)}"), "float", "i32")
    more = b.bits("sub", place.bits(SHIFT - 16), ONE)
    codes = b.bits("lshr", b.bits("add", y, more), SHIFT)
    codes = b.choose(b.let(f"icmp ult {b.of('i32')} {codes}, {b.whole(of.last)}"), codes, b.whole(of.last))
    if of.signed:
        sign = b.bits("and", b.bits("lshr", b.cast("bitcast", value, "float", "i32"), 24), 0x80)
        codes = b.bits("or", codes, sign)
    else:
        least = b.choose(b.let(f"icmp ugt {b.of('i32')} {codes}, {b.whole(1)}"), codes, b.whole(1))
        codes = b.choose(b.compare("ogt", value, b.number(0.0)), least, codes)
    _store(b, "i8", b.cast("trunc", codes, "i32", "i8"), place.at, 1)


def scale8(b: Block, largest: str, of: Map) -> tuple[str, str]:
    """A block's scale and its reciprocal, from the bits of its largest value: `storage.block_scales`."""
    up = b.bits("and", b.bits("add", largest, 1 << SHIFT), INFINITE)
    least = of.octaves + 1 << 23
    up = b.choose(b.let(f"icmp ugt i32 {up}, {least}"), up, str(least))
    scale = b.bits("sub", up, of.octaves << 23)
    bad = b.let(f"icmp uge i32 {largest}, {INFINITE}")
    reciprocal = b.choose(bad, "0", b.bits("sub", str(254 << 23), scale))
    scale = b.choose(bad, str(NAN), scale)
    return tuple(b.cast("bitcast", each, "i32", "float") for each in (scale, reciprocal))  # type: ignore[return-value]


Load = Callable[[Block, Place], str]
Store = Callable[[Block, Place, str], None]

LOAD: dict[str, Load] = {
    "float32": lambda b, place: _load(b, "float", place.at, 4),
    "float64": lambda b, place: _load(b, "double", place.at, 8),
    "float16": _load_half,
    "bfloat16": _load_bfloat16,
    "stochastic": _load_bfloat16,
    "split": _load_split,
    "int8": lambda b, place: _load8(b, place, SIGNED),
    "uint8": lambda b, place: _load8(b, place, UNSIGNED),
}
# Of 8 bits, a block is complete first.
STORE: dict[str, Store] = {
    "float32": lambda b, place, value: _store(b, "float", value, place.at, 4),
    "float64": lambda b, place, value: _store(b, "double", value, place.at, 8),
    "float16": _store_half,
    "bfloat16": _store_bfloat16,
    "stochastic": _store_stochastic,
    "split": _store_split,
}
# The type in memory, as addresses are counted in it.
KIND = {
    "float32": "float",
    "float64": "double",
    "float16": "half",
    "bfloat16": "i16",
    "stochastic": "i16",
    "split": "i16",
    "int8": "i8",
    "uint8": "i8",
}
