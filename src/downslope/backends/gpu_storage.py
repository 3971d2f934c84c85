"""Storages in Triton: how a block of values is loaded and stored, bit for bit as `storage` defines it.

Where a tensor is kept in 8 bits, a block of elements is a matrix with a line for each scale.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .storage import APART, BLOCK, INFINITE, MIX, ONE, SHIFT, SIGNED, STORAGES, UNSIGNED, Map

# What a pointer to a kept tensor points to. Codes are bits; a device rounds to the nearest bfloat16 by itself.
POINTS_TO = {
    "float32": "float32",
    "float64": "float64",
    "float16": "float16",
    "bfloat16": "bfloat16",
    "stochastic": "int16",
    "split": "int16",
    "int8": "uint8",
    "uint8": "uint8",
}
EIGHT = {"int8": SIGNED, "uint8": UNSIGNED}


@dataclass(frozen=True)
class Place:
    """Where a tensor is: its address and that of what stands beside it, as they are called in the kernel; `masked`, if
    the block reaches beyond the tensor."""

    at: str
    beside: str
    masked: bool
    random: str = ""  # 16 random bits for each value, where its rounding is random

    @property
    def mask(self) -> str:
        return ", mask=inside" if self.masked else ""

    @property
    def mask_of_scales(self) -> str:
        return ", mask=block * 256 < end" if self.masked else ""


Load = Callable[[Place, str], list[str]]
"""The lines that load a tensor, and put its values under a name."""
Store = Callable[[Place, str], list[str]]
"""The lines that store the value with a name."""


def _bits(value: str) -> str:
    return f"tl.where({value} != {value}, 0x7FC00000, {value}.to(tl.int32, bitcast=True))"


def _other(place: Place) -> str:
    return f"{place.mask}, other=0" if place.masked else ""


def _load_plain(place: Place, name: str) -> list[str]:
    return [f"{name} = tl.load({place.at} + i{_other(place)}).to(WORK)"]


def _load_upper(place: Place, name: str) -> list[str]:
    upper = f"(tl.load({place.at} + i{_other(place)}).to(tl.int32) << 16)"
    return [f"{name} = {upper}.to(tl.float32, bitcast=True)"]


def _load_split(place: Place, name: str) -> list[str]:
    upper = f"(tl.load({place.at} + i{_other(place)}).to(tl.int32) << 16)"
    lower = f"tl.load({place.beside} + i{_other(place)}).to(tl.int32)"
    return [f"{name} = ({upper} + {lower}).to(tl.float32, bitcast=True)"]


def _load8(of: Map) -> Load:
    def load(place: Place, name: str) -> list[str]:
        more = f"{place.mask_of_scales}, other=0" if place.masked else ""
        lines = [
            f"code = tl.load({place.at} + i{_other(place)}).to(tl.int32)",
            f"scale = tl.load({place.beside} + block{more})",
            f"{name} = (((code & {of.last}) << {SHIFT}) + {ONE}).to(tl.float32, bitcast=True) - 1.0",
            f"{name} = {name} * scale",
        ]
        return [*lines, f"{name} = tl.where(code > {of.last}, -{name}, {name})"] if of.signed else lines

    return load


def _store_plain(kind: str) -> Store:
    return lambda place, value: [f"tl.store({place.at} + i, {value}.to(tl.{kind}){place.mask})"]


def _store_stochastic(place: Place, value: str) -> list[str]:
    upper = f"({_bits(value)} + {place.random}) >> 16"
    return [f"tl.store({place.at} + i, ({upper}).to(tl.int16){place.mask})"]


def _store_split(place: Place, value: str) -> list[str]:
    return [
        f"bits = {_bits(value)}",
        f"upper = (bits + {1 << 15}) >> 16",
        f"tl.store({place.at} + i, upper.to(tl.int16){place.mask})",
        f"tl.store({place.beside} + i, (bits - (upper << 16)).to(tl.int16){place.mask})",
    ]


def _store8(of: Map) -> Store:
    def store(place: Place, value: str) -> list[str]:
        seen = f"tl.where(inside, {value}, 0.0)" if place.masked else value
        sign = "code = code | ((value.to(tl.int32, bitcast=True) >> 24) & 128)"
        positive = "code = tl.where(value > 0, tl.maximum(code, 1), code)"
        magnitude = "tl.abs(value)" if of.signed else "tl.where(value < 0, 0.0, value)"
        return [
            f"value = {seen}",
            "largest = tl.max(tl.abs(value).to(tl.int32, bitcast=True), axis=1, keep_dims=True)",
            f"up = tl.maximum((largest + {1 << SHIFT}) & {INFINITE}, {of.octaves + 1 << 23})",
            f"scale = (up - {of.octaves << 23}).to(tl.float32, bitcast=True)",
            f"inverse = tl.where(largest >= {INFINITE}, 0.0, 1.0 / scale)",
            f"scale = tl.where(largest >= {INFINITE}, float('nan'), scale)",
            f"y = {magnitude} * inverse + 1.0",
            f"code = (y.to(tl.int32, bitcast=True) - {ONE} + ({place.random} << {SHIFT - 16})) >> {SHIFT}",
            f"code = tl.where(y != y, {of.last}, tl.minimum(code, {of.last}))",
            sign if of.signed else positive,
            f"tl.store({place.at} + i, code.to(tl.uint8){place.mask})",
            f"tl.store({place.beside} + block, scale{place.mask_of_scales})",
        ]

    return store


LOADS: dict[str, Load] = {
    **{name: _load_plain for name in ("float32", "float64", "float16", "bfloat16")},
    "stochastic": _load_upper,
    "split": _load_split,
    **{name: _load8(of) for name, of in EIGHT.items()},
}
STORES: dict[str, Store] = {
    **{name: _store_plain(name) for name in ("float32", "float64", "float16", "bfloat16")},
    "stochastic": _store_stochastic,
    "split": _store_split,
    **{name: _store8(of) for name, of in EIGHT.items()},
}
assert LOADS.keys() == STORES.keys() == POINTS_TO.keys() <= STORAGES.keys()


def indices(start: str, matrix: bool) -> list[str]:
    """The elements of a block, and the lines of scales that they have."""
    if not matrix:
        return [f"i = {start} + tl.arange(0, BLOCK)"]
    return [
        f"block = {start} // {BLOCK} + tl.arange(0, BLOCK // {BLOCK})[:, None]",
        f"i = block * {BLOCK} + tl.arange(0, {BLOCK})[None, :]",
    ]


def _mixed(name: str) -> list[str]:
    """The lines that hash 32 bits."""
    lines = []
    for shift, factor in zip((16, 15), MIX):
        lines += [f"{name} = {name} ^ ({name} >> {shift})", f"{name} = {name} * tl.full((), {factor}, tl.uint32)"]
    return [*lines, f"{name} = {name} ^ ({name} >> 16)"]


def key_lines(step: str) -> list[str]:
    """What the random bits of each parameter begin with in this step: of the hash of the seed, its count, its place."""
    return [
        f"hash = ({step} - 1).to(tl.int64).to(tl.uint32) ^ tl.cast(seed, tl.uint32)",
        *_mixed("hash"),
        "hash = hash ^ place.to(tl.uint32)",
        *_mixed("hash"),
        "tl.store(keys + i, hash.to(tl.int64), mask=inside)",
    ]


def random_lines(numbers: int) -> list[str]:
    """16 random bits of each element for so many tensors: `random0`, `random1`, ...; 32 at a time are hashed."""
    lines = []
    for pair in range((numbers + 1) // 2):
        lines += [f"hash = (i + {pair * APART}).to(tl.uint32) ^ key", *_mixed("hash")]
        lines.append(f"random{2 * pair} = (hash & 0xFFFF).to(tl.int32)")
        if 2 * pair + 1 < numbers:
            lines.append(f"random{2 * pair + 1} = (hash >> 16).to(tl.int32)")
    return lines
