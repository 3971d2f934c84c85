"""Sick runs and their healthy twins, small enough that a table of them runs in a test."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from downslope.diagnose.finding import Report
from downslope.diagnose.watch import Watch, watch
from downslope.tasks import digits


@functools.cache
def data() -> tuple[torch.Tensor, ...]:
    """Digits of root mean square 1: 1,000 to train, 400 to validate."""
    part = digits.data()[0]
    x, y = part[0].float(), part[1]
    x = (x - x.mean()) / x.std()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(7))
    x, y = x[order], y[order]
    return x[:800], y[:800], x[800:], y[800:]


def mlp(
    *, depth: int = 2, width: int = 64, act: Callable[[], nn.Module] = nn.ReLU, last: Any = None, **more: Any
) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    size = 64
    for _ in range(depth):
        layers += [nn.Linear(size, width), act()]
        size = width
    return nn.Sequential(*layers, nn.Linear(size, more.get("out", 10)), *([last] if last is not None else []))


def cnn(norm: bool = True) -> nn.Module:
    def block(a: int, b: int) -> list[nn.Module]:
        return [nn.Conv2d(a, b, 3, padding=1), *([nn.BatchNorm2d(b)] if norm else []), nn.ReLU()]

    return nn.Sequential(*block(1, 8), nn.MaxPool2d(2), *block(8, 16), nn.Flatten(), nn.Linear(256, 10))


class Residual(nn.Module):
    """Branches that start at zero, with batch norms."""

    def __init__(self, blocks: int = 4, width: int = 48, zero: bool = True):
        super().__init__()
        self.stem = nn.Linear(64, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, width)) for _ in range(blocks)
        )
        if zero:
            for block in self.blocks:
                nn.init.zeros_(block[2].weight)
                nn.init.zeros_(block[2].bias)
        self.head = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x.flatten(1))
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)


class Transformer(nn.Module):
    """Reads the eight rows of a digit as tokens."""

    def __init__(self, width: int = 32, dropout: float = 0.1):
        super().__init__()
        self.embed = nn.Linear(8, width)
        self.place = nn.Parameter(torch.zeros(1, 8, width))
        layer = nn.TransformerEncoderLayer(width, 4, 64, dropout=dropout, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x.flatten(0, 1).reshape(-1, 8, 8)) + self.place
        return self.head(self.norm(self.encoder(x)).mean(1))


class Recurrent(nn.Module):
    def __init__(self, kind: type = nn.GRU, width: int = 32):
        super().__init__()
        self.body, self.head = kind(8, width, batch_first=True), nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x.flatten(0, 1).reshape(-1, 8, 8))[0][:, -1])


class Embedded(nn.Module):
    """A bag of pixels, by an embedding with rows that are rarely used."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5000, 32)
        self.head = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = ((x.flatten(1) * 2).round().long().clamp(-4, 8) + 5) + 14 * torch.arange(64)
        return self.head(self.embed(tokens).mean(1))


@dataclass
class Case:
    """A run: what is made of which model, and the slips of its loop. `symptom` is what is to be named first."""

    name: str
    symptom: str | None
    model: Callable[[], nn.Module] = mlp
    optimizer: Callable[[Any], torch.optim.Optimizer] = lambda p: torch.optim.Adam(p, 1e-3)
    epochs: int = 8
    batch: int = 32
    loss: Callable[..., torch.Tensor] = F.cross_entropy
    prepare: Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]] | None = None
    order: str = "shuffle"
    rows: int = 800
    slips: frozenset[str] = frozenset()
    scheduler: Callable[[Any], Any] | None = None
    clip: float | None = None
    parameters: Callable[[nn.Module], Any] = lambda m: m.parameters()
    spoil: Callable[[nn.Module, int], None] | None = None  # before each step
    budget: float = 1.0
    validate: bool = True
    more: dict[str, Any] = field(default_factory=dict)


