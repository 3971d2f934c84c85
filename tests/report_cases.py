"""Races made up for the tests of reports: records, boards and results without training."""

from downslope.race.board import board
from downslope.race.dimension import Dimension
from downslope.race.plan import Plan
from downslope.race.result import Result, Several

HOSTILE = "</script><script>alert(1)</script>"
RATES = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
GOOD = {"adam": (0.96, 1e-2), "sgd": (0.93, 1e-1), "momentum": (0.95, 1e-1), HOSTILE: (0.9, 1e-2)}


def make_plan(names=tuple(GOOD), **changes):
    lr = (Dimension("lr", 1e-4, 1.0),)
    options = {
        "task": "digits", "task_settings": {}, "optimizers": tuple(names), "dimensions": dict.fromkeys(names, lr),
        "monitor": "metric", "epochs": 9, "batch": 64, "untrained": {"validation": 0.1, "test": 0.1}, "trials": 5,
        "seeds": 3, "origins": {name: f"my_rules.py:{name}" for name in names if name == HOSTILE},
    }  # fmt: skip
    return Plan(**{**options, **changes})


def record(name, lr, seed, stage, good, monitor="metric"):
    """`good` is the final score, as an accuracy; None diverged. A loss is what is left to 1."""
    steps = [60, 120, 180]
    loss = [] if good is None else [2 - good, 1.5 - good, 1.001 - good]
    scores = {} if good is None else {"validation_loss": loss[-1], "test_loss": loss[-1]}
    if good is not None and monitor == "metric":
        scores |= {"validation_metric": good, "test_metric": good - 0.01}
    empty = dict.fromkeys(("validation_loss", "validation_metric", "test_loss", "test_metric"))
    metric = [None] * len(loss) if monitor == "loss" else [] if good is None else [good - 0.3, good - 0.1, good]
    return {
        "trial": {"optimizer": name, "settings": {"lr": lr}, "seed": seed, "epochs": 9, "stage": stage},
        "diverged": good is None, "diverged_at_step": 7 if good is None else None, "steps": 7 if good is None else 180,
        **empty, **scores,
        "curve": {
            "step": steps[: len(loss)], "train_loss": [value / 2 for value in loss], "validation_loss": loss,
            "validation_metric": metric,
        },
        "seconds": 2.0, "state_bytes": 48_720, "how": "alone",
    }  # fmt: skip


def records(plan):
    """Five rates each, the largest of which diverges, and three seeds of the best."""
    found = []
    for place, name in enumerate(plan.optimizers):
        best, at = GOOD.get(name, (0.9 - 0.01 * place, 1e-2))
        for lr in RATES:
            near = 1 if lr == at else 0.8 if abs(RATES.index(lr) - RATES.index(at)) == 1 else 0.3
            found.append(record(name, lr, 0, "search", None if lr == 1.0 else best * near, plan.monitor))
        for i in range(plan.seeds):
            spread = 0.002 * i * (1 + place)  # not the same for all: differences vary
            found.append(record(name, at, 1000 + i, "confirm", best - spread, plan.monitor))
    return found


def make_result(folder, plan=None, only=None):
    """A finished race, or one of which only so many trials are."""
    plan = make_plan() if plan is None else plan
    found = records(plan)[:only]
    made = board(plan, found, expected=len(records(plan)))
    return Result(plan, folder, found, [], made, interrupted=only is not None)


def make_several(folder, names=("adam", "sgd", "momentum")):
    results = []
    for task in ("digits", "spirals", "quadratic"):
        monitor = "loss" if task == "quadratic" else "metric"
        start = 2.0 if monitor == "loss" else 0.1
        plan = make_plan(names, task=task, monitor=monitor, untrained={"validation": start, "test": start})
        results.append(make_result(folder / task, plan))
        results[-1].folder.mkdir()
    return Several.of(folder, results, complete=True)
