"""Fashion-MNIST: 70,000 pictures of clothes, 28 x 28 pixels (Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747).

Downloaded once by scikit-learn from openml.org, data set 40996, into its data folder (~/scikit_learn_data); reading it
is much faster where pandas is installed.
"""

from __future__ import annotations

import numpy
import torch
from torch import nn

from ._openml import fetch as openml
from ._openml import parts

TITLE = "clothes, 28 x 28 pixels, a small convolutional network (downloads from openml.org)"
SCORE = "89.7 % of the test pictures, a support vector machine trained on all 60,000 (Xiao et al. 2017)"
EPOCHS, BATCH, CHANCE = 3, 64, 0.1
SIZES = (10000, 5000, 10000)

DATA_SET, SHAPE, TRAIN = 40996, (1, 28, 28), 60000


def data(images: int = SIZES[0]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The first of the `images` for training (at most 55,000), the last 5,000 of the training set for validation, and
    the test set; pixels shifted and scaled by the mean and deviation of the training part."""
    return parts(*fetch(), SHAPE, TRAIN, SIZES[1], images)


def fetch() -> tuple[numpy.ndarray, numpy.ndarray]:
    """Rows of 784 pixels from 0 to 255 and the classes 0 to 9, the 10,000 of the test set last."""
    return openml(DATA_SET)


def model(width: int = 16) -> nn.Module:
    """Two convolutions and one linear layer, 20,490 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * width * 7 * 7, 10),
    )


def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(output, target)


def metric(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return (output.argmax(1) == target).double().mean()
