"""A curriculum: easy samples first."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from downslope import train
from downslope.textbook.checks import Above
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.networks import dense
from downslope.textbook.panels import Bar, Bars, Line, Lines
from downslope.training.task import by_name

CLAIM = Claim(
    title="A curriculum",
    says="Shown easy samples first and hard ones later, a network learns faster and ends better.",
    source="Bengio et al. 2009, ICML, Curriculum learning; Hacohen & Weinshall 2019, arXiv:1904.03626; against it "
    "Wu, Dyer & Neyshabur 2021, arXiv:2012.03107",
    task="digits, a dense network",
    core=(Above("accuracy after 60 steps, easy first", "accuracy after 60 steps, shuffled"),),
    reach=(
        Above("accuracy at the end, easy first", "accuracy at the end, shuffled"),
        Above("accuracy after 60 steps, easy first", "accuracy after 60 steps, hard first"),
    ),
    how="SGD at lr 0.1, by a pace that lets in a growing share of the samples, from 20 % on, until half of the "
    "epochs are over. How hard a sample is, a linear model trained on the other half of the samples says by its "
    "loss. Hard first is the same turned round. All get the same number of samples, at most one epoch apart.",
    seeds=10,
)


def losses(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Of each sample by softmax regression on the half that it is not in."""
    flat, found = inputs.flatten(1), torch.empty(len(targets))
    for half in (0, 1):
        mine = torch.arange(len(targets)) % 2 == half
        model = nn.Linear(64, 10)
        search = torch.optim.LBFGS(model.parameters(), max_iter=40)

        def closure(model: nn.Module = model, search: torch.optim.LBFGS = search, other: torch.Tensor = ~mine):
            search.zero_grad()
            loss = nn.functional.cross_entropy(model(flat[other]), targets[other])
            loss.backward()
            return loss

        search.step(closure)
        with torch.no_grad():
            found[mine] = nn.functional.cross_entropy(model(flat[mine]), targets[mine], reduction="none")
    return found


ORDERS = {
    "shuffled": {"order": "shuffle", "epochs": 20},
    "easy first": {"order": "curriculum", "difficulty": losses, "epochs": 25},
    "hard first": {"order": "curriculum", "difficulty": lambda x, y: -losses(x, y), "epochs": 25},
}


def experiment(seeds: range) -> Evidence:
    task = replace(by_name("digits"), model=dense)
    measures: dict[str, list[float]] = {}
    lines = []
    for name, options in ORDERS.items():
        runs = []
        for seed in seeds:
            result = train(task, optimizer="sgd", lr=0.1, batch=64, seed=seed, eval_steps=10, **options)
            scores = [record["validation_metric"] for record in result.records if "validation_metric" in record][:32]
            measures.setdefault(f"accuracy after 60 steps, {name}", []).append(scores[5])
            measures.setdefault(f"accuracy at the end, {name}", []).append(result.test_metric)
            runs.append(scores)
        lines.append(Line(name, range(10, 330, 10), runs))
    bars = [Bar(name, measures[f"accuracy at the end, {name}"]) for name in ORDERS]
    return Evidence(
        measures, [Lines("Validation accuracy", "steps", lines), Bars("Test accuracy", "share right", bars)]
    )
