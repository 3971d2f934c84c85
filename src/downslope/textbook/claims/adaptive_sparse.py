"""On sparse inputs adaptive rules win without tuning."""

from __future__ import annotations

from downslope.optim import by_name as rule_of
from downslope.textbook.checks import Above
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import best_rate, runs
from downslope.textbook.panels import Bar, Bars, Line, Lines
from downslope.training.task import by_name

CLAIM = Claim(
    title="Adaptive rules on sparse inputs",
    says="With sparse inputs, an adaptive rule at its default learning rate does best: nothing has to be tuned.",
    source="Ruder 2016, arXiv:1609.04747, section 4.10",
    task="modules-sparse",
    core=(
        Above("accuracy, adagrad", "accuracy, sgd"),
        Above("accuracy, rmsprop", "accuracy, sgd"),
        Above("accuracy, adam", "accuracy, sgd"),
    ),
    reach=(
        Above("accuracy, adam", "accuracy, sgd tuned"),
        Above("accuracy, rmsprop", "accuracy, sgd tuned"),
        Above("accuracy, adagrad", "accuracy, sgd tuned"),
    ),
    how="Five epochs, test accuracy. Adaptive rules, SGD and momentum at their own defaults (torch's); and SGD at "
    "the best of six rates by validation loss on other seeds, to see how much of it is the choice of a rate.",
    seeds=6,
)

RULES = ("adagrad", "rmsprop", "adam", "momentum", "sgd")
RATES = (0.03, 0.1, 0.3, 1.0, 2.0, 3.0)


def experiment(seeds: range) -> Evidence:
    task = by_name("modules-sparse")
    data = task.make_data()
    choices = [(rule, rule, rule_of(rule).setting_defaults["lr"]) for rule in RULES]
    choices.append(("sgd tuned", "sgd", best_rate(task, "sgd", RATES, data=data)))
    measures, lines, bars = {}, [], []
    for name, rule, lr in choices:
        (records,) = runs(task, rule, [{"lr": lr}], seeds, data=data)
        measures[f"accuracy, {name}"] = [record["test_metric"] or task.chance for record in records]
        look = "" if name == "sgd tuned" else rule
        curves = [record["curve"]["train_loss"] for record in records]
        lines.append(Line(f"{name}, lr {lr:g}", range(1, task.epochs + 1), curves, look))
        bars.append(Bar(f"{name}, lr {lr:g}", measures[f"accuracy, {name}"], look))
    return Evidence(measures, [Lines("Training loss", "epochs", lines), Bars("Test accuracy", "share right", bars)])
