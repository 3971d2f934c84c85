"""How numbers are kept, apart from the maths: the table of storages, and what each means in torch operations.

Arithmetic is float32 (float64 for float64 parameters). A pass decodes what it loads and encodes what it stores; the
plan between the two is the same for every storage. The functions here are the definition that kernels are held against,
bit for bit, and the way for all that the kernels do not cover. They take flat tensors in the order of memory.

Rounding is stochastic where a small change must not be lost: up with the probability that keeps the mean. The random
bits of an element are a hash of the optimizer's seed, its step, the parameter's place, and the element's place in
memory: the same in every back end and for any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

BLOCK = 256
"""How many 8-bit values share a scale."""

Tensor = torch.Tensor
Decode = Callable[[Tensor, Tensor | None], Tensor]
Encode = Callable[[Tensor, "Tensor | None"], "tuple[Tensor, Tensor | None]"]


@dataclass(frozen=True)
class Beside:
    """A tensor that a storage needs beside the values: what its name ends in, its type, and for how many values it has
    one element."""

    suffix: str
    dtype: torch.dtype
    every: int


@dataclass(frozen=True, eq=False)
class Storage:
    """A way to keep a float32 number.

    `decode(kept, beside)` gives float32 values; `encode(values, bits)` gives what is kept and what is beside it. `bits`
    are 16 random bits for each value, of type int32, or None to round to nearest; those that are not `random` need
    none."""

    name: str
    dtype: torch.dtype
    decode: Decode
    encode: Encode
    beside: Beside | None = None
    random: bool = False

    @property
    def bytes(self) -> float:
        """For each value."""
        more = self.beside.dtype.itemsize / self.beside.every if self.beside else 0
        return self.dtype.itemsize + more


# ---- random bits


_MASK = 0xFFFFFFFF
MIX = (0x7FEB352D, 0x846CA68B)
"""The factors of the hash: two rounds of xor-shift and multiply (C. Wellons, "lowbias32")."""
APART = 0x9E3779B9
"""What is added to an element's place for the next 32 bits: 2^32 over the golden ratio."""


def mix(x: int) -> int:
    """A hash of 32 bits."""
    for shift, factor in zip((16, 15), MIX):
        x ^= x >> shift
        x = x * factor & _MASK
    return x ^ x >> 16


def step_key(seed: int, step: int) -> int:
    """What random bits of a step begin with."""
    return mix(mix(seed & _MASK) ^ (step & _MASK))


def row_keys(key: int, places: np.ndarray) -> np.ndarray:
    """The key of each parameter in a step: a hash of the step's and of its place. As int64, for a kernel's row."""
    x = np.uint32(key) ^ places.astype(np.uint32)
    for shift, factor in zip((16, 15), MIX):
        x ^= x >> np.uint32(shift)
        x *= np.uint32(factor)
    return (x ^ x >> np.uint32(16)).astype(np.int64)


