"""Sound tasks of every kind pass every check without a single fail: false alarms matter most."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import downslope.check as checks
from downslope import Task
from downslope.training import bundled


def numbers(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pairs(x, y, rows=160):
    """Training and validation."""
    return (x[:rows], y[:rows]), (x[rows:], y[rows:])


def classes(rows=240, features=12, count=4, x=None):
    x = numbers(0, rows, features) if x is None else x
    return pairs(x, (x[:, :count] + 0.3 * numbers(1, rows, count)).argmax(1))


def mlp(*sizes, act=nn.ReLU, norm=None):
    layers = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), *([norm(b)] if norm else []), act()]
    return nn.Sequential(*layers[: -2 if norm else -1])


def task(model, data, loss=F.cross_entropy, **more):
    return Task("made", model, data if callable(data) else lambda: data, loss, batch=32, **more)


def mse(output, target):
    return F.mse_loss(output, target)


def regression():
    x = numbers(0, 240, 10)
    return pairs(x, (x[:, :1] * 2 - x[:, 1:2] + 0.3 * numbers(1, 240, 1)))


def text():
    """Letters that go on by the same step, one to three, from any start."""
    start = torch.randint(20, (160, 1), generator=torch.Generator().manual_seed(0))
    rows = (start + torch.arange(12) * (1 + torch.arange(160)[:, None] % 3)) % 20
    return pairs(rows[:, :-1], rows[:, 1:], 120)


class Language(nn.Module):
    """A transformer before whose branches stands a norm, tied embeddings, GPT-2's initialisation."""

    def __init__(self):
        super().__init__()
        self.embed, self.place = nn.Embedding(20, 32), nn.Embedding(11, 32)
        self.n1, self.n2, self.n3 = nn.LayerNorm(32), nn.LayerNorm(32), nn.LayerNorm(32)
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True, dropout=0.1)
        self.inner, self.outer = nn.Linear(32, 64), nn.Linear(64, 32)
        for p in self.parameters():
            if p.ndim > 1:
                nn.init.normal_(p, std=0.02)

    def forward(self, tokens):
        x = self.embed(tokens) + self.place(torch.arange(tokens.shape[1]))
        h, mask = self.n1(x), torch.ones(11, 11, dtype=torch.bool).triu(1)
        x = x + self.attention(h, h, h, attn_mask=mask, need_weights=False)[0]
        x = x + self.outer(F.gelu(self.inner(self.n2(x))))
        return self.n3(x) @ self.embed.weight.T


def language_loss(output, target):
    return F.cross_entropy(output.flatten(0, 1), target.flatten())


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.cell, self.head = nn.Embedding(20, 16), nn.LSTM(16, 32, batch_first=True), nn.Linear(32, 20)

    def forward(self, tokens):
        return self.head(self.cell(self.embed(tokens))[0]).transpose(1, 2)


def pictures():
    x = numbers(0, 80, 1, 8, 8)
    return pairs(x, (F.avg_pool2d(x, 3, 1, 1)[:, 0] > 0.3).long(), 60)


class Segmenter(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.deep = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU())
        self.up, self.head = nn.ConvTranspose2d(16, 8, 2, 2), nn.Conv2d(16, 2, 1)

    def forward(self, x):
        a = self.down(x)
        return self.head(torch.cat([a, self.up(self.deep(a))], 1))


