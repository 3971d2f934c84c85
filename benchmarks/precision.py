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
        seeds = sorted(set.intersection(*(set(runs) for runs in by_states.values())), key=int)
        for place, what in enumerate(("validation loss", "test accuracy")):
            base = [by_states["float32"][seed][place] for seed in seeds]
            error = statistics.stdev(base) / len(base) ** 0.5 if len(base) > 1 else float("nan")
            for states, runs in by_states.items():
                values = [runs[seed][place] for seed in seeds]
                own = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
                off = statistics.mean(values) - statistics.mean(base)
                within = "–" if states == "float32" else "yes" if abs(off) <= error else "no"
                cells = [task, what, states, f"{statistics.mean(values):.4f} ± {own:.4f}", f"{off:+.4f}", within]
                found.append(cells)
    return found


def markdown(results: Results) -> str:
    head = ["task", "at the end", "states", "mean ± standard error", "less float32", "within its standard error"]
    lines = [head, ["---"] * 3 + ["---:"] * 2 + ["---"], *rows(results)]
    seeds = min(len(runs) for by_states in results.values() for runs in by_states.values())
    title = f"Adam, {seeds} seeds; the same initial weights and order of the data for every precision."
    return "\n".join([title, "", *("| " + " | ".join(cells) + " |" for cells in lines)])


if __name__ == "__main__":
    text = markdown(measure())
    print(text)
    page = DOCS.read_text(encoding="utf-8")
    write(DOCS, between_markers(page, text, BEGIN, END))
