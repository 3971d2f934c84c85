"""CIFAR-10: 60,000 photographs of animals and vehicles, 32 x 32 pixels in colour (Krizhevsky 2009).

Downloaded once by scikit-learn from openml.org, data set 40927, into its data folder (~/scikit_learn_data); reading it
is much faster where pandas is installed.
"""

from __future__ import annotations

import numpy
import torch
from torch import nn

from ._openml import fetch as openml
from ._openml import parts

TITLE = "photographs, 32 x 32 pixels, three convolutional layers (downloads from openml.org)"
SCORE = "84.4 % of the test pictures, with dropout, trained on all 50,000 (Hinton et al. 2012, arXiv:1207.0580)"
EPOCHS, BATCH, CHANCE = 3, 64, 0.1
SIZES = (10000, 5000, 10000)

DATA_SET, SHAPE, TRAIN = 40927, (3, 32, 32), 50000


def data(images: int = SIZES[0]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The first of the `images` for training (at most 45,000), the last 5,000 of the training set for validation, and
    the test set; each colour shifted and scaled by its mean and deviation in the training part."""
    return parts(*fetch(), SHAPE, TRAIN, SIZES[1], images)


def fetch() -> tuple[numpy.ndarray, numpy.ndarray]:
    """Rows of 3,072 pixels from 0 to 255, red then green then blue, and the classes 0 to 9, the test set last."""
    return openml(DATA_SET)


def model(width: int = 16) -> nn.Module:
    """Three convolutions and one linear layer, 33,834 parameters."""
    layers: list[nn.Module] = []
    for inputs, outputs in (3, width), (width, 2 * width), (2 * width, 4 * width):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * width * 4 * 4, 10))


def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(output, target)


def metric(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return (output.argmax(1) == target).double().mean()
