"""The rates of settings, by the definitions in `setting.py`: unwatched runs at rates a factor of 3 apart.

Example: python -m benchmarks.diagnose.sweep "mlp parity" "bowl" """

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import torch
import typer

from .plan import Plan, adam, quietly, sgd, train
from .setting import Setting
from .settings import SETTINGS

RATES = {adam: [1e-4 * 3**i for i in range(8)], sgd: [1e-3 * 3**i for i in range(9)]}
SEEDS = (5, 6)  # no case has them


def score(setting: Setting, rule: Callable[..., torch.optim.Optimizer], rate: float) -> float:
    """The mean validation score of runs, chance where one came to nothing."""
    found = []
    for seed in SEEDS:
        plan = replace(Plan.of(setting), optimizer=rule, lr=rate)
        with quietly():
            found.append(train(plan, seed, budget=None).score)
    return sum(s if math.isfinite(s) else setting.chance for s in found) / len(found)


def main(names: Annotated[list[str], typer.Argument(help="Settings.")]) -> None:
    """The best rate, and the highest that ends within a tenth of the best."""
    torch.set_num_threads(1)
    for name in names:
        setting, began = SETTINGS[name], time.process_time()
        for rule, rates in RATES.items():
            scores = [score(setting, rule, rate) for rate in rates]
            best = max(scores)
            near = [r for r, s in zip(rates, scores) if s >= setting.chance + 0.9 * (best - setting.chance)]
            found = f"best {rates[scores.index(best)]:.2g} with {best:.3f}, highest {near[-1]:.2g}"
            typer.echo(
                f"{name}, {rule.__name__}: {found}; " + " ".join(f"{r:.2g}:{s:.3f}" for r, s in zip(rates, scores))
            )
        runs = len(SEEDS) * sum(map(len, RATES.values()))
        typer.echo(f"  {(time.process_time() - began) / runs:.2f} s a run")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    typer.run(main)
