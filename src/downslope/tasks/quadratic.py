"""A quadratic bowl in 100 dimensions with noisy centres: `quadratic_deep` of DeepOBS (Schneider, Balles & Hennig 2019,
arXiv:1903.05499): 90 % of its curvatures are small and 10 % large, like those of a network's loss.

Seeds, sizes and the order in which numbers are drawn are DeepOBS's, so that losses can be compared with published ones.
"""

from __future__ import annotations

import functools

import numpy
import torch
from torch import nn

TITLE = "a noisy quadratic in 100 dimensions, 10 of them steep (DeepOBS's quadratic_deep)"
SCORE = "test loss 87.4 after 100 epochs of SGD at lr 0.01; no point has less than 86.87"
EPOCHS, BATCH, CHANCE = 100, 128, 0.0
DROP_LAST = True
SIZES = (1000, 896, 896)

DIMENSIONS, STEEP, NOISE = 100, 10, 0.6
SEEDS = (42, 44, 43)  # of train, validation, test
START = 1.0  # the test loss there is 353.4468


def data() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The centres x of bowls, 1,000 drawn for each part, both as the input and as the target.

    What does not fill a batch is dropped: in training from each epoch's order (DROP_LAST); elsewhere the order is
    fixed, and it is left out here."""
    parts = []
    for seed, size in zip(SEEDS, SIZES):
        centres = numpy.random.RandomState(seed).normal(0.0, NOISE, (1000, DIMENSIONS))
        x = torch.tensor(centres[:size], dtype=torch.float32)
        parts.append((x, x))
    return parts


class Point(nn.Module):
    """The point theta where the bowls are looked at: a network that gives the same answer to all inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.full((DIMENSIONS,), START))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.theta.expand(len(x), DIMENSIONS)


def model() -> nn.Module:
    """The point theta, at 1 in every dimension."""
    return Point()


def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The mean of (theta - x)' Q (theta - x) / 2."""
    away = output - target
    return ((away @ hessian().to(away)) * away).sum(1).mean() / 2


@functools.cache
def hessian() -> torch.Tensor:
    """Q = R' D R with eigenvalues from U(0, 1) and U(30, 60), in float64."""
    random = numpy.random.RandomState(42)
    eigenvalues = numpy.concatenate([random.uniform(0.0, 1.0, DIMENSIONS - STEEP), random.uniform(30.0, 60.0, STEEP)])
    rotation = random_rotation(random, DIMENSIONS)
    return torch.tensor(rotation.T @ numpy.diag(eigenvalues) @ rotation)


def random_rotation(random: numpy.random.RandomState, dimensions: int) -> numpy.ndarray:
    """A rotation drawn uniformly by the subgroup algorithm of Diaconis & Shahshahani 1987: from each dimension to the
    next, the first axis is reflected onto a random direction."""
    angle = 2 * numpy.pi * random.rand()
    rotation = numpy.array([[numpy.cos(angle), numpy.sin(angle)], [-numpy.sin(angle), numpy.cos(angle)]])
    for size in range(3, dimensions + 1):
        direction = random.normal(size=size)
        mirror = -direction / numpy.linalg.norm(direction)
        mirror[0] += 1.0
        mirror /= numpy.linalg.norm(mirror)
        larger = numpy.eye(size)
        larger[1:, 1:] = rotation
        rotation = larger - 2 * numpy.outer(mirror, mirror @ larger)
    return -rotation