def run(case: Case, seed: int = 0, see: Callable[[Watch], Any] | None = None) -> Report:
    """Train, watched closely, in a loop as users write them."""
    torch.manual_seed(seed)
    x, y, vx, vy = data()
    x, y = x[: case.rows], y[: case.rows]
    if case.prepare is not None:
        x, y = case.prepare(x, y)
        vx, vy = case.prepare(vx, vy)
    model = case.model()
    optimizer = case.optimizer(case.parameters(model))
    scheduler = case.scheduler(optimizer) if case.scheduler else None
    step = 0
    with watch(model, optimizer, budget=case.budget) as seen:
        for _ in range(case.epochs):
            if "train" not in case.slips:
                model.train()
            order = (
                torch.argsort(y.flatten() if y.ndim else y, stable=True)
                if case.order == "sorted"
                else torch.randperm(len(x))
            )
            for i in range(0, len(x) - case.batch + 1, case.batch):
                rows = order[i : i + case.batch]
                if "zero" not in case.slips:
                    optimizer.zero_grad()
                if case.spoil is not None:
                    case.spoil(model, step)
                inputs = x[rows]
                if "bad_batch" in case.slips and step in (120, 150):
                    inputs = inputs * 300.0
                loss = case.loss(model(inputs), y[rows])
                if "sign" in case.slips:
                    loss = -loss
                loss.backward()
                if case.clip is not None:
                    nn.utils.clip_grad_norm_(model.parameters(), case.clip)
                if scheduler is not None and "scheduler_first" in case.slips:
                    scheduler.step()
                optimizer.step()
                if scheduler is not None and not {"scheduler_first", "no_scheduler"} & case.slips:
                    scheduler.step()
                step += 1
            if not case.validate:
                continue
            if "eval" not in case.slips:
                model.eval()
            with torch.no_grad():
                value = case.loss(model(vx), vy)
            if math.isfinite(value):
                seen.validation(value)
        return seen.report()


# ---- pieces of the table


def sgd(lr: float, momentum: float = 0.9, **more: Any) -> Callable[[Any], torch.optim.Optimizer]:
    return lambda p: torch.optim.SGD(p, lr, momentum=momentum, **more)


def adam(lr: float, **more: Any) -> Callable[[Any], torch.optim.Optimizer]:
    return lambda p: torch.optim.Adam(p, lr, **more)


def adamw(lr: float, **more: Any) -> Callable[[Any], torch.optim.Optimizer]:
    return lambda p: torch.optim.AdamW(p, lr, **more)


def initialised(make: Callable[[], nn.Module], change: Callable[[nn.Module], None]) -> Callable[[], nn.Module]:
    def made() -> nn.Module:
        model = make()
        with torch.no_grad():
            for m in model.modules():
                if isinstance(m, nn.Linear | nn.Conv2d):
                    change(m)
        return model

    return made


