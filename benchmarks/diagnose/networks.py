"""The networks of the benchmark: six architectures, small enough that a run takes a second or two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

Act = Callable[[], nn.Module]


def mlp(
    inputs: int = 64, outputs: int = 10, width: int = 48, depth: int = 2, act: Act = nn.ReLU, drop: float = 0.0
) -> nn.Module:
    """Layers of one width, no norms."""
    layers: list[nn.Module] = [nn.Flatten()]
    size = inputs
    for _ in range(depth):
        layers += [nn.Linear(size, width), act()]
        if drop:
            layers.append(nn.Dropout(drop))
        size = width
    return nn.Sequential(*layers, nn.Linear(size, outputs))


def cnn(norm: bool = False, width: int = 8, act: Act = nn.ReLU, outputs: int = 10) -> nn.Module:
    """Two convolutions on 8 x 8 pixels, with or without batch norms; their biases stand before the norms."""

    def block(a: int, b: int) -> list[nn.Module]:
        return [nn.Conv2d(a, b, 3, padding=1), *([nn.BatchNorm2d(b)] if norm else []), act()]

    return nn.Sequential(
        *block(1, width),
        nn.MaxPool2d(2),
        *block(width, 2 * width),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * width, outputs),
    )


class Residual(nn.Module):
    """Branches with a norm first, added to what came in; their last layers start at zero where asked."""

    def __init__(
        self,
        inputs: int = 64,
        outputs: int = 10,
        width: int = 32,
        blocks: int = 3,
        norm: Callable[[int], nn.Module] = nn.BatchNorm1d,
        zero: bool = False,
    ):
        super().__init__()
        self.stem = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(norm(width), nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))
            for _ in range(blocks)
        )
        if zero:
            for block in self.blocks:
                nn.init.zeros_(block[3].weight)  # type: ignore[index]
        self.norm = norm(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x.flatten(1))
        for block in self.blocks:
            x = x + block(x)
        return self.head(self.norm(x))


class Rows(nn.Module):
    """A transformer that reads the eight rows of a digit as tokens."""

    def __init__(self, width: int = 24, drop: float = 0.1, layers: int = 2):
        super().__init__()
        self.embed = nn.Linear(8, width)
        self.place = nn.Parameter(torch.randn(1, 8, width) * 0.02)
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=drop, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x.flatten(0, 1).reshape(-1, 8, 8)) + self.place
        return self.head(self.norm(self.encoder(x)).mean(1))


class RowsRecurrent(nn.Module):
    """A GRU or LSTM that reads the eight rows of a digit."""

    def __init__(self, kind: Any = nn.GRU, width: int = 32, **more: Any):
        super().__init__()
        self.body, self.head = kind(8, width, batch_first=True, **more), nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x.flatten(0, 1).reshape(-1, 8, 8))[0][:, -1])


class BytesRecurrent(nn.Module):
    """A GRU that guesses the next byte; scores are (batch, bytes, place), as cross_entropy takes them."""

    def __init__(self, width: int = 48, kind: Any = nn.GRU):
        super().__init__()
        self.byte, self.body = nn.Embedding(256, width), kind(width, width, batch_first=True)
        self.head = nn.Linear(width, 256)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(self.byte(x))[0]).flatten(0, 1)


class Bytes(nn.Module):
    """The task's transformer on bytes, one row of scores for each byte; `tied`: the head is the embedding."""

    def __init__(self, width: int = 32, layers: int = 1, tied: bool = False, context: int = 32, heads: int = 4):
        super().__init__()
        from downslope.tasks import stdlib

        self.body = stdlib.model(context=context, width=width, layers=layers, heads=heads)
        if tied:
            self.body.head.weight = self.body.byte.weight  # type: ignore[union-attr]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x).flatten(0, 1)


class Names(nn.Module):
    """A bag of names, most of them rare, under a small network."""

    def __init__(self, width: int = 16, sparse: bool = False, vocabulary: int = 4000):
        super().__init__()
        self.names = nn.Embedding(vocabulary + 1, width, padding_idx=0, sparse=sparse)
        self.head = nn.Sequential(nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, 8))
        with torch.no_grad():
            self.names.weight *= 0.1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.names(x).sum(1))


class Wrapped(nn.Module):
    """A network with something before and after it."""

    def __init__(self, body: nn.Module, before: Any = None, after: Any = None):
        super().__init__()
        self.body, self.before, self.after = body, before, after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.before(x) if self.before is not None else x
        x = self.body(x)
        return self.after(x) if self.after is not None else x


class Listed(nn.Module):
    """Its hidden layers are in a plain list, so that `parameters()` does not hold them."""

    def __init__(self, inputs: int = 64, outputs: int = 10, width: int = 48):
        super().__init__()
        self.hidden = [nn.Linear(inputs, width), nn.Linear(width, width)]
        self.head = nn.Linear(width, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(1)
        for layer in self.hidden:
            x = F.relu(layer(x))
        return self.head(x)


class SoftmaxByHand(nn.Module):
    """Features weighted by a softmax of their own, written by hand: exp without subtracting the largest."""

    def __init__(self, inputs: int = 64, outputs: int = 10, width: int = 48, gain: float = 1.0):
        super().__init__()
        self.first, self.gate, self.head = nn.Linear(inputs, width), nn.Linear(width, width), nn.Linear(width, outputs)
        self.gain = gain

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.first(x.flatten(1)))
        weight = torch.exp(self.gain * self.gate(h))
        return self.head(h * weight / weight.sum(1, keepdim=True) * h.shape[1])
