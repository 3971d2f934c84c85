"""Every check sees its illness, and passes the healthy twin of the same task."""

import random
import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import downslope.check as checks
from downslope import Task
from test_check_healthy import (
    SIMPLE,
    Language,
    binary,
    he,
    language_loss,
    loaders,
    mlp,
    mse,
    numbers,
    regression,
    task,
    text,
)

(X, Y), (VX, VY) = SIMPLE
SOUND = task(lambda: mlp(12, 32, 4), SIMPLE)


def simple(model=lambda: mlp(12, 32, 4), data=SIMPLE, loss=F.cross_entropy):
    return task(model, data, loss)


class Do(nn.Module):
    """Anything as a layer."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(self, x)


def around(before=lambda m, x: x, after=lambda m, x: x, model=lambda: mlp(12, 32, 4)):
    return simple(lambda: nn.Sequential(Do(before), model(), Do(after)))


def changed(model, function, ndim=2):
    """A model whose weights are drawn otherwise."""

    def make():
        made = model()
        for p in made.parameters():
            if p.ndim >= ndim:
                function(p)
        return made

    return make


class Wrong(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * x  # the 2 is missing


class Right(Wrong):
    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return 2 * gradient * x


class Unused(nn.Module):
    def __init__(self, used):
        super().__init__()
        self.used, self.a, self.b = used, nn.Linear(12, 4), nn.Linear(12, 4)

    def forward(self, x):
        return self.a(x) + self.b(x) if self.used else self.a(x)


def dead(by):
    model = mlp(12, 32, 4)
    with torch.no_grad():
        model[0].bias.add_(by)
    return model


def cut(x=X, y=Y, vx=VX, vy=VY):
    return (x, y), (vx, vy)


def bce(output, target):
    return F.binary_cross_entropy_with_logits(output, target)


def deep(act, model=lambda m: m):
    return simple(lambda: model(mlp(12, *[24] * 16, 4, act=act)))


def bare(output, target):
    return F.mse_loss(output.reshape(target.shape), target)


SORT = Y.argsort()
R = regression()
RARE = (torch.randperm(160, generator=torch.Generator().manual_seed(0)) < 5).long()
FLAT = [(x, y[:, 0]) for x, y in R]

# check: (its healthy twin, the sick one, the grade, what is said)
SICK = {
    "step: raises": ("step", SOUND, simple(lambda: mlp(11, 4)), "fail", "cannot be multiplied"),
    "step: no scalar": (
        "step",
        SOUND,
        simple(loss=lambda o, t: F.cross_entropy(o, t, reduction="none")),
        "fail",
        "scalar",
    ),
    "step: detached": ("step", SOUND, simple(loss=lambda o, t: F.cross_entropy(o.detach(), t)), "fail", "not depend"),
    "step: not finite": ("step", SOUND, around(after=lambda m, x: x / 0), "fail", "first loss is nan"),
    "inputs: scale": ("inputs", SOUND, simple(data=cut(X * 100, vx=VX * 100)), "warn", "far from 0 and 1"),
    "inputs: offset": ("inputs", SOUND, simple(data=cut(X * 0.1 + 1)), "warn", "far off zero"),
    "inputs: units": (
        "inputs",
        SOUND,
        simple(data=cut(X * torch.tensor([3.0] + 11 * [0.01]))),
        "warn",
        "differ .* times",
    ),
    "inputs: NaN": ("inputs", SOUND, simple(data=cut(X.where(X < 2.5, torch.nan))), "fail", "NaN"),
    "inputs: constant": ("inputs", SOUND, simple(data=cut(X * 0 + 0.5)), "fail", "every value"),
    "targets: from 1": ("targets", SOUND, simple(data=cut(y=Y + 1)), "fail", "1 to 4, .* 4 outputs"),
    "targets: softmax twice": ("targets", SOUND, around(after=lambda m, x: x.softmax(1)), "fail", "are probabilities"),
    "targets: no log-softmax": (
        "targets",
        simple(lambda: nn.Sequential(mlp(12, 32, 4), nn.LogSoftmax(1)), loss=F.nll_loss),
        simple(loss=F.nll_loss),
        "fail",
        "takes log-probabilities",
    ),
    "targets: sigmoid twice": (
        "targets",
        task(lambda: mlp(6, 9, 1), binary(), bce),
        task(lambda: nn.Sequential(mlp(6, 9, 1), nn.Sigmoid()), binary(), bce),
        "fail",
        "takes scores",
    ),
    "targets: broadcast": (
        "targets",
        task(lambda: mlp(10, 9, 1), FLAT, bare),
        task(lambda: mlp(10, 9, 1), FLAT, mse),
        "fail",
        "every output",
    ),
    "targets: NaN": (
        "targets",
        task(lambda: mlp(10, 9, 1), R, mse),
        task(lambda: mlp(10, 9, 1), cut(R[0][0], R[0][1].where(R[0][1] < 4, torch.nan), *R[1]), mse),
        "fail",
        "NaN",
    ),
    "labels: rare": ("labels", SOUND, simple(data=cut(y=RARE)), "warn", "31 times the rarest"),
    "labels: one": ("labels", SOUND, simple(data=cut(y=Y * 0)), "fail", "every target"),
    "labels: outliers": (
        "labels",
        task(lambda: mlp(10, 9, 1), R, mse),
        task(lambda: mlp(10, 9, 1), cut(R[0][0], R[0][1] + 1e3 * (R[0][0][:, :1] > 2), *R[1]), mse),
        "warn",
        "robust",
    ),
    "order: sorted": ("order", SOUND, simple(data=cut(X[SORT], Y[SORT])), "warn", "stored sorted"),
    "order: kept": (
        "order",
        Task.of(lambda: mlp(12, 4), loaders(X[SORT], Y[SORT], shuffle=True), loss=F.cross_entropy),
        Task.of(lambda: mlp(12, 4), loaders(X[SORT], Y[SORT]), loss=F.cross_entropy),
        "fail",
        "keeps it",
    ),
    "order: split": ("order", SOUND, simple(data=cut(vy=VY * 0 + 3)), "fail", "training and validation differ"),
    "leakage: rows": (
        "leakage",
        SOUND,
        simple(data=cut(vx=torch.cat([X[:20], VX[20:]]))),
        "fail",
        "20 of 80 rows of validation",
    ),
    "first loss: wild": (
        "first-loss",
        SOUND,
        simple(changed(lambda: mlp(12, 64, 64, 4), nn.init.normal_)),
        "fail",
        r"expected 1.386 \(log 4\)",
    ),
    "first loss: offset": (
        "first-loss",
        task(lambda: mlp(10, 9, 1), R, mse),
        task(lambda: mlp(10, 9, 1), [(x, y + 60) for x, y in R], mse),
        "fail",
        "targets' mean",
    ),
    "activations: fade": ("activations", deep(nn.ReLU, he), deep(nn.ReLU), "fail", "samples differ"),
    "activations: explode": (
        "activations",
        deep(nn.ReLU, he),
        simple(changed(lambda: mlp(12, *[24] * 8, 4), nn.init.normal_)),
        "warn",
        "times those",
    ),
    "activations: saturated": (
        "activations",
        simple(lambda: mlp(12, 64, 64, 4, act=nn.Tanh)),
        simple(changed(lambda: mlp(12, 64, 64, 4, act=nn.Tanh), lambda p: nn.init.normal_(p, std=4))),
        "fail",
        "saturated",
    ),
    "gradients: fade": ("gradients", deep(nn.ReLU, he), deep(nn.Sigmoid), "fail", "of the last layer's gradient"),
    "gradients: dead": (
        "gradients",
        SOUND,
        simple(lambda: dead(-20)),
        "fail",
        "100% of the units of 0 get no gradient",
    ),
    "gradients: unused": (
        "gradients",
        simple(lambda: Unused(True)),
        simple(lambda: Unused(False)),
        "warn",
        "no gradient comes to b.weight",
    ),
    "weights: large": (
        "weights",
        SOUND,
        simple(changed(lambda: mlp(12, 64, 4), nn.init.normal_)),
        "warn",
        "variance of",
    ),
    "weights: equal": (
        "weights",
        SOUND,
        simple(changed(lambda: mlp(12, 32, 4), lambda p: p.data.fill_(0.1), 0)),
        "fail",
        "still equal",
    ),
    "biases: cancelled": (
        "biases",
        simple(lambda: nn.Sequential(nn.Linear(12, 9, bias=False), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 4))),
        simple(lambda: nn.Sequential(nn.Linear(12, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 4))),
        "warn",
        "^0.bias",
    ),
    "gradcheck": (
        "gradcheck",
        around(model=lambda: nn.Sequential(nn.Linear(12, 9), Do(lambda m, x: Right.apply(x)), nn.Linear(9, 4))),
        around(model=lambda: nn.Sequential(nn.Linear(12, 9), Do(lambda m, x: Wrong.apply(x)), nn.Linear(9, 4))),
        "fail",
        "backward is wrong for 1.0.weight, 1.0.bias",
    ),
    "determinism: own generator": (
        "determinism",
        around(lambda m, x: x + 0.1 * torch.randn_like(x) * m.training),
        around(lambda m, x: x + 0.1 * random.SystemRandom().random()),
        "fail",
        "in training mode",
    ),
    "determinism: dropout": (
        "determinism",
        around(lambda m, x: F.dropout(x, training=m.training)),
        around(lambda m, x: F.dropout(x)),
        "warn",
        "evaluation mode draws",
    ),
    "determinism: numpy": (
        "determinism",
        around(lambda m, x: x + np.random.rand() * m.training),
        around(lambda m, x: x + np.random.rand()),
        "warn",
        "evaluation mode draws",
    ),
    "mixing: softmax": (
        "mixing",
        around(after=lambda m, x: x.softmax(1)),
        around(after=lambda m, x: x.softmax(0)),
        "fail",
        "reaches the others",
    ),
    "mixing: words": (
        "mixing",
        task(Language, text(), language_loss),
        task(lambda: nn.Sequential(Language(), Do(lambda m, x: x - x.mean(0))), text(), language_loss),
        "fail",
        "changes with",
    ),
    "mixing: batch statistics": (
        "mixing",
        simple(lambda: nn.Sequential(nn.Linear(12, 4), nn.BatchNorm1d(4))),
        simple(lambda: nn.Sequential(nn.Linear(12, 4), nn.BatchNorm1d(4, track_running_stats=False))),
        "warn",
        "1 takes the",
    ),
    "overfit: cut off": ("overfit", SOUND, around(after=lambda m, x: x * 1e-8), "fail", "cannot learn even these"),
    "inputs used: lost": ("inputs-used", SOUND, around(lambda m, x: x * 0), "fail", "same for every input"),
    "inputs used: unpaired": (
        "inputs-used",
        SOUND,
        simple(data=cut(numbers(7, *X.shape), vx=numbers(8, *VX.shape))),
        "warn",
        "help",
    ),
    "learning rate: misled": ("learning-rate", SOUND, around(after=lambda m, x: x * 1e-6), "warn", "wrong by 10 times"),
    "learning rate: flat": ("learning-rate", SOUND, around(after=lambda m, x: x * 1e-9), "cannot tell", "in no sweep"),
}


@pytest.mark.filterwarnings("ignore:Using a target size")  # torch's own warning of the broadcast task
@pytest.mark.parametrize("name", SICK)
def test_an_illness_is_seen_and_its_healthy_twin_passes(name):
    check, healthy, sick, grade, said = SICK[name]
    (found,) = checks.check(healthy, only=[check])
    assert found.verdict == "ok", str(found)
    (found,) = checks.check(sick, only=[check])
    assert found.verdict == grade, str(found)
    assert re.search(said, found.evidence), str(found)
    assert found.remedy or grade == "cannot tell"


def test_every_check_has_its_illness():
    assert {row[0] for row in SICK.values()} == set(checks.CHECKS)
