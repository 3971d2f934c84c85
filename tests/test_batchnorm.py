"""Batch norm's statistics over a whole set, against a direct computation."""

from __future__ import annotations

import copy
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from downslope import RunError
from downslope.training.batchnorm import recompute
from downslope.training.data import Part

LAYERS = {
    "1d": (lambda: nn.BatchNorm1d(3), (23, 3)),
    "1d-long": (lambda: nn.BatchNorm1d(3), (23, 3, 5)),
    "2d": (lambda: nn.BatchNorm2d(3, momentum=None), (23, 3, 4, 5)),
    "3d": (lambda: nn.BatchNorm3d(3, affine=False), (23, 3, 2, 3, 2)),
    "sync": (lambda: nn.SyncBatchNorm(3), (23, 3, 4, 5)),
    "double": (lambda: nn.BatchNorm2d(3).double(), (23, 3, 4, 5)),
}
every_layer = pytest.mark.parametrize(("make", "shape"), LAYERS.values(), ids=LAYERS)


def cut(inputs: torch.Tensor, batch: int) -> list[tuple[torch.Tensor, None]]:
    return [(part, None) for part in inputs.split(batch)]


@every_layer
@pytest.mark.parametrize("layerwise", [False, True])
@pytest.mark.parametrize("batch", [4, 7, 23])
def test_the_statistics_are_those_of_all_values(make, shape, batch, layerwise) -> None:
    layer = make()
    inputs = 5 + 2 * torch.randn(shape, dtype=next(layer.buffers()).dtype, generator=torch.Generator().manual_seed(0))
    inputs *= torch.linspace(1, 3, 23).view(-1, *[1] * (inputs.ndim - 1))  # batches differ
    assert recompute(nn.Sequential(layer), cut(inputs, batch), layerwise=layerwise) == 1
    over = [d for d in range(inputs.ndim) if d != 1]
    torch.testing.assert_close(layer.running_mean, inputs.mean(over))
    torch.testing.assert_close(layer.running_var, inputs.var(over))


def test_statistics_far_from_zero_are_exact() -> None:
    layer, inputs = nn.BatchNorm1d(2), 3000 + torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    recompute(layer, cut(inputs, 10))
    torch.testing.assert_close(layer.running_var, inputs.double().var(0).float(), rtol=1e-5, atol=0)


def deep() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(4 * 16, 6),
        nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 6), nn.BatchNorm1d(6, track_running_stats=False), nn.BatchNorm1d(6),
    )  # fmt: skip
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.5)
    return model, torch.randn(60, 1, 6, 6)


PLACES = (1, 6, 10)


