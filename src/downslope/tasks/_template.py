"""Is a point inside the ring?

The line above is the task's title. A task is a plain Python file with model(), data() and loss(), perhaps metric(),
and imports nothing of downslope. Arguments with defaults are its settings, which can be changed from outside.
"""

import torch
from torch import nn

EPOCHS = 30  # of a run, unless it is told otherwise
BATCH = 16  # samples of a step, likewise


def data(points: int = 1000, seed: int = 0):
    """The parts: (train, validation) or (train, validation, test).

    Each is a pair of tensors (inputs, targets), a dataset with len() and [index], or a DataLoader. Make them the same
    every time, and put nothing into two of them."""
    random = torch.Generator().manual_seed(seed)
    inputs = torch.randn(points, 2, generator=random)
    distance = inputs.norm(dim=1)
    targets = ((distance > 0.7) & (distance < 1.5)).long()
    half = points // 2
    return (inputs[:half], targets[:half]), (inputs[half:], targets[half:])


def model(width: int = 32):
    """A new network; its weights are drawn anew for every seed of a run."""
    return nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, 2))


def loss(output, target):
    """What training lowers: one number for a batch, of what the network gave and what it should have given."""
    return nn.functional.cross_entropy(output, target)


def metric(output, target):
    """Optional: a score to compare runs by, more is better, the mean over a batch. Without it the loss decides."""
    return (output.argmax(1) == target).float().mean()


# Optional as well: CHANCE = 0.5, the metric of guessing; SCORE = "in words, what a good run reaches";
# DROP_LAST = True, which leaves out the samples that do not fill a batch.
