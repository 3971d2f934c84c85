"""Adagrad's steps only ever shrink, and training stalls."""

from __future__ import annotations

from downslope import optim, rng
from downslope.textbook.checks import Above, Below
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import batches, best_rate, curve, last, runs
from downslope.textbook.panels import Line, Lines
from downslope.training.task import by_name

CLAIM = Claim(
    title="Adagrad stalls",
    says="Adagrad's sum of squares only grows, so its steps shrink until learning stops.",
    source="Zeiler 2012, arXiv:1212.5701, section 1; Tieleman & Hinton 2012, lecture 6.5",
    task="digits",
    core=(
        Below("step per unit of gradient, epoch 24 over epoch 1, adagrad", 1),
        Above("loss of epoch 24 over that of epoch 12, adagrad at 0.01", 0.9),
    ),
    reach=(
        Above("step per unit of gradient, epoch 24 over epoch 1, rmsprop", 1),
        Above("loss of epoch 24, adagrad at its best rate", "loss of epoch 24, rmsprop at its best rate"),
    ),
    how="Twenty-four epochs. The step per unit of gradient is the rate over the root of what is kept of squared "
    "gradients, as a mean of logs over all weights. Adagrad at torch's default of 0.01, and both at the best of a "
    "grid of three rates by training loss after as many epochs on other seeds. A run that diverges counts as a "
    "loss of log 10.",
    seeds=4,
)

EPOCHS = 24
RATES = {"adagrad": (0.03, 0.1, 0.2), "rmsprop": (0.001, 0.003, 0.01)}
STATE = {"adagrad": "sum", "rmsprop": "square_avg"}


def experiment(seeds: range) -> Evidence:
    task = by_name("digits")
    data = task.make_data()
    losses, curves, measures = {}, [], {}
    best = {rule: best_rate(task, rule, rates, what="train_loss", epochs=EPOCHS) for rule, rates in RATES.items()}
    for name, rule, lr in [
        ("adagrad at 0.01", "adagrad", 0.01),
        ("adagrad at its best rate", "adagrad", best["adagrad"]),
        ("rmsprop at its best rate", "rmsprop", best["rmsprop"]),
    ]:
        (records,) = runs(task, rule, [{"lr": lr}], seeds, epochs=EPOCHS)
        losses[name] = last(records, diverged=2.3026)
        if lr == 0.01:
            measures["loss of epoch 24 over that of epoch 12, adagrad at 0.01"] = [
                run[-1] / run[EPOCHS // 2 - 1] for run in curve(records)
            ]
        whole = [record["curve"]["train_loss"] for record in records if not record["diverged"]]
        curves.append(Line(name, range(1, EPOCHS + 1), whole, "" if "0.01" in name else rule))
    units = []
    for rule, state in STATE.items():
        tracks = []
        for seed in seeds:
            with rng.seeded(seed):
                model = task.make_model()
            optimizer = optim.by_name(rule)(model.parameters(), lr=best[rule])
            track = []
            for step, (inputs, targets) in enumerate(batches(data.train, 64, seed, EPOCHS), 1):
                optimizer.zero_grad()
                task.loss(model(inputs), targets).backward()
                optimizer.step()
                if step % 16 == 0:
                    held = [s[state].sqrt().add(1e-10).log().mean() for s in optimizer.state.values()]
                    track.append(float(sum(held)) / len(held))
            tracks.append([2.718281828 ** (track[0] - value) for value in track])
        measures[f"step per unit of gradient, epoch 24 over epoch 1, {rule}"] = [track[-1] for track in tracks]
        units.append(Line(rule, range(1, EPOCHS + 1), tracks, rule))
    measures |= {f"loss of epoch 24, {name}": found for name, found in losses.items()}
    return Evidence(
        measures,
        [
            Lines("Training loss", "epochs", curves, log_y=True),
            Lines("Step per unit of gradient, first epoch 1", "epochs", units, log_y=True),
        ],
    )
