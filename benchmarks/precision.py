"""Where training ends with states in fewer bits: Adam on the digits and the language task, over ten seeds.

    python -m benchmarks.precision

Every precision has the same seeds: initial weights and order of the data are equal, so that only rounding differs. A
run that is finished is kept in `benchmarks/results/precision.json`, and is not run again; the table goes into
`docs/performance.md`."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import torch

from downslope.optim import Adam
from downslope.training.outcome import train
from downslope.training.task import by_name

from .__main__ import DOCS, HERE, write
from .table import between_markers

RESULTS = HERE / "results" / "precision.json"
SEEDS = 10
TASKS = {"digits": 1e-2, "stdlib": 3e-3}  # and their learning rates
BEGIN, END = "<!-- precision: begin -->", "<!-- precision: end -->"
STATES: dict[str, dict[str, Any]] = {
    "float32": {},
    "bfloat16": {"state_dtype": "bfloat16"},
    "int8": {"state_dtype": "int8"},
}
Results = dict[str, dict[str, dict[str, list[float]]]]  # task, states, seed: validation loss, test accuracy


def one(task_name: str, states: str, seed: int) -> list[float]:
    """A run's last validation loss, and the share of the test set that it has right."""
    task = by_name(task_name)
    data = task.make_data()

    def optimizer(parameters: Any) -> torch.optim.Optimizer:
        return Adam(parameters, lr=TASKS[task_name], **STATES[states])

    ended = train(task, data, optimizer, seed=seed, epochs=task.epochs, batch=task.batch)
    return [ended.validation_loss[-1], float(ended.test_accuracy or 0.0)]


def measure(path: Path = RESULTS, seeds: int = SEEDS) -> Results:
    """All runs, those that are not there yet."""
    results: Results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    torch.set_num_threads(1)
    for task in TASKS:
        for seed in range(seeds):
            for states in STATES:
                runs = results.setdefault(task, {}).setdefault(states, {})
                if str(seed) not in runs:
                    runs[str(seed)] = one(task, states, seed)
                    write(path, json.dumps(results, indent=1) + "\n")
                    print(f"{task}, {states} states, seed {seed}: {runs[str(seed)]}", flush=True)
    return results


def rows(results: Results) -> list[list[str]]:
    """Of each task and precision: the mean over seeds, its standard error, the distance from float32, the verdict."""
    found = []
    for task, by_states in results.items():
        for place, what in enumerate(("validation loss", "test accuracy")):
            for states, runs in by_states.items():
                seeds = by_states["float32"].keys() & runs.keys()
                base, values = ([of[seed][place] for seed in seeds] for of in (by_states["float32"], runs))
                off = statistics.mean(values) - statistics.mean(base)
                worse = -off if place else off  # a loss is to be low, an accuracy high
                outside = "no: worse" if worse > 0 else "no: better"
                within = "–" if states == "float32" else "yes" if abs(off) <= _error(base) else outside
                mean = f"{statistics.mean(values):.4f} ± {_error(values):.4f}"
                found.append([task, what, states, str(len(seeds)), mean, f"{off:+.4f}", within])
    return found


def _error(values: list[float]) -> float:
    """The standard error of a mean."""
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")


def markdown(results: Results) -> str:
    head = [
        "task",
        "at the end",
        "states",
        "seeds",
        "mean ± standard error",
        "less float32",
        "within that error of float32",
    ]
    lines = [head, ["---"] * 3 + ["---:"] * 3 + ["---"], *rows(results)]
    title = "Adam; the same initial weights and order of the data for every precision."
    return "\n".join([title, "", *("| " + " | ".join(cells) + " |" for cells in lines)])


if __name__ == "__main__":
    text = markdown(measure())
    print(text)
    page = DOCS.read_text(encoding="utf-8")
    write(DOCS, between_markers(page, text, BEGIN, END))
