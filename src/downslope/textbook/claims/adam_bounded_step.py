"""No step of Adam is much longer than its learning rate, whatever the gradient."""

from __future__ import annotations

import torch

from downslope import optim, rng
from downslope.textbook.checks import Above, Below
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import batches
from downslope.textbook.panels import Line, Lines
from downslope.training.task import by_name

CLAIM = Claim(
    title="Adam's step is bounded",
    says="Adam's step in each coordinate is bounded by about its learning rate, whatever comes as a gradient.",
    source="Kingma & Ba 2015, arXiv:1412.6980, section 2.1",
    task="digits",
    core=(
        Below("largest step over lr, adam", 3.163),
        Below("step at the spike over the step before, adam", 10),
        Above("step at the spike over the step before, sgd", 100),
    ),
    reach=(Below("largest step over lr, adam", 1),),
    how="Adam at lr 0.003 and SGD at lr 0.1 for three epochs on digits; the loss of the 40th batch is taken 1000 "
    "times, as a broken batch would be. A step is the largest change of any weight; SGD's run ends there. The "
    "paper bounds a step by lr (1 - beta1) / sqrt(1 - beta2), 3.162 lr, where a gradient was zero before, and by "
    "lr elsewhere.",
    seeds=8,
)

SPIKE = 40
RULES = {"adam": (optim.Adam, 0.003), "sgd": (optim.SGD, 0.1)}


def experiment(seeds: range) -> Evidence:
    task = by_name("digits")
    part = task.make_data().train
    measures: dict[str, list[float]] = {}
    tracks: dict[str, list[list[float]]] = {rule: [] for rule in RULES}
    for rule, (make, lr) in RULES.items():
        for seed in seeds:
            with rng.seeded(seed):
                model = task.make_model()
            optimizer, track = make(model.parameters(), lr=lr), []
            for step, (inputs, targets) in enumerate(batches(part, 64, seed, epochs=3), 1):
                before = torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()
                optimizer.zero_grad()
                (task.loss(model(inputs), targets) * (1000 if step == SPIKE else 1)).backward()
                optimizer.step()
                moved = (torch.nn.utils.parameters_to_vector(model.parameters()).detach() - before).abs() / lr
                track.append(moved.max().item())
                if rule == "sgd" and step == SPIKE:
                    break
            tracks[rule].append(track)
            ratio = track[SPIKE - 1] / track[SPIKE - 2]
            measures.setdefault(f"step at the spike over the step before, {rule}", []).append(ratio)
            if rule == "adam":
                measures.setdefault("largest step over lr, adam", []).append(max(track))
    return Evidence(
        measures,
        [
            Lines(
                "Largest step over lr, a spike at step 40",
                "steps",
                [Line(rule, range(1, 49), runs, rule) for rule, runs in tracks.items()],
                log_y=True,
                level=("the learning rate", 1.0),
            )
        ],
    )
