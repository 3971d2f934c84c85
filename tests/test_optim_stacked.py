"""Many trials' optimizers as one: the bits of each alone, whatever they differ in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import pytest
import torch

from downslope import optimizer, schedules, where
from downslope.backends import cpu
from downslope.errors import SettingError, StateError
from downslope.optim import CLASSES, Optimizer
from downslope.optim.stacked import Stacked
from optim_cases import Variant, every_variant, parameters

SHAPES = ((7, 6), (5,), (), (40, 1000))  # the last is more than one chunk for the norm's sums
Settings = list[dict[str, Any]]


def gradients(trial: int, step: int, dtype: torch.dtype, shapes: Sequence[tuple[int, ...]]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1000 * trial + step)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]


class Both:
    """A stacked optimizer, and one for each trial: the same parameters and gradients."""

    def __init__(
        self,
        kind: type[Optimizer],
        settings: Settings,
        dtype: torch.dtype = torch.float32,
        shapes: Sequence[tuple[int, ...]] = SHAPES,
    ) -> None:
        self.shapes, self.dtype, self.trials = shapes, dtype, list(range(len(settings)))
        start = [[p.detach() * (1 + k) for p in parameters(*shapes, dtype=dtype)] for k in self.trials]
        self.alone = [kind([torch.nn.Parameter(p.clone()) for p in start[k]], **settings[k]) for k in self.trials]
        stacks = [torch.stack(each).requires_grad_() for each in zip(*start)]
        self.stacked = Stacked.of(kind, stacks, settings)
        self.step = 0

    def take(self, steps: int, change: Callable[[int, list[Any]], list[Any]] = lambda trial, grads: grads) -> None:
        for _ in range(steps):
            grads = [change(k, gradients(k, self.step, self.dtype, self.shapes)) for k in self.trials]
            for single, own in zip(self.alone, grads):
                for p, g in zip(single.param_groups[0]["params"], own):
                    p.grad = g
                single.step()
            for p, each in zip(self.stacked.params, zip(*grads)):
                p.grad = None if each[0] is None else torch.stack(each)
            self.stacked.step()
            self.step += 1

    def differences(self) -> float:
        """The largest between a trial and itself alone, over parameters and states; inf where one has no such state."""
        worst = 0.0
        for k, single in enumerate(self.alone):
            for i, p in enumerate(single.param_groups[0]["params"]):
                ours = {"p": self.stacked.params[i][k].detach(), **self.stacked.state_of(k)[i]}
                theirs = {"p": p.detach(), **{n: t for n, t in single.state[p].items() if t is not None}}
                assert ours.keys() == theirs.keys()
                for name in ours:
                    a, b = ours[name], theirs[name]
                    assert a.dtype == b.dtype, name
                    if not torch.equal(torch.nan_to_num(a, 7.0), torch.nan_to_num(b, 7.0)):
                        worst = max(worst, float((a.to(torch.complex128) - b).abs().max()))
        return worst


def varied(variant: Variant, count: int = 4) -> tuple[type[Optimizer], Settings]:
    kind, settings = variant
    base = kind.setting_defaults["lr"] or 0.01
    made = [{**settings, "lr": base * 0.7**k} for k in range(count)]
    made[1]["weight_decay"] = 0.03 if "weight_decay" in kind.setting_defaults else made[1].pop("weight_decay", 0.0)
    if "weight_decay" not in kind.setting_defaults:
        del made[1]["weight_decay"]
    if isinstance(kind.setting_defaults.get("betas"), tuple):
        made[2]["betas"] = (0.8, *kind.setting_defaults["betas"][1:])
    made[3]["lr"] = schedules.cosine(base, steps=9, warmup=2)
    return kind, made


@every_variant
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_every_formula_has_the_bits_of_each_trial_alone(variant: Variant, dtype: torch.dtype) -> None:
    both = Both(*varied(variant), dtype=dtype, shapes=SHAPES[:3])
    both.take(7)
    assert both.differences() == 0.0


@every_variant
def test_other_devices_go_through_torch_with_the_same_meaning(variant: Variant) -> None:
    with mock.patch.object(cpu, "covers", lambda *_: False):
        both = Both(*varied(variant), dtype=torch.bfloat16, shapes=SHAPES[:2])
        both.take(4)
    assert both.differences() <= 0.02


@pytest.mark.parametrize(
    "settings",
    [{}, {"state_dtype": "int8"}, {"state_dtype": "bfloat16", "param_mode": "stochastic"}, {"param_mode": "split"}],
    ids=str,
)
def test_storages_have_the_bits_of_each_trial_alone(settings: dict[str, Any]) -> None:
    kind, made = varied((CLASSES["AdamW"], settings))
    both = Both(kind, made, dtype=torch.bfloat16, shapes=SHAPES[:3])
    both.take(4)
    assert both.differences() == 0.0


AROUND: dict[str, Settings] = {
    "clipped by its own norm": [
        {"max_norm": 0.5},
        {"max_norm": 300.0},
        {},
        {"max_norm": schedules.linear(5, 1, steps=4)},
    ],
    "clipped by value": [{"clip_value": 0.1}, {}, {"clip_value": 1.0}],
    "averaged": [{"ema": 0.9}, {}, {"ema": 0.5}],
    "decayed": [{"weight_decay": 0.1}, {"weight_decay": 0.1, "decoupled_weight_decay": True}, {}],
    "climbing": [{"maximize": True}, {}],
    "scheduled throughout": [
        {
            "betas": (schedules.linear(0.5, 0.9, steps=5), 0.99),
            "weight_decay": schedules.chain(schedules.constant(0.1), 3, schedules.constant(0.0)),
        },
        {"lr": schedules.constant(0.1, warmup=3), "max_norm": 1.0},
    ],
}


@pytest.mark.parametrize("settings", AROUND.values(), ids=AROUND)
def test_what_stands_around_a_formula_is_each_trials_own(settings: Settings) -> None:
    both = Both(CLASSES["Adam"], settings)
    both.take(6)
    assert both.differences() == 0.0
    assert both.stacked.state_bytes()[-1] == sum(
        t.nbytes for state in both.alone[-1].state.values() for name, t in state.items() if name != "step"
    )


def test_formulas_that_settings_choose_run_side_by_side() -> None:
    settings = [{"lr": 0.1}, {"lr": 0.1, "momentum": 0.9}, {"lr": 0.1, "momentum": 0.5, "nesterov": True}]
    both = Both(CLASSES["SGD"], settings)
    both.take(5)
    assert both.differences() == 0.0
    assert both.stacked.state_bytes()[0] == 0 < both.stacked.state_bytes()[1]


def test_a_step_that_is_not_finite_is_skipped_by_its_trial_alone() -> None:
    both = Both(CLASSES["Adam"], [{"skip_nonfinite": True}, {"skip_nonfinite": True}, {}])

    def spoil(trial: int, grads: list[Any]) -> list[Any]:
        if trial == 1 and both.step == 2:
            grads[0][0, 0] = torch.inf
        return grads

    both.take(5, spoil)
    assert both.differences() == 0.0
    assert both.stacked.skipped_steps.tolist() == [0, 1, 0] and both.stacked.steps.tolist() == [5, 4, 5]


def test_parameters_without_a_gradient_wait_with_their_step_count() -> None:
    both = Both(CLASSES["RAdam"], [{}, {"lr": 0.1}])
    both.take(2)
    both.take(3, lambda trial, grads: [None if i == 1 else g for i, g in enumerate(grads)])
    both.take(3)
    assert both.differences() == 0.0
    assert [int(state["step"]) for state in both.stacked.state_of(0)] == [8, 5, 8, 8]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64], ids=str)
def test_the_trials_that_stay_go_on_as_if_the_others_had_never_been(dtype: torch.dtype) -> None:
    settings = [{"lr": schedules.cosine(0.1 / (1 + k), steps=9), "max_norm": 1.0} for k in range(4)]
    both = Both(CLASSES["Adam"], settings, dtype, SHAPES[:3])
    both.take(3)
    params = both.stacked.compact([3, 1])
    assert params is both.stacked.params and [len(p) for p in params] == [2, 2, 2]
    both.alone, both.trials = [both.alone[3], both.alone[1]], [3, 1]
    both.take(3)
    assert both.differences() <= (0.02 if dtype is torch.bfloat16 else 0.0)


def test_trials_keep_their_own_step_counts_when_others_leave() -> None:
    both = Both(CLASSES["Adam"], [{"skip_nonfinite": True}] * 3, shapes=SHAPES[:2])
    both.take(3, lambda trial, grads: [g / 0 if trial == 0 and both.step < 2 else g for g in grads])
    both.stacked.compact([1, 2])
    both.alone, both.trials = both.alone[1:], [1, 2]
    both.take(2)
    assert both.differences() == 0.0 and both.stacked.steps.tolist() == [5, 5]


def test_a_norm_is_summed_in_the_chunks_of_one_trial() -> None:
    """Four of these are enough for longer chunks, one is not."""
    both = Both(CLASSES["SGD"], [{"max_norm": 1.0 + k} for k in range(4)], torch.float64, [(600, 1000)])
    both.take(1)
    assert both.differences() == 0.0


def odd(p, g, *, t, lr=0.1, scale=1.0):  # type: ignore[no-untyped-def]
    """Divides by zero, for one of its trials in what it does not use, for another in what it does."""
    rate = where(scale > 0, lr / scale, lr)
    return p - rate * g / (2 + 1 / (t - scale))


def test_a_division_by_zero_is_each_trials_own() -> None:
    both = Both(optimizer(odd), [{}, {"scale": 0.0}, {"scale": 2.0}], shapes=SHAPES[:2])
    both.take(3)
    assert both.differences() == 0.0
    assert both.stacked.params[0].isfinite().all()


def test_formulas_that_need_whole_tensors_go_one_by_one() -> None:
    both = Both(CLASSES["Muon"], [{"lr": 0.1}, {"lr": schedules.cosine(0.1, steps=9)}, {}], shapes=[(4, 6), (3, 2)])
    both.take(3)
    both.stacked.compact([2, 1])
    both.alone, both.trials = [both.alone[2], both.alone[1]], [2, 1]
    both.take(2)
    assert both.differences() == 0.0


def test_complex_parameters_go_one_by_one() -> None:
    both = Both(CLASSES["AdamW"], [{"lr": 0.1}, {"lr": 0.01}], torch.complex64, SHAPES[:2])
    both.take(3)
    assert both.differences() == 0.0


def test_the_average_is_swapped_in_and_out() -> None:
    both = Both(CLASSES["SGD"], [{"lr": 0.1, "ema": 0.5}, {"lr": 0.1}])
    both.take(3)
    before = [p.detach().clone() for p in both.stacked.params]
    with both.stacked.swap_average(), both.alone[0].swap_average():
        assert both.differences() == 0.0
        assert not torch.equal(both.stacked.params[0][0], before[0][0])
        assert torch.equal(both.stacked.params[0][1], before[0][1])
        with pytest.raises(StateError, match="swap_average"):
            both.stacked.step()
    assert all(map(torch.equal, both.stacked.params, before))


def test_gradients_in_another_layout_are_taken_by_element() -> None:
    both = Both(CLASSES["Adam"], [{}, {}], shapes=[(4, 3)])
    both.take(1)
    for k, single in enumerate(both.alone):
        single.param_groups[0]["params"][0].grad = torch.arange(12.0).view(4, 3) + k
        single.step()
    both.stacked.params[0].grad = torch.stack([torch.arange(12.0).view(4, 3).T + k for k in range(2)]).transpose(1, 2)
    both.stacked.step()
    assert both.differences() == 0.0


def test_what_cannot_be_stacked_is_said() -> None:
    p = torch.zeros(2, 3)
    with pytest.raises(SettingError, match=r"shape \(2, 3\).*3 trials"):
        Stacked.of(CLASSES["SGD"], [p], [{}] * 3)
    with pytest.raises(SettingError, match="contiguous"):
        Stacked.of(CLASSES["SGD"], [torch.zeros(3, 2).T], [{}] * 2)
    with pytest.raises(SettingError, match="lr is -1"):
        Stacked.of(CLASSES["SGD"], [p], [{"lr": 0.1}, {"lr": -1}])
    with pytest.raises(SettingError, match="differentiable"):
        Stacked.of(CLASSES["SGD"], [p], [{}, {"differentiable": True}])
    q = torch.zeros(1, 3, requires_grad=True)
    one = Stacked.of(
        CLASSES["SGD"],
        [q],
        [{"lr": 0.1, "momentum": schedules.linear(0.0, 0.9, steps=2)}],
    )
    with pytest.raises(SettingError, match="other states"):
        for _ in range(4):
            q.grad = torch.ones_like(q)
            one.step()
