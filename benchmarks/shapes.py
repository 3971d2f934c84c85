"""The parameter lists that the optimizers step over."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import torch


class Shape(NamedTuple):
    """A list of parameter tensors; `large` means bound by memory, not by overhead."""

    title: str
    tensors: list[tuple[int, ...]]
    large: bool

    @property
    def elements(self) -> int:
        return sum(prod(size) for size in self.tensors)


def _batchnorm(width: int) -> list[tuple[int, ...]]:
    return [(width,), (width,)]


def _residual(inputs: int, outputs: int) -> list[tuple[int, ...]]:
    """Two 3x3 convolutions; where the width changes, the shortcut is a 1x1 convolution."""
    tensors = [(outputs, inputs, 3, 3), *_batchnorm(outputs), (outputs, outputs, 3, 3), *_batchnorm(outputs)]
    return tensors if inputs == outputs else [*tensors, (outputs, inputs, 1, 1), *_batchnorm(outputs)]


def resnet18() -> list[tuple[int, ...]]:
    """He et al. 2015, arXiv:1512.03385, Table 1, for 1,000 classes; torchvision's order."""
    tensors = [(64, 3, 7, 7), *_batchnorm(64)]
    for inputs, outputs in [(64, 64), (64, 128), (128, 256), (256, 512)]:
        tensors += _residual(inputs, outputs) + _residual(outputs, outputs)
    return [*tensors, (1000, 512), (1000,)]


def transformer(layers: int = 12, width: int = 384, words: int = 8192, context: int = 256) -> list[tuple[int, ...]]:
    """GPT-2's tensors, biases and norms included, the output tied to the embedding."""
    norm = [(width,), (width,)]
    attention = [(3 * width, width), (3 * width,), (width, width), (width,)]
    perceptron = [(4 * width, width), (4 * width,), (width, 4 * width), (width,)]
    return [(words, width), (context, width), *(layers * (norm + attention + norm + perceptron)), *norm]


def small() -> list[tuple[int, ...]]:
    """400 tensors from 1,001 to 2,999 elements, 2,000 on average, most of no round size."""
    half = [1 + 5 * index % 999 for index in range(200)]  # a tensor above 2,000 for each one below
    return [(2000 + sign * offset,) for offset in half for sign in (-1, 1)]


SHAPES: dict[str, Shape] = {
    "small": Shape("400 of ~2,000", small(), large=False),
    "resnet18": Shape("ResNet-18", resnet18(), large=True),
    "transformer": Shape("transformer", transformer(), large=True),
    "100m": Shape("one of 100 M", [(100_000_000,)], large=True),
}
SINGLES = Shape("400 of 1", 400 * [(1,)], large=False)  # no work to speak of: what is left is overhead

assert (len(resnet18()), SHAPES["resnet18"].elements) == (62, 11_689_512)
assert (len(transformer()), SHAPES["transformer"].elements) == (148, 24_538_368)
assert (len(small()), SHAPES["small"].elements) == (400, 800_000)


def parameters(shape: Shape, seed: int = 0) -> list[torch.nn.Parameter]:
    """Parameters with a gradient each, float32: the same values for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for size in shape.tensors:
        parameter = torch.nn.Parameter(torch.empty(size).uniform_(-1, 1, generator=generator))
        parameter.grad = torch.empty(size).uniform_(-0.01, 0.01, generator=generator)
        made.append(parameter)
    return made
