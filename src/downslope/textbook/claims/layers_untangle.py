"""Layer by layer two crumpled classes are untangled, until a straight cut separates them."""

from __future__ import annotations

from downslope import rng, train
from downslope.landscape.layers import bends
from downslope.textbook.checks import Above, Below
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.panels import Line, Lines, Scatter
from downslope.training.task import by_name

CLAIM = Claim(
    title="Layers untangle two classes",
    says="Two crumpled, interleaved classes are bent layer by layer until a straight cut separates them.",
    source="Olah 2014, Neural networks, manifolds, and topology; Chollet 2017, Deep Learning with Python, section "
    "2.3.6",
    task="spirals",
    core=(
        Below("straight cut of the input", 0.75),
        Above("straight cut of the last hidden layer", 0.97),
    ),
    reach=(
        Above("straight cut of the last hidden layer", "straight cut of the first hidden layer"),
        Above("straight cut of the last hidden layer", "straight cut of the last hidden layer, untrained", plus=0.05),
    ),
    how="The spirals network, trained for sixty epochs by Adam at lr 0.01. A straight cut is the share of the test "
    "points that a logistic regression on a layer's outputs puts on the right side. The limits ask whether it goes "
    "step by step, and how much is owed to training: 32 random bends untangle something by themselves.",
    seeds=8,
)


def experiment(seeds: range) -> Evidence:
    task = by_name("spirals")
    batch = task.make_data().test.source
    cuts: dict[str, list[list[float]]] = {"trained": [], "untrained": []}
    first = []
    for seed in seeds:
        result = train(task, optimizer="adam", lr=0.01, seed=seed, eval_epochs=60)
        with rng.seeded(seed):
            start = task.make_model()
        for name, model in (("trained", result.model), ("untrained", start)):
            found, classes = bends(task, model, batch)
            hidden = [each for each in found if "Linear" not in each.name]  # the input and each ReLU
            cuts[name].append([each.separable for each in hidden])
            first = first or [(each, classes) for each in hidden]
    names = ("the input", "the first hidden layer", "the last hidden layer")
    measures = {f"straight cut of {name}": [run[k] for run in cuts["trained"]] for k, name in enumerate(names)}
    for k in (1, 2):
        measures[f"straight cut of {names[k]}, untrained"] = [run[k] for run in cuts["untrained"]]
    shapes = [Scatter(name.capitalize(), each.points, classes) for name, (each, classes) in zip(names, first)]
    lines = [Line(name, range(3), runs) for name, runs in cuts.items()]
    return Evidence(measures, [*shapes, Lines("Straight cut by hidden layer", "layer", lines, marks=True)])