class Residual(nn.Module):
    """Branches whose last norm starts at zero, as in large-batch ResNets; functional ReLU."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.Linear(8, 2)
        self.conv = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1, bias=False) for _ in range(4))
        self.norm = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(4))
        for norm in list(self.norm)[1::2]:
            nn.init.zeros_(norm.weight)

    def forward(self, x):
        x = self.stem(x)
        for i in (0, 2):
            x = x + self.norm[i + 1](self.conv[i + 1](F.relu(self.norm[i](self.conv[i](x)))))
            x = F.relu(x)
        return self.head(x.mean((2, 3)))


class Bags(Dataset):
    def __len__(self):
        return 200

    def __getitem__(self, i):
        random = torch.Generator().manual_seed(i)
        words = torch.randint(50, (1 + i % 5,), generator=random)
        return torch.cat([words, words[:1]]), int(words[0] > 25)


def bagged(rows):
    """Words in one row and where each bag begins: tensors of different lengths."""
    bags = [words for words, _ in rows]
    starts = torch.tensor([0, *[len(b) for b in bags[:-1]]]).cumsum(0)
    return (torch.cat(bags), starts), torch.tensor([label for _, label in rows])


class Bagged(nn.Module):
    def __init__(self):
        super().__init__()
        self.bag, self.head = nn.EmbeddingBag(50, 16, sparse=True), nn.Linear(16, 2)

    def forward(self, inputs):
        return self.head(self.bag(*inputs))


class Endless(IterableDataset):
    def __iter__(self):
        x = numbers(int(torch.randint(1000, ())), 64, 5)
        return iter(zip(x, (x.sum(1) > 0).long()))


def frozen():
    model = mlp(12, 24, 24, 4)
    model[0].requires_grad_(False)
    return model


def trained():
    torch.manual_seed(3)
    model = mlp(12, 24, 4)
    (x, y), _ = classes()
    rule = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        rule.zero_grad()
        F.cross_entropy(model(x), y).backward()
        rule.step()
    return model


def zero_head():
    model = mlp(12, 24, 4)
    nn.init.zeros_(model[-1].weight)
    return model


def loaders(x, y, **options):
    return DataLoader(TensorDataset(x, y), batch_size=32, **options)


def soft():
    return [(x, 0.9 * F.one_hot(y, 4) + 0.025) for x, y in SIMPLE]


def binary():
    x = numbers(0, 240, 6)
    return pairs(x, (x[:, :1] > 0.2).float())


def sparse():
    x = (torch.rand(240, 300, generator=torch.Generator().manual_seed(0)) < 0.02).float()
    return pairs(x, (x[:, :150].sum(1) > x[:, 150:].sum(1)).long())


SIMPLE = classes()
HEALTHY = {
    "classes": lambda: task(lambda: mlp(12, 32, 4), SIMPLE),
    "He": lambda: task(lambda: he(mlp(12, 32, 32, 4)), SIMPLE),
    "six layers": lambda: task(lambda: mlp(12, 32, 32, 32, 32, 32, 4), SIMPLE),
    "tanh": lambda: task(lambda: mlp(12, 32, 32, 4, act=nn.Tanh), SIMPLE),
    "batch norm": lambda: task(lambda: mlp(12, 32, 32, 4, norm=nn.BatchNorm1d), SIMPLE),
    "dropout": lambda: task(
        lambda: nn.Sequential(nn.Linear(12, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 4)), SIMPLE),
    "nll": lambda: task(lambda: nn.Sequential(mlp(12, 32, 4), nn.LogSoftmax(1)), SIMPLE, F.nll_loss),
    "weighted": lambda: task(
        lambda: mlp(12, 32, 4), SIMPLE,
        lambda o, t: F.cross_entropy(o, t, weight=torch.tensor([1.0, 2, 1, 1]), label_smoothing=0.1)),
    "soft classes": lambda: task(lambda: mlp(12, 32, 4), soft()),
    "frozen layer": lambda: task(frozen, SIMPLE),
    "zero head": lambda: task(zero_head, SIMPLE),
    "trained before": lambda: Task.of(trained(), *SIMPLE, loss=F.cross_entropy),
    "loaders": lambda: Task.of(
        lambda: mlp(12, 32, 4), loaders(*SIMPLE[0], shuffle=True), loaders(*SIMPLE[1]), loss=F.cross_entropy),
    "endless": lambda: Task.of(lambda: mlp(5, 16, 2), DataLoader(Endless(), batch_size=32), loss=F.cross_entropy),
    "bags": lambda: Task.of(
        Bagged, DataLoader(Bags(), 32, True, collate_fn=bagged), loss=F.cross_entropy),
    "sparse": lambda: task(lambda: mlp(300, 16, 2), sparse()),
    "regression": lambda: task(lambda: mlp(10, 32, 1), regression(), mse),
    "linear regression": lambda: task(lambda: nn.Linear(10, 1), regression(), mse),
    "binary": lambda: task(lambda: mlp(6, 16, 1), binary(), F.binary_cross_entropy_with_logits),
    "sigmoid": lambda: task(lambda: nn.Sequential(mlp(6, 16, 1), nn.Sigmoid()), binary(), F.binary_cross_entropy),
    "language": lambda: task(Language, text(), language_loss),
    "recurrent": lambda: task(Recurrent, text()),
    "segmentation": lambda: task(Segmenter, pictures()),
    "residual": lambda: task(Residual, lambda: [(x, y[:, 4, 4]) for x, y in pictures()]),
    "two outputs": lambda: task(Two, SIMPLE, lambda o, t: F.cross_entropy(o["a"], t) + o["b"].square().mean()),
}  # fmt: skip


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = mlp(12, 16, 4), nn.Linear(12, 1)

    def forward(self, x):
        return {"a": self.a(x), "b": self.b(x)}


def he(model):
    for m in model:
        if isinstance(m, nn.Linear):
            nn.init.kaiming_normal_(m.weight)
            nn.init.zeros_(m.bias)
    return model


# what each of them is told beside ok, and rightly so
WARNED = {
    "batch norm": {"biases"},
    "trained before": {"learning-rate"},  # there is next to nothing left to learn, a high rate does it fastest
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_sound_task_passes(name):
    found = checks.check(HEALTHY[name]())
    bad = [str(v) for v in found if v.verdict == "fail" or (v.verdict == "warn" and v.name not in WARNED.get(name, ()))]
    assert not bad, "\n".join(bad)
    assert len(found) == len(checks.CHECKS)


def test_the_bundled_tasks_pass_without_a_fail():
    """The quick ones whole; of those that take seconds a step, what needs no run."""
    pytest.importorskip("sklearn")
    for name in set(bundled()) - NETWORK:
        slow = name not in QUICK
        found = checks.check(name, only=[c for c in checks.CHECKS if c not in RUNS] if slow else None)
        assert not found.failed, f"{name}:\n{found}"


NETWORK = {"cifar10", "fashion-mnist"}  # fetched when first used
QUICK = {"digits", "quadratic", "spirals", "diabetes", "modules-sparse"}
RUNS = {"gradcheck", "overfit", "inputs-used", "learning-rate"}
