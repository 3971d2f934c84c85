"""Ensembles: averaged predictions, by hand, and how the loss tells what to average."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from downslope import RunError, SettingError, Task
from downslope.training.data import Part
from downslope.training.ensemble import Score, scores

G = torch.Generator().manual_seed(0)
X = torch.randn(30, 4, generator=G)
CLASSES = torch.randint(3, (30,), generator=G)
MAPS, MAP_CLASSES = torch.randn(10, 4, 5, 5, generator=G), torch.randint(3, (10, 5, 5), generator=G)
BITS = torch.randint(2, (30, 3), generator=G).float()
REAL = torch.randn(30, 3, generator=G)
ONE = torch.randn(30, generator=G)


def hit(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return (output.argmax(1) == target).double().mean()


def linear() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))


# model, inputs, targets, loss, kind
CASES = {
    "cross-entropy": (linear, X, CLASSES, F.cross_entropy, "softmax"),
    "smoothed": (linear, X, CLASSES, nn.CrossEntropyLoss(label_smoothing=0.1), "softmax"),
    "weighted": (linear, X, CLASSES, nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0])), "softmax"),
    "class-probabilities": (linear, X, BITS.softmax(1), F.cross_entropy, "softmax"),
    "log-probabilities": (lambda: nn.Sequential(linear(), nn.LogSoftmax(1)), X, CLASSES, F.nll_loss, "softmax"),
    "per-pixel": (lambda: nn.Conv2d(4, 3, 3, padding=1), MAPS, MAP_CLASSES, F.cross_entropy, "softmax"),
    "bits": (linear, X, BITS, F.binary_cross_entropy_with_logits, "sigmoid"),
    "probabilities": (lambda: nn.Sequential(linear(), nn.Sigmoid()), X, BITS, F.binary_cross_entropy, "mean"),
    "squares": (linear, X, REAL, F.mse_loss, "mean"),
    "squares-of-bits": (linear, X, BITS, F.mse_loss, "mean"),
    "squares-of-classes": (linear, X, CLASSES, lambda o, t: F.mse_loss(o, F.one_hot(t, 3).float()), "mean"),
    "distance": (linear, X, REAL, F.l1_loss, "mean"),
    "one-number": (lambda: nn.Sequential(nn.Linear(4, 1), nn.Flatten(0)), X, ONE, F.huber_loss, "mean"),
}
BY_HAND = {
    "softmax": lambda outputs: torch.stack([o.softmax(1) for o in outputs]).mean(0).log(),
    "sigmoid": lambda outputs: torch.stack([o.sigmoid() for o in outputs]).mean(0).logit(),
    "mean": lambda outputs: torch.stack(outputs).mean(0),
}


def members(make, n: int = 3) -> list[nn.Module]:
    models = []
    for seed in range(n):
        torch.manual_seed(seed)
        models.append(make())
    return models


@pytest.mark.parametrize("case", CASES)
def test_the_loss_tells_what_is_averaged(case: str) -> None:
    make, inputs, targets, loss, kind = CASES[case]
    models = members(make)
    got = scores(models, Task.of(make, (inputs, targets), loss=loss), Part((inputs, targets), "here"))
    assert got.kind == kind
    with torch.no_grad():
        outputs = [model.eval()(inputs) for model in models]
        assert [s.loss for s in got.single] == pytest.approx([loss(o, targets).item() for o in outputs])
        assert got.average.loss == pytest.approx(loss(BY_HAND[kind](outputs), targets).item(), rel=1e-5)
    assert got.average.metric is None
    assert got.average.loss <= sum(s.loss for s in got.single) / 3 + 1e-6  # convex losses


def test_the_metric_is_of_the_averaged_prediction() -> None:
    models = members(linear, 5)
    task = Task.of(linear, (X, CLASSES), loss=F.cross_entropy, metric=hit)
    got = scores(models, task, Part((X, CLASSES), "here"))
    with torch.no_grad():
        probabilities = [model.eval()(X).softmax(1) for model in models]
    assert [s.metric for s in got.single] == [hit(p, CLASSES).item() for p in probabilities]
    assert got.average.metric == hit(sum(probabilities), CLASSES).item()


@pytest.mark.parametrize("loader", [False, True])
@pytest.mark.parametrize("batch", [7, 30])
def test_batches_of_different_size_count_by_their_samples(batch: int, loader: bool) -> None:
    models = members(linear)
    task = Task.of(linear, (X, CLASSES), loss=F.cross_entropy, metric=hit)
    whole = scores(models, task, Part((X, CLASSES), "here"))
    source = DataLoader(TensorDataset(X, CLASSES), batch_size=batch) if loader else (X, CLASSES)
    parts = scores(models, task, Part(source, "here"), batch)
    for a, b in zip((*whole.single, whole.average), (*parts.single, parts.average)):
        assert (a.loss, a.metric) == pytest.approx((b.loss, b.metric))


def test_one_model_is_its_own_average() -> None:
    for make, inputs, targets, loss, _ in CASES.values():
        got = scores(members(make, 1), Task.of(make, (inputs, targets), loss=loss), Part((inputs, targets), "here"))
        assert got.average.loss == pytest.approx(got.single[0].loss, rel=1e-5)


def test_certain_members_give_finite_averages() -> None:
    certain = [nn.Linear(4, 3), nn.Linear(4, 3)]
    for model, factor in zip(certain, (1e4, -1e4)):
        nn.init.constant_(model.bias, 0)
        with torch.no_grad():
            model.weight.copy_(torch.eye(3, 4) * factor)
    for targets, loss in ((CLASSES, F.cross_entropy), (BITS, F.binary_cross_entropy_with_logits)):
        got = scores(certain, Task.of(linear, (X, targets), loss=loss), Part((X, targets), "here"))
        assert 0 <= got.average.loss < max(s.loss for s in got.single) < 1e5


def test_the_kind_can_be_said() -> None:
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 2.0, 3.0]))
    models, task, part = members(linear), Task.of(linear, (X, BITS), loss=loss), Part((X, BITS), "here")
    assert scores(models, task, part).kind == "mean"
    got = scores(models, task, part, kind="sigmoid")
    with torch.no_grad():
        outputs = [model.eval()(X) for model in models]
    assert got.kind == "sigmoid"
    assert got.average == Score(pytest.approx(loss(BY_HAND["sigmoid"](outputs), BITS).item(), rel=1e-5))
    with pytest.raises(SettingError, match="unknown kind 'softmx'; did you mean softmax"):
        scores(models, task, part, kind="softmx")


def test_modes_come_back_and_nothing_is_drawn() -> None:
    models = members(linear)
    models[1].eval()
    models[2][1].eval()
    modes, state = [m.training for model in models for m in model.modules()], torch.get_rng_state()
    scores(models, Task.of(linear, (X, CLASSES), loss=F.cross_entropy), Part((X, CLASSES), "here"))
    assert [m.training for model in models for m in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)


class Two(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x, x


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([], "task: an ensemble needs at least one model"),
        ([Two()], "task: model 0 returns tuple; only tensors"),
        ([linear(), nn.Linear(4, 2)], r"task: model 1 returns shape \[30, 2\] and model 0 \[30, 3\]"),
    ],
)
def test_what_cannot_be_averaged_is_refused(models: list[nn.Module], message: str) -> None:
    with pytest.raises(RunError, match=message):
        scores(models, Task.of(linear, (X, CLASSES), loss=F.cross_entropy), Part((X, CLASSES), "here"))
