"""At test time batch norm goes by running statistics, so that an answer does not depend on its neighbours."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import torch

from downslope import train
from downslope.textbook.checks import Above, Close
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.networks import convolutional
from downslope.textbook.panels import Bar, Bars
from downslope.training.batchnorm import recompute
from downslope.training.task import by_name

CLAIM = Claim(
    title="Batch norm at test time",
    says="At test time the averages of training stand in for the batch's own statistics; with those, an answer "
    "would depend on what else is in the batch.",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167, section 3.1; Wu & Johnson 2021, arXiv:2105.07576",
    task="digits, the convolutional network with batch norm",
    core=(
        Above("accuracy, running averages", "accuracy, of its own batch, one digit only", plus=0.05),
        Above("share of answers that change with their neighbours", 0.001),
    ),
    reach=(
        Close("accuracy, of its own batch, 100 mixed", "accuracy, running averages", within=0.005),
        Close("accuracy after 1 epoch, running averages", "accuracy after 1 epoch, recomputed", within=0.005),
    ),
    how="SGD at lr 0.1 for ten epochs. The test digits are then asked in batches of 100 that are mixed, of 4, and "
    "of one digit only. Neighbours are changed by mixing anew. The limits: large mixed batches, and averages of "
    "only 16 steps against exact statistics over the training data.",
    seeds=8,
)


@torch.no_grad()
def answers(model: torch.nn.Module, images: torch.Tensor, order: torch.Tensor, size: int) -> torch.Tensor:
    """The classes, by statistics of batches in this order."""
    model = deepcopy(model).train()
    found = torch.empty(len(images), dtype=torch.int64)
    for rows in order.split(size):
        found[rows] = model(images[rows]).argmax(1)
    return found


def experiment(seeds: range) -> Evidence:
    task = replace(by_name("digits"), model=lambda: convolutional("before"))
    data = task.make_data()
    images, labels = data.test.source
    measures: dict[str, list[float]] = {}
    for seed in seeds:
        short = train(task, optimizer="sgd", lr=0.1, epochs=1, seed=seed)
        result = train(task, optimizer="sgd", lr=0.1, epochs=10, seed=seed, eval_epochs=10)
        mixed, again = (torch.randperm(400, generator=torch.Generator().manual_seed(2 * seed + k)) for k in (0, 1))
        first, second = (answers(result.model, images, order, 4) for order in (mixed, again))
        found = {
            "accuracy, running averages": result.test_metric,
            "accuracy, of its own batch, 100 mixed": answers(result.model, images, mixed, 100).eq(labels),
            "accuracy, of its own batch, 4 mixed": first.eq(labels),
            "accuracy, of its own batch, one digit only": answers(result.model, images, labels.argsort(), 20).eq(
                labels
            ),
            "share of answers that change with their neighbours": first.ne(second),
            "accuracy after 1 epoch, running averages": short.test_metric,
        }
        recompute(short.model, data.train.batches(64))
        with torch.no_grad():
            found["accuracy after 1 epoch, recomputed"] = short.model.eval()(images).argmax(1).eq(labels)
        for name, value in found.items():
            mean = value.double().mean().item() if isinstance(value, torch.Tensor) else value
            measures.setdefault(name, []).append(mean)
    bars = [Bar(name.removeprefix("accuracy, "), values) for name, values in measures.items() if "accuracy," in name]
    late = [Bar(name.split(", ")[1], values) for name, values in measures.items() if "epoch" in name]
    return Evidence(
        measures, [Bars("Test accuracy", "share right", bars), Bars("After one epoch", "share right", late)]
    )
