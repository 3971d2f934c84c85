"""Stop when the validation score stops getting better."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from downslope import train
from downslope.textbook.checks import Below, Close
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.panels import Bar, Bars, Line, Lines
from downslope.training.task import by_name

CLAIM = Claim(
    title="Early stopping",
    says="Stopping when the validation loss no longer falls keeps a network from fitting noise, and saves time.",
    source="Prechelt 1998, Early stopping: but when?; Goodfellow, Bengio & Courville 2016, section 7.8",
    task="diabetes, a hidden layer of 128",
    core=(Below("test loss, stopped", "test loss, to the end"),),
    reach=(
        Below("epochs taken, stopped", 60),
        Close("test loss, stopped", "test loss, the best epoch of all", within=0.02),
    ),
    how="Adam at lr 0.003 for 120 epochs of 242 patients, and the same with a patience of ten epochs, which goes "
    "back to the weights that were best on the validation patients. The best epoch of all is chosen by the test "
    "patients themselves, which nobody may do: it is what stopping could reach at most.",
    seeds=12,
)


def wide() -> nn.Module:
    return nn.Sequential(nn.Linear(10, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh(), nn.Linear(128, 1))


class Curve:
    """The test loss after each epoch."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_epoch(self, loop) -> None:
        self.losses.append(loop.score(loop.data.test)[0])
        loop.model.train()


def experiment(seeds: range) -> Evidence:
    task = replace(by_name("diabetes"), model=wide, settings={})
    measures: dict[str, list[float]] = {}
    curves: dict[str, list[list[float]]] = {"training": [], "validation": [], "test": []}
    for seed in seeds:
        watcher = Curve()
        whole = train(task, lr=0.003, epochs=120, seed=seed, callbacks=[watcher])
        stopped = train(task, lr=0.003, epochs=120, seed=seed, patience=10, monitor="loss")
        epochs = [record for record in whole.records if record["event"] == "epoch"]
        curves["training"].append([record["train_loss"] for record in epochs])
        curves["validation"].append([record["validation_loss"] for record in epochs])
        curves["test"].append(watcher.losses)
        for name, value in {
            "test loss, stopped": stopped.test_loss,
            "test loss, to the end": whole.test_loss,
            "test loss, the best epoch of all": min(watcher.losses),
            "epochs taken, stopped": float(sum(r["event"] == "epoch" for r in stopped.records)),
        }.items():
            measures.setdefault(name, []).append(value)
    lines = [Line(name, range(1, 121), runs) for name, runs in curves.items()]
    bars = [Bar(name.removeprefix("test loss, "), values) for name, values in measures.items() if "loss" in name]
    return Evidence(measures, [Lines("Loss without stopping", "epochs", lines), Bars("Test loss", "loss", bars)])
