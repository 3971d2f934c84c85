"""The table of storages: what each loses, that rounding keeps the mean, and the edges of what floats can be."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from downslope.backends.storage import (
    BLOCK,
    STORAGES,
    Storage,
    mix,
    random_bits,
    row_keys,
    step_key,
)
from downslope.compiler.plan import program
from downslope.compiler.ranges import never_negative
from downslope.formulas import FORMULAS

LOW = [s for name, s in STORAGES.items() if name not in ("float32", "float64") and not s.dtype.is_complex]
every_storage = pytest.mark.parametrize("storage", LOW, ids=lambda s: s.name)
SIZES = (1, 255, 256, 257, 10_000)


def numbers(storage: Storage, size: int, spread: float = 3.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(size)
    values = torch.randn(size, generator=generator)
    values = values * 10 ** torch.empty(size).uniform_(-spread, 0, generator=generator)
    return values.abs() if storage.dtype is torch.uint8 else values


def through(storage: Storage, values: torch.Tensor, random: torch.Tensor | None = None) -> torch.Tensor:
    return storage.decode(*storage.encode(values, random))


def step_of(storage: Storage, values: torch.Tensor) -> torch.Tensor:
    """The distance of neighbouring numbers around each value, at most."""
    if storage.name in ("split", "float32"):
        return torch.zeros_like(values)
    if storage.beside is None:
        bits = {torch.float16: 10, torch.bfloat16: 7}[storage.dtype]
        return values.abs() * 2.0**-bits + 2.0**-24
    blocks = torch.nn.functional.pad(values.abs(), (0, -len(values) % BLOCK)).view(-1, BLOCK)
    largest = blocks.amax(1, keepdim=True).expand_as(blocks).flatten()[: len(values)]
    octaves = 7 if storage.dtype is torch.int8 else 15
    return (values.abs() + 2.0 * largest * 2.0**-octaves) / 16


@every_storage
@pytest.mark.parametrize("size", SIZES)
def test_rounds_to_a_neighbour(storage: Storage, size: int) -> None:
    values = numbers(storage, size)
    apart = step_of(storage, values)
    assert ((through(storage, values) - values).abs() <= apart * 0.5 + (values > 0) * apart * 0.5).all()
    for number in range(3):
        found = through(storage, values, random_bits(7, size, number))
        assert ((found - values).abs() <= apart).all()


@every_storage
def test_what_can_be_kept_is_kept_exactly(storage: Storage) -> None:
    once = through(storage, numbers(storage, 1000))
    for random in (None, random_bits(3, 1000, 0), random_bits(4, 1000, 1)):
        again = through(storage, once, random)
        assert torch.equal(again.view(torch.int32), once.view(torch.int32))


@pytest.mark.parametrize("storage", [s for s in LOW if s.random], ids=lambda s: s.name)
def test_random_rounding_keeps_the_mean(storage: Storage) -> None:
    values, times = numbers(storage, 2000, spread=1.5), 400
    total = torch.zeros(2000, dtype=torch.float64)
    for step in range(times):
        total += through(storage, values, random_bits(mix(step), 2000, step % 3))
    off = (total / times - values).abs() / step_of(storage, values)
    # A share u of a step up or down has a deviation of at most half a step.
    assert off.max() < 5 * 0.5 / math.sqrt(times)
    assert abs(((total / times - values) / step_of(storage, values)).mean()) < 5 * 0.5 / math.sqrt(times * 2000)


@every_storage
def test_edges(storage: Storage) -> None:
    zeros = torch.zeros(300)
    assert torch.equal(through(storage, zeros, random_bits(1, 300, 0)), zeros)
    if storage.dtype is not torch.uint8:
        assert through(storage, -zeros).signbit().all()
    for bad in (math.inf, -math.inf, math.nan):
        values = numbers(storage, 300)
        values[5] = bad
        found = through(storage, values, random_bits(1, 300, 0))
        if storage.beside is not None and storage.beside.suffix == "scale":
            assert found[:BLOCK].isnan().all(), "a block with a number that is none says so"
            assert torch.isfinite(found[BLOCK:]).all()
        else:
            torch.testing.assert_close(found[5], torch.tensor(bad), equal_nan=True)
    tiny = torch.full((300,), 1e-42)  # denormal
    assert torch.isfinite(through(storage, tiny)).all()
    largest = torch.finfo(torch.float16 if storage.dtype is torch.float16 else torch.float32).max
    huge = numbers(storage, 300)
    huge[7] = largest
    if storage.dtype is not torch.bfloat16:  # where the nearest is infinity
        assert torch.isfinite(through(storage, huge, random_bits(2, 300, 1))).all()


def test_split_is_exact_for_every_number() -> None:
    generator = torch.Generator().manual_seed(0)
    bits = torch.randint(-(2**31), 2**31, (100_000,), generator=generator, dtype=torch.int64).to(torch.int32)
    values = bits.view(torch.float32)
    values = values[~values.isnan()]
    kept, rest = STORAGES["split"].encode(values, None)
    assert torch.equal(STORAGES["split"].decode(kept, rest).view(torch.int32), values.view(torch.int32))
    exact = (kept.float() - values).abs() <= (values.bfloat16().float() - values).abs()
    assert (exact | ~torch.isfinite(kept) | ~torch.isfinite(values)).all(), "the parameter itself is not the nearest"


def test_one_huge_value_does_not_take_small_second_moments_to_zero() -> None:
    values = torch.full((BLOCK,), 1e-12)
    values[3] = 1.0
    found = through(STORAGES["uint8"], values, random_bits(9, BLOCK, 0))
    assert (found > 0).all() and found[4] < 1e-5


def test_random_bits_are_uniform_and_of_their_own() -> None:
    first, second, third = (random_bits(step_key(0, 5), 100_000, number) for number in range(3))
    for bits in (first, second, third):
        counts = torch.bincount(bits >> 8, minlength=256).double()
        assert bits.min() >= 0 and bits.max() < 1 << 16
        assert ((counts - 100_000 / 256) ** 2 / (100_000 / 256)).sum() < 350  # chi squared: 255 +- 23
    together = torch.stack([first, second, third, random_bits(step_key(0, 6), 100_000, 0)]).double()
    assert (torch.corrcoef(together) - torch.eye(4)).abs().max() < 0.02


def test_keys_of_rows_are_those_of_single_numbers() -> None:
    key = step_key(2**40 + 3, 17)
    assert row_keys(key, np.arange(5)).tolist() == [mix(key ^ place) for place in range(5)]


NEVER_NEGATIVE = {
    "adam": {"exp_avg_sq"},
    "amsgrad": {"exp_avg_sq", "max_exp_avg_sq"},
    "adamax": {"exp_inf"},
    "adadelta": {"square_avg", "acc_delta"},
    "rmsprop_centered_momentum": {"square_avg"},
    "rprop": {"step_size"},
    "yogi": {"exp_avg_sq"},
    "adabelief": {"exp_avg_var"},
    "lion": set(),
    "asgd": set(),
    "adan": {"exp_avg_sq"},
}


@pytest.mark.parametrize("formula", NEVER_NEGATIVE)
def test_states_that_are_never_negative(formula: str) -> None:
    plan = program(FORMULAS[formula])
    assert never_negative(plan.graph) & {*plan.states} == NEVER_NEGATIVE[formula]
