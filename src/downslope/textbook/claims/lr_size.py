"""Too small a learning rate crawls, too large a one oscillates or explodes."""

from __future__ import annotations

from itertools import pairwise

from downslope.race.trial import Record
from downslope.textbook.checks import Above
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import curve, last, runs, share
from downslope.textbook.panels import Bar, Bars, Line, Lines
from downslope.training.task import by_name

CLAIM = Claim(
    title="The size of the learning rate",
    says="A learning rate that is too small crawls; one that is too large oscillates or explodes.",
    source="Li, Karpathy & Johnson, CS231n notes, neural networks part 3 (the four loss curves)",
    task="digits",
    core=(
        Above("loss after 8 epochs at lr 0.001", "loss after 8 epochs at lr 0.1", times=3),
        Above("loss after 8 epochs at lr 1", "loss after 8 epochs at lr 0.1", times=3),
        Above("share of runs past 3 times their first loss at lr 10", 0.5),
    ),
    reach=(Above("epochs with a rising loss at lr 1", "epochs with a rising loss at lr 0.1"),),
    how="SGD without momentum at four learning rates. A run whose batch loss passes three times its first has "
    "exploded and ends there. Oscillation is counted as epochs of the eight whose mean training loss is above the "
    "epoch before.",
)

RATES = (0.001, 0.1, 1.0, 10.0)
EPOCHS = 8
CHANCE = 2.3  # log 10: what a run that diverged counts as


def experiment(seeds: range) -> Evidence:
    task = by_name("digits")
    records = runs(task, "sgd", [{"lr": lr} for lr in RATES], seeds, epochs=EPOCHS, exploded=3.0)
    return Evidence(
        {
            **{f"loss after 8 epochs at lr {lr:g}": last(row, diverged=CHANCE) for lr, row in zip(RATES, records[:3])},
            **{f"epochs with a rising loss at lr {lr:g}": rises(row) for lr, row in zip(RATES, records[:3])},
            "share of runs past 3 times their first loss at lr 1": share(records[2]),
            "share of runs past 3 times their first loss at lr 10": share(records[3]),
        },
        [
            Lines(
                "Training loss",
                "epochs",
                [
                    Line(f"lr {lr:g}", range(1, EPOCHS + 1), [run for run in curve(row) if len(run) == EPOCHS])
                    for lr, row in zip(RATES, records[:3])
                ],
                log_y=True,
            ),
            Bars(
                "Runs past three times their first loss",
                "share",
                [Bar(f"lr {lr:g}", share(row)) for lr, row in zip(RATES, records)],
            ),
        ],
    )


def rises(records: list[Record]) -> list[float]:
    return [float(sum(b > a for a, b in pairwise(run))) for run in curve(records)]