def shuffled(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x, y[torch.randperm(len(y), generator=torch.Generator().manual_seed(3))]


def shuffled_halves(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return x, (y >= 5).long()[torch.randperm(len(y), generator=generator)]


def noisy(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """With some wrong labels, too many of which are learned by heart."""
    return x, torch.where(torch.arange(len(y)) % 4 == 0, (y * 3 + 1) % 10, y)


def values(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x, (y.float() - 4.5) / 3.0


def column(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x, ((y.float() - 4.5) / 3.0)[:, None]


def broadcast_mse(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return F.mse_loss(output, target)


def binary(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x, (y < 5).float()[:, None]


def unbalanced(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    keep = (y != 3) | (torch.arange(len(y)) % 10 == 0)
    return x[keep], y[keep]


def one_nan(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.where(torch.arange(len(x))[:, None, None, None] == 77, math.nan, x), y


class Frozen(nn.Module):
    """A frozen body under a head: on purpose."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU()), nn.Linear(128, 10)
        self.body.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x))


class Unused(nn.Module):
    def __init__(self, cut: bool = False):
        super().__init__()
        self.cut = cut
        self.first, self.second, self.head = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.first(x.flatten(1)))
        return self.head(h.detach() if self.cut else h)


class Root(nn.Module):
    """Takes the root of what may be 0 (an infinite slope) or below (nan)."""

    def __init__(self, safe: bool):
        super().__init__()
        self.safe, self.first, self.head = safe, nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x.flatten(1))
        return self.head(torch.sqrt(h.relu() + 1e-3) if self.safe else torch.sqrt(h))


class Listed(nn.Module):
    """Layers that `parameters()` does not give."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = [nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()]
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(1)
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


class Sine(nn.Module):
    """Of SIREN (Sitzmann et al. 2020): steep, so that weights must start 30 times smaller than torch's do."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sin(30.0 * x)


def siren(own_start: bool, act: Callable[[], nn.Module] = Sine) -> nn.Module:
    model = mlp(depth=6, width=32, act=act)
    with torch.no_grad():
        for i, m in enumerate(m for m in model.modules() if own_start and isinstance(m, nn.Linear)):
            bound = 1 / m.in_features if i == 0 else math.sqrt(6 / m.in_features) / 30
            m.weight.uniform_(-bound, bound)
    return model


class Plain(nn.Module):
    """A sine without its factor of 30, for which the weights of a SIREN are far too small."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sin(x)


class ByHand(nn.Module):
    """A SIREN whose layers no hook can see."""

    def __init__(self) -> None:
        super().__init__()
        self.held = nn.ParameterList(p.detach() for p in siren(True).parameters())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(1)
        held = list(self.held)
        for weight, bias in zip(held[:-2:2], held[1:-2:2]):
            x = torch.sin(30.0 * F.linear(x, weight, bias))
        return F.linear(x, held[-2], held[-1])


def under_a_lamp(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """All pixels share a brightness, that of the lamp of the lower digits or of the others, and digits are faint in it:
    a valley with one steep wall."""
    jitter = 0.3 * torch.randn(len(y), generator=torch.Generator().manual_seed(len(y)))
    return ((y < 5).float() * 2 - 1 + jitter)[:, None, None, None] + 0.02 * x, y


def parity(bits: int) -> Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """Half of one bit, which is learned at once, and the parity of others: a plateau if they are many."""

    def prepare(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        coins = torch.randint(2, (len(x), 10), generator=torch.Generator().manual_seed(len(x))) * 2.0 - 1
        return coins, (0.5 * coins[:, 0] + coins[:, 1 : 1 + bits].prod(1))[:, None]

    return prepare


def few_units() -> nn.Module:
    return nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 1))


def noisy_line(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Half of the target's variance is a line in 256 inputs, half is noise."""
    generator = torch.Generator().manual_seed(len(x))
    x = torch.randn(3200, 256, generator=generator)
    return x, x[:, :16].sum(1, keepdim=True) / 4 + torch.randn(3200, 1, generator=generator)


def line() -> nn.Module:
    return nn.Linear(256, 1)


def pixels() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def class_3_counts(times: float) -> Callable[..., torch.Tensor]:
    weight = torch.ones(10)
    weight[3] = times
    return functools.partial(F.cross_entropy, weight=weight)


class Scaled(nn.Module):
    def __init__(self, scale: float, shift: float = 0.0):
        super().__init__()
        self.scale, self.shift, self.body = scale, shift, mlp()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)


def biases_at(value: float) -> Callable[[nn.Module], None]:
    def change(m: nn.Module) -> None:
        if m.out_features != 10:  # type: ignore[union-attr]
            m.bias.fill_(value)  # type: ignore[operator, union-attr]

    return change


def weights_by(change: Callable[[torch.Tensor], Any]) -> Callable[[nn.Module], None]:
    def changed(m: nn.Module) -> None:
        change(m.weight)  # type: ignore[arg-type]
        m.bias.zero_()  # type: ignore[operator, union-attr]

    return changed


def batchnorm_momentum(value: float) -> Callable[[], nn.Module]:
    def made() -> nn.Module:
        model = cnn()
        for m in model.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.momentum = value
        return model

    return made


def groups(decay_norms: bool) -> Callable[[nn.Module], Any]:
    def made(model: nn.Module) -> Any:
        if decay_norms:
            return model.parameters()
        flat = [p for p in model.parameters() if p.ndim < 2]
        return [{"params": [p for p in model.parameters() if p.ndim > 1]}, {"params": flat, "weight_decay": 0.0}]

    return made


def nll_of_scores(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return F.nll_loss(output, target)


def nll(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return F.nll_loss(F.log_softmax(output, 1), target)


def summed(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(output, target, reduction="sum")


def endless(optimizer: Any) -> Any:
    """A warm-up that is far from its end when the run is."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: min(1.0, (t + 1) / 2_000))


def rings(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """One class around the other, which no line parts."""
    generator = torch.Generator().manual_seed(len(x))
    inside = torch.randint(2, (len(x),), generator=generator)
    points = torch.randn(len(x), 2, generator=generator)
    return points / points.norm(dim=1, keepdim=True) * (2 - inside[:, None]), inside


def step_lr(optimizer: Any) -> Any:
    return torch.optim.lr_scheduler.StepLR(optimizer, 60, 0.5)


def cosine(optimizer: Any) -> Any:
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 200)


def warmup(optimizer: Any) -> Any:
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: min(1.0, (t + 1) / 80))


def decaying(optimizer: Any) -> Any:
    return torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)


def dead_from_start(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return initialised(make, biases_at(-20.0))


SICK = [
    Case("not zeroed", "gradients-not-zeroed", slips=frozenset({"zero"})),
    Case("not zeroed, sgd", "gradients-not-zeroed", cnn, sgd(0.01), slips=frozenset({"zero"})),
    Case("head alone by mistake", "parameters-not-in-optimizer", parameters=lambda m: m[-1].parameters()),
    Case("layers in a plain list", "parameters-not-in-optimizer", Listed),
    Case("one layer left out", "parameters-not-in-optimizer", cnn, parameters=lambda m: list(m.parameters())[2:]),
    Case("unused layer", "no-gradient", Unused),
    Case("detached", "no-gradient", lambda: Unused(cut=True)),
    Case("scheduler never stepped", "scheduler-never-stepped", scheduler=step_lr, slips=frozenset({"no_scheduler"})),
    Case(
        "scheduler first",
        "scheduler-before-optimizer",
        scheduler=decaying,
        epochs=2,
        slips=frozenset({"scheduler_first"}),
    ),
    Case("scored in training, bn", "evaluated-in-training-mode", cnn, slips=frozenset({"eval"})),
    Case("scored in training, dropout", "evaluated-in-training-mode", Transformer, slips=frozenset({"eval"})),
    Case("trained in evaluation", "trained-in-evaluation-mode", cnn, slips=frozenset({"train"})),
    Case("softmax twice", "softmax-twice", lambda: mlp(last=nn.Softmax(1))),
    Case("softmax twice, cnn", "softmax-twice", lambda: nn.Sequential(cnn(), nn.Softmax(1)), sgd(0.05)),
    Case(
        "sigmoid twice",
        "softmax-twice",
        lambda: mlp(last=nn.Sigmoid(), out=1),
        loss=F.binary_cross_entropy_with_logits,
        prepare=binary,
    ),
    Case("relu before the loss", "wrong-loss", lambda: mlp(last=nn.ReLU())),
    Case("nll of scores", "wrong-loss", loss=nll_of_scores),
    Case("nll of probabilities", "wrong-loss", lambda: mlp(last=nn.Softmax(1)), loss=nll_of_scores),
    Case("broadcast", "wrong-loss", lambda: mlp(out=1), loss=broadcast_mse, prepare=values),
    Case("sqrt of negatives", "not-finite", lambda: Root(False)),
    Case("nan in the data", "not-finite", prepare=one_nan),
    Case("constant weights", "init-constant", initialised(mlp, weights_by(lambda w: w.fill_(0.05)))),
    Case("all zero", "init-constant", initialised(mlp, weights_by(lambda w: w.zero_()))),
    Case(
        "tiny weights",
        "init-too-small",
        initialised(lambda: mlp(depth=4), weights_by(lambda w: w.normal_(0, 1e-3))),
        sgd(0.01),
    ),
    Case(
        "tiny weights, tanh",
        "init-too-small",
        initialised(lambda: mlp(depth=5, act=nn.Tanh), weights_by(lambda w: w.normal_(0, 1e-3))),
        sgd(0.05),
    ),
    Case("sines without their factor", "init-too-small", lambda: siren(True, Plain), sgd(0.01)),
    Case("huge weights", "init-too-large", initialised(lambda: mlp(depth=3), weights_by(lambda w: w.normal_(0, 1.0)))),
    Case(
        "huge weights, tanh",
        "init-too-large",
        initialised(lambda: mlp(depth=3, act=nn.Tanh), weights_by(lambda w: w.normal_(0, 2.0))),
        sgd(0.01),
    ),
    Case("raw inputs", "inputs-unnormalised", prepare=lambda x, y: (x * 70 + 128, y)),
    Case(
        "raw inputs, sgd", "inputs-unnormalised", lambda: cnn(False), sgd(0.01), prepare=lambda x, y: (x * 70 + 128, y)
    ),
    Case("tiny inputs", "inputs-unnormalised", optimizer=sgd(0.05), prepare=lambda x, y: (x * 1e-3, y)),
    Case("sorted", "sorted-data", order="sorted"),
    Case("sorted, cnn sgd", "sorted-data", cnn, sgd(0.05), order="sorted"),
    Case("adam 0.3", "lr-too-high", optimizer=adam(0.3)),
    Case("adam 1.0 cnn", "lr-too-high", lambda: cnn(False), adam(1.0)),
    Case("sgd 3", "lr-too-high", optimizer=sgd(3.0)),
    Case("sgd 1.5 no momentum deep", "lr-too-high", lambda: mlp(depth=4), sgd(5.0, 0.0)),
    Case("transformer 0.3", "lr-too-high", Transformer, adamw(0.3)),
    Case("gru 1.0", "lr-too-high", Recurrent, adam(1.0)),
    Case("values sgd 2", "lr-too-high", lambda: mlp(out=1), sgd(2.0), loss=F.mse_loss, prepare=column),
    Case("adam 1e-6", "lr-too-low", optimizer=adam(1e-6)),
    Case("sgd 1e-5", "lr-too-low", optimizer=sgd(1e-5)),
    Case("cnn adam 2e-6", "lr-too-low", cnn, adam(2e-6)),
    Case("transformer 1e-6", "lr-too-low", Transformer, adamw(1e-6)),
    Case("gru sgd 1e-5", "lr-too-low", Recurrent, sgd(1e-5)),
    Case("values adam 1e-6", "lr-too-low", lambda: mlp(out=1), adam(1e-6), loss=F.mse_loss, prepare=column),
    Case("deep sigmoid", "vanishing-gradients", lambda: mlp(depth=8, act=nn.Sigmoid), sgd(0.05)),
    Case("deep sigmoid adam", "vanishing-gradients", lambda: mlp(depth=10, act=nn.Sigmoid)),
    Case("dead relus", "dead-relu", dead_from_start(mlp)),
    Case("dead relus sgd", "dead-relu", dead_from_start(lambda: mlp(depth=3)), sgd(0.01)),
    Case(
        "saturated tanh", "saturated-units", initialised(lambda: mlp(depth=2, act=nn.Tanh), biases_at(8.0)), sgd(0.01)
    ),
    Case("batch norm, 2 samples", "batch-norm-batch-too-small", lambda: Residual(zero=False), batch=2, epochs=1),
    Case("batch norm, momentum 1e-4", "batch-norm-gap", batchnorm_momentum(1e-4)),
    Case("shuffled labels", "labels-unlearnable", prepare=shuffled, optimizer=sgd(0.01), epochs=6),
    Case(
        "shuffled labels, learned by heart", "labels-unlearnable", lambda: mlp(width=256), prepare=shuffled, epochs=25
    ),
    Case(
        "noise for inputs",
        "labels-unlearnable",
        cnn,
        prepare=lambda x, y: (torch.randn(x.shape, generator=torch.Generator().manual_seed(len(x))), y),
        epochs=8,
    ),
    Case(
        "overfitting",
        "overfitting",
        lambda: mlp(width=256),
        rows=60,
        epochs=120,
        batch=30,
        prepare=noisy,
        optimizer=adam(3e-3),
    ),
    Case("maximised", "loss-exploding", optimizer=lambda p: torch.optim.SGD(p, 0.05, maximize=True)),
    Case(
        "weight decay on norms",
        "weight-decay-on-norms",
        lambda: Residual(zero=False),
        adamw(1e-2, weight_decay=1.0),
        epochs=16,
    ),
    Case("clipped to nothing", "clipping-always", optimizer=adam(1e-3), clip=1e-3),
    Case("bad batches", "loss-spikes", optimizer=sgd(0.002), slips=frozenset({"bad_batch"})),
    Case(
        "a line for spirals",
        "underfitting",
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 1), nn.Linear(1, 10)),
        adam(1e-2),
        epochs=30,
    ),
    Case("sines that start as torch does", "exploding-gradients", lambda: siren(False), adam(1e-4)),
    Case(
        "parity of four",
        "plateau",
        few_units,
        sgd(0.01),
        prepare=parity(4),
        loss=F.mse_loss,
        batch=800,
        epochs=200,
    ),
    Case(
        "under a lamp",
        "stuck-large-gradients",
        pixels,
        sgd(0.3, 0.0),
        prepare=under_a_lamp,
        batch=800,
        epochs=150,
    ),
    Case("class 3 counts a thousand times", "one-class", optimizer=sgd(0.01), loss=class_3_counts(1000.0)),
    Case(
        "a noisy line, 4 samples",
        "batch-too-small",
        line,
        sgd(0.006, 0.0),
        prepare=noisy_line,
        loss=F.mse_loss,
        batch=4,
        epochs=2,
    ),
    # seen when the run is made again
    Case("adam 0.1, ends low", "lr-too-high", optimizer=adam(0.1)),
    Case("adam 3e-4", "lr-too-low", optimizer=adam(3e-4), epochs=5),
    Case(
        "sixty rows, a quarter of them wrong",
        "overfitting",
        optimizer=adam(3e-3),
        prepare=noisy,
        rows=60,
        epochs=120,
        batch=30,
    ),
    Case("two shuffled classes", "labels-unlearnable", mlp, adam(3e-3), prepare=shuffled_halves),
    Case("summed, at a rate for means", "lr-too-high", optimizer=sgd(0.05), loss=summed),
    Case("a warm-up of ten runs", "lr-too-low", scheduler=endless, optimizer=adam(1e-3)),
    Case(
        "a warm-up that is never stepped",
        "scheduler-never-stepped",
        scheduler=endless,
        slips=frozenset({"no_scheduler"}),
    ),
    Case("momentum 0.99 of batch norm", "batch-norm-gap", batchnorm_momentum(0.99)),
    Case("a line for rings", "underfitting", lambda: nn.Linear(2, 2), adam(1e-2), prepare=rings, epochs=10),
]

HEALTHY = [
    Case("mlp adam", None),
    Case("summed, at a rate for sums", None, optimizer=sgd(1e-3), loss=summed),
    Case("mlp adam 1e-2", None, optimizer=adam(1e-2)),
    Case("mlp sgd", None, optimizer=sgd(0.05)),
    Case("mlp adamw 1e-2", None, optimizer=adamw(1e-2)),
    Case("mlp long", None, epochs=40),
    Case("mlp short", None, epochs=1),
    Case("deep relu", None, lambda: mlp(depth=5), adam(1e-3)),
    Case("tanh", None, lambda: mlp(depth=3, act=nn.Tanh), adam(1e-3)),
    Case("sigmoid, one layer", None, lambda: mlp(depth=1, act=nn.Sigmoid), adam(1e-2)),
    Case("gelu", None, lambda: mlp(depth=3, act=nn.GELU), adamw(3e-3)),
    Case("cnn bn adam", None, cnn),
    Case("cnn bn sgd", None, cnn, sgd(0.05)),
    Case("cnn bn sgd, decay 5e-4", None, cnn, sgd(0.05, weight_decay=5e-4), epochs=12),
    Case("cnn plain", None, lambda: cnn(False), adam(2e-3)),
    Case("cnn bn, raw inputs", None, cnn, prepare=lambda x, y: (x * 70 + 128, y)),
    Case("digits 0 to 16", None, prepare=lambda x, y: (x * 6 + 5, y)),
    Case("residual, zero branches", None, Residual),
    Case("residual sgd", None, Residual, sgd(0.05)),
    Case("transformer", None, Transformer, adamw(2e-3)),
    Case("transformer warm-up clip", None, Transformer, adamw(3e-3), scheduler=warmup, clip=1.0),
    Case("gru", None, Recurrent, adam(3e-3)),
    Case("lstm", None, lambda: Recurrent(nn.LSTM), adam(5e-3), clip=1.0),
    Case("embedding", None, Embedded, adam(1e-2)),
    Case("frozen body", None, Frozen, adam(3e-3), parameters=lambda m: m.head.parameters()),
    Case("frozen body, all given", None, Frozen, adam(3e-3)),
    Case("cosine to zero", None, scheduler=cosine),
    Case("step schedule", None, scheduler=step_lr, optimizer=sgd(0.05)),
    Case("warm-up only", None, scheduler=warmup, epochs=2),
    Case("full batch", None, optimizer=adam(1e-2), batch=800, epochs=60),
    Case("full batch gd, edge", None, optimizer=sgd(0.3, 0.0), batch=800, epochs=120),
    Case("batch 4", None, optimizer=adam(5e-4), batch=4, epochs=2),
    Case("values", None, lambda: mlp(out=1), adam(1e-3), loss=F.mse_loss, prepare=column, epochs=15),
    Case("binary", None, lambda: mlp(out=1), loss=F.binary_cross_entropy_with_logits, prepare=binary),
    Case(
        "binary, sigmoid and bce",
        None,
        lambda: mlp(last=nn.Sigmoid(), out=1),
        loss=F.binary_cross_entropy,
        prepare=binary,
    ),
    Case("nll of log_softmax", None, loss=nll),
    Case("log_softmax and cross_entropy", None, lambda: mlp(last=nn.LogSoftmax(1))),
    Case("label smoothing", None, loss=functools.partial(F.cross_entropy, label_smoothing=0.1)),
    Case("root, safe", None, lambda: Root(True)),
    Case(
        "no decay on norms",
        None,
        lambda: Residual(zero=False),
        adamw(1e-2, weight_decay=1.0),
        parameters=groups(False),
        epochs=8,
    ),
    Case("clip at 5", None, Recurrent, adam(3e-3), clip=5.0),
    Case("class 3 is rare", None, prepare=unbalanced),
    Case("label noise of a quarter", None, prepare=noisy, epochs=5),
    Case("rmsprop", None, optimizer=lambda p: torch.optim.RMSprop(p, 1e-3)),
    Case("adagrad", None, optimizer=lambda p: torch.optim.Adagrad(p, 2e-2)),
    Case("linear model", None, lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), adam(3e-3), epochs=15),
    Case("dropout", None, lambda: nn.Sequential(mlp(), nn.Identity()), adam(1e-3)),
    Case("batch norm momentum 0.01", None, batchnorm_momentum(0.05), epochs=10),
    Case("sines with their own start", None, lambda: siren(True), adam(2e-4)),
    Case("sines that have only begun", None, lambda: siren(True), adam(1e-4), epochs=1),
    Case("sines by hand that have only begun", None, ByHand, adam(1e-4), epochs=1),
    Case(
        "parity of one",
        None,
        few_units,
        sgd(0.01),
        prepare=parity(1),
        loss=F.mse_loss,
        batch=800,
        epochs=200,
    ),
    Case("in even light", None, pixels, sgd(0.3, 0.0), batch=800, epochs=150),
    Case("class 3 counts once", None, optimizer=sgd(0.01), loss=class_3_counts(1.0)),
    Case(
        "a noisy line, 64 samples",
        None,
        line,
        sgd(0.015, 0.0),
        prepare=noisy_line,
        loss=F.mse_loss,
        batch=64,
        epochs=8,
    ),
]
