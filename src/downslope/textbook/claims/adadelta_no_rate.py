"""Adadelta needs no learning rate."""

from __future__ import annotations

from downslope.textbook.checks import Above, Close
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import best_rate, runs
from downslope.textbook.panels import Bar, Bars, Line, Lines
from downslope.training.task import by_name

CLAIM = Claim(
    title="Adadelta needs no learning rate",
    says="Adadelta sets its step size by itself: no learning rate has to be chosen.",
    source="Zeiler 2012, arXiv:1212.5701, abstract",
    task="digits and spirals",
    core=(
        Above("digits, accuracy, adadelta as it comes", "digits, accuracy, sgd at its best rate", plus=-0.02),
        Above("spirals, accuracy, adadelta as it comes", "spirals, accuracy, sgd at its best rate", plus=-0.02),
    ),
    reach=(
        Close("digits, accuracy, adadelta at eps 1e-8", "digits, accuracy, adadelta as it comes", within=0.02),
        Close("spirals, accuracy, adadelta at eps 1e-8", "spirals, accuracy, adadelta as it comes", within=0.02),
    ),
    how="Adadelta at its defaults (rho 0.9, eps 1e-6, the rate 1 of the paper) against SGD with momentum 0.9 at the "
    "best of five rates by validation loss on other seeds; test accuracy after the tasks' own numbers of epochs. "
    "The first steps are about the root of eps: the limits ask whether eps is a learning rate by another name.",
    seeds=10,
)

RATES = (0.003, 0.01, 0.03, 0.1, 0.3)


def experiment(seeds: range) -> Evidence:
    measures, bars, lines = {}, [], []
    for name in ("digits", "spirals"):
        task = by_name(name)
        best = best_rate(task, "momentum", RATES)
        (sgd,) = runs(task, "momentum", [{"lr": best}], seeds)
        plain, small = runs(task, "adadelta", [{"lr": 1.0}, {"lr": 1.0, "eps": 1e-8}], seeds)
        for words, optimizer, records in [
            ("sgd at its best rate", "momentum", sgd),
            ("adadelta as it comes", "adadelta", plain),
            ("adadelta at eps 1e-8", "", small),
        ]:
            measures[f"{name}, accuracy, {words}"] = [r["test_metric"] or task.chance for r in records]
            bars.append(Bar(f"{name}, {words}", measures[f"{name}, accuracy, {words}"], optimizer))
            if name == "digits":
                runs_of = [r["curve"]["train_loss"] for r in records if not r["diverged"]]
                lines.append(Line(words, range(1, task.epochs + 1), runs_of, optimizer))
    return Evidence(
        measures,
        [Lines("Digits: training loss", "epochs", lines, log_y=True), Bars("Test accuracy", "share right", bars)],
    )