def test_in_depth_every_layer_sees_what_training_shows_it() -> None:
    model, inputs = deep()
    seen: dict[int, list[torch.Tensor]] = {place: [] for place in PLACES}
    direct = copy.deepcopy(model)
    direct[3] = nn.Identity()
    for place in PLACES:
        direct[place].register_forward_pre_hook(lambda m, i, place=place: seen[place].append(i[0].detach()))
    for part in inputs.split(16):
        direct.train()(part)
    assert recompute(model, cut(inputs, 16)) == 3
    for place in PLACES:
        values = torch.cat(seen[place]).double()
        over = [d for d in range(values.ndim) if d != 1]
        torch.testing.assert_close(model[place].running_mean.double(), values.mean(over), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(model[place].running_var.double(), values.var(over), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch", [1, 16, 60])
def test_layer_by_layer_the_statistics_are_those_of_evaluation(batch: int) -> None:
    model, inputs = deep()
    model[9] = nn.Identity()  # it would normalise by the batch in evaluation too
    recompute(model, cut(inputs, batch), layerwise=True)
    seen = {}
    for place in PLACES:
        model[place].register_forward_pre_hook(lambda m, i, place=place: seen.update({place: i[0].detach()}))
    model.eval()(inputs)
    for place, values in seen.items():
        over = [d for d in range(values.ndim) if d != 1]
        torch.testing.assert_close(model[place].running_mean, values.mean(over), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(model[place].running_var, values.var(over), rtol=1e-4, atol=1e-5)


def test_one_batch_of_everything_is_a_training_step_with_momentum_one() -> None:
    model, inputs = deep()
    direct = copy.deepcopy(model).train()
    direct[3].eval()
    for place in PLACES:
        direct[place].momentum = 1.0
    direct(inputs)
    recompute(model, [(inputs, None)])
    for place in PLACES:
        torch.testing.assert_close(model[place].running_mean, direct[place].running_mean)
        torch.testing.assert_close(model[place].running_var, direct[place].running_var)


class Drawing(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 12

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return torch.randn(1, 6, 6) + random.random() + np.random.rand(), 0


@pytest.mark.parametrize("layerwise", [False, True])
def test_nothing_else_changes(layerwise: bool) -> None:
    model, _ = deep()
    model.train()
    model[1].eval()
    model[6].momentum = None
    modes, before = [m.training for m in model.modules()], copy.deepcopy(model.state_dict())
    states = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())
    loader = DataLoader(Drawing(), batch_size=4, shuffle=True)
    recompute(model, loader, layerwise=layerwise)
    assert [m.training for m in model.modules()] == modes
    assert [model[place].momentum for place in PLACES] == [0.1, None, 0.1]
    assert not any(m._forward_hooks for m in model.modules())
    changed = {name for name, t in model.state_dict().items() if not torch.equal(t, before[name])}
    assert changed == {f"{place}.running_{what}" for place in PLACES for what in ("mean", "var")}
    after = (torch.get_rng_state(), np.random.get_state()[1], random.getstate())
    assert torch.equal(states[0], after[0]) and (states[1] == after[1]).all() and states[2] == after[2]


def test_a_shared_layer_pools_all_that_it_sees() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(x) + self.norm(10 * x)

    model, inputs = Twice(), torch.randn(30, 2)
    recompute(model, cut(inputs, 8))
    both = torch.cat([inputs, 10 * inputs])
    torch.testing.assert_close(model.norm.running_mean, both.mean(0))
    torch.testing.assert_close(model.norm.running_var, both.var(0))


@pytest.mark.parametrize("model", [nn.Linear(3, 3), nn.BatchNorm1d(3, track_running_stats=False), nn.LayerNorm(3)])
def test_without_statistics_there_is_no_work(model: nn.Module) -> None:
    def never():
        raise AssertionError("a batch was asked for")
        yield

    assert recompute(model, never()) == 0


def test_half_precision_is_pooled_in_more() -> None:
    layer, inputs = nn.BatchNorm1d(2).bfloat16(), (100 + torch.randn(400, 2)).bfloat16()
    recompute(layer, cut(inputs, 50), layerwise=True)
    torch.testing.assert_close(layer.running_var, inputs.double().var(0).bfloat16())


def test_a_part_gives_the_batches() -> None:
    inputs, targets = torch.randn(20, 3), torch.zeros(20)
    for source in ((inputs, targets), TensorDataset(inputs, targets)):
        layer = nn.BatchNorm1d(3)
        recompute(layer, Part(source, "here").batches(6))
        torch.testing.assert_close(layer.running_mean, inputs.mean(0))


@pytest.mark.parametrize(
    ("batches", "layerwise", "message"),
    [
        ([], False, "no batch to take the statistics of"),
        (cut(torch.ones(5, 3), 2), False, "batch norm 0: a batch has one value to a channel.*layerwise=True"),
        (cut(torch.ones(1, 3), 2), True, "batch norm 0: saw one value to a channel, .*give more data"),
        (iter(cut(torch.ones(4, 3), 2)), True, "a generator gives them only once; give a list or a DataLoader"),
    ],
)
def test_what_has_no_statistics_is_an_error_and_changes_nothing(batches, layerwise, message) -> None:
    model = nn.Sequential(nn.BatchNorm1d(3))
    with pytest.raises(RunError, match=message):
        recompute(model, batches, layerwise=layerwise)
    assert model.training and model[0].training and not model[0]._forward_hooks
    assert not model[0].running_mean.any() and (model[0].running_var == 1).all()