def random_bits(key: int, size: int, number: int, device: torch.device | None = None) -> Tensor:
    """16 bits for each of a parameter's elements: those of the tensor `number` among the ones with random rounding."""
    x = torch.arange(size, device=device)  # int64 holds 32 bits without a sign
    x = (x + number // 2 * APART & _MASK) ^ key
    for shift, factor in zip((16, 15), MIX):
        x ^= x >> shift
        x = x * factor & _MASK
    x ^= x >> 16
    return ((x >> 16) if number % 2 else (x & 0xFFFF)).int()


# ---- bfloat16

NAN = 0x7FC00000
HALF = 1 << 15


def _bits(values: Tensor) -> Tensor:
    """The bits of float32 values; every nan as the same."""
    return torch.where(values.isnan(), NAN, values.view(torch.int32))


def _upper(bits: Tensor) -> Tensor:
    return (bits >> 16).to(torch.int16).view(torch.bfloat16)


def _to_bfloat16(values: Tensor, random: Tensor | None) -> tuple[Tensor, None]:
    return values.bfloat16(), None


def _to_bfloat16_stochastic(values: Tensor, random: Tensor | None) -> tuple[Tensor, None]:
    """The lower 16 bits are lost: adding random ones before carries with the probability that they stand for."""
    return (values.bfloat16() if random is None else _upper(_bits(values) + random)), None


def _to_split(values: Tensor, random: Tensor | None) -> tuple[Tensor, Tensor]:
    """The nearest bfloat16, ties away from zero, and what is missing of the bits, from -2^15 to 2^15 - 1."""
    bits = _bits(values)
    upper = bits + HALF >> 16
    return _upper(upper << 16), (bits - (upper << 16)).to(torch.int16)


def _from_split(kept: Tensor, beside: Tensor | None) -> Tensor:
    assert beside is not None
    return ((kept.view(torch.int16).int() << 16) + beside.int()).view(torch.float32)


# ---- 8 bits in blocks
#
# A code of n bits is the exponent and the first 4 bits of the mantissa of 1 + y, where y is the value over the block's
# scale: equal steps near 0, then steps in proportion, exactly 0 at 0, no table, no root and no denormal number. The
# scale is a power of two, so that scaling rounds nothing, and so large that no value lies beyond the last code.

FRACTION = 4  # bits of mantissa
SHIFT = 23 - FRACTION
ONE = 0x3F800000  # the bits of 1.0
INFINITE = 0x7F800000


@dataclass(frozen=True)
class Map:
    """Which numbers the codes of a block stand for: `bits` of exponent and fraction, and a sign if `signed`.

    Without a sign no value above 0 becomes 0: a mean square of 0 would divide."""

    bits: int
    signed: bool

    @property
    def last(self) -> int:
        return (1 << self.bits) - 1

    @property
    def octaves(self) -> int:
        """The scale's exponent below that of the block's largest value."""
        return (1 << self.bits - FRACTION) - 1


SIGNED, UNSIGNED = Map(7, True), Map(8, False)


def block_scales(largest: Tensor, octaves: int) -> Tensor:
    """The scales, from the bits of each block's largest value; nan where a block holds anything but numbers.

    The largest is rounded up in its fifth bit of mantissa first: what the last code stands for is the largest that can
    come out."""
    up = (largest + (1 << SHIFT) & INFINITE).clamp(min=octaves + 1 << 23)
    scale = (up - (octaves << 23)).view(torch.float32)
    return torch.where(largest >= INFINITE, torch.nan, scale)


def _decode8(of: Map) -> Decode:
    def decode(kept: Tensor, beside: Tensor | None) -> Tensor:
        assert beside is not None
        codes = kept.view(torch.uint8).int()
        y = ((codes & of.last) << SHIFT) + ONE
        values = (y.view(torch.float32) - 1.0) * beside.repeat_interleave(BLOCK)[: len(codes)]
        return torch.where(codes > of.last, -values, values)

    return decode


def _encode8(of: Map) -> Encode:
    def encode(values: Tensor, random: Tensor | None) -> tuple[Tensor, Tensor]:
        size = len(values)
        blocks = torch.nn.functional.pad(values, (0, -size % BLOCK)).view(-1, BLOCK)
        largest = blocks.abs().view(torch.int32).amax(1) if size else blocks.new_zeros(0, dtype=torch.int32)
        scales = block_scales(largest, of.octaves)
        magnitudes = blocks.abs() if of.signed else torch.where(blocks < 0, 0.0, blocks)
        y = (magnitudes * scales.isfinite().div(scales).nan_to_num(0.0)[:, None]).flatten()[:size] + 1.0
        more = 1 << SHIFT - 1 if random is None else random << SHIFT - 16
        codes = (y.view(torch.int32) - ONE + more >> SHIFT).clamp(max=of.last)
        codes = torch.where(y.isnan(), of.last, codes)
        if of.signed:
            codes |= values.signbit().int() << 7
        else:
            codes = torch.where(values > 0, codes.clamp(min=1), codes)
        return codes.to(torch.uint8).view(torch.int8 if of.signed else torch.uint8), scales

    return encode


def _plain(dtype: torch.dtype) -> Storage:
    name = str(dtype).removeprefix("torch.")
    return Storage(name, dtype, lambda kept, beside: kept, lambda values, random: (values, None))


_SCALE = Beside("scale", torch.float32, BLOCK)

STORAGES: dict[str, Storage] = {
    each.name: each
    for each in (
        _plain(torch.float32),
        _plain(torch.float64),  # arithmetic is float64 then
        *map(_plain, (torch.complex32, torch.complex64, torch.complex128)),  # pairs of numbers, which no kernel takes
        Storage("float16", torch.float16, lambda kept, beside: kept.float(), lambda v, random: (v.half(), None)),
        Storage("bfloat16", torch.bfloat16, lambda kept, beside: kept.float(), _to_bfloat16),
        Storage("stochastic", torch.bfloat16, lambda kept, beside: kept.float(), _to_bfloat16_stochastic, random=True),
        Storage("split", torch.bfloat16, _from_split, _to_split, Beside("remainder", torch.int16, 1)),
        Storage("int8", torch.int8, _decode8(SIGNED), _encode8(SIGNED), _SCALE, random=True),
        Storage("uint8", torch.uint8, _decode8(UNSIGNED), _encode8(UNSIGNED), _SCALE, random=True),
    )
}

Kept = tuple[str, ...]
"""The storage of each of a plan's tensors, in their order: what a kernel is compiled for beside the plan."""


def beside_of(tensors: Sequence[str], kept: Kept) -> list[str]:
    """The names of the tensors that stand beside a plan's, in their order: a row's addresses after the plan's own."""
    return [f"{name}_{beside.suffix}" for name, storage in zip(tensors, kept) if (beside := STORAGES[storage].beside)]


def random_numbers(tensors: Sequence[str], kept: Kept) -> dict[str, int]:
    """Which of an element's random bits each tensor with random rounding takes: 16 each, in their order."""
    random = [name for name, storage in zip(tensors, kept) if STORAGES[storage].random]
    return {name: number for number, name in enumerate(random)}


def name_of(dtype: torch.dtype) -> str:
    """The storage of tensors of a dtype as they are."""
    return str(dtype).removeprefix("torch.")


def as_they_are(tensors: Sequence[str], name: str) -> Kept:
    """All of a plan's tensors in one storage, but for what one pass stores for the next: that is at least float32."""
    wide = "float32" if name in ("float16", "bfloat16") else name
    return tuple(wide if "." in tensor else name for tensor in tensors)
