"""Trials a minute: what trains together, beside an Optuna study over a plain torch loop with torch's fused Adam.

    python -m benchmarks.trials
    python -m benchmarks.trials --device cuda --kinds mlp

Handwritten digits and three networks, trials of 300 steps over random learning rates, each scored after every epoch by
both. Ours is what a race does: two processes with one thread each, their trials in batches. Optuna's is the loop of
its tutorial in one process, with one thread or two, whichever is quicker; and, for those who start two by hand, in two.
All processes stand ready before the clock starts; entrants take turns, Optuna with as many trials as fill a second.
On a GPU, which two processes would have to share, ours and Optuna's have one each."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib.util import find_spec
from multiprocessing import get_context
from statistics import median
from typing import Annotated, Any, NamedTuple

import typer

STEPS = 300
TRIALS = 64
ROUNDS = 5
LOW, HIGH = 1e-4, 1e-1  # of the learning rates


class Kind(NamedTuple):
    """A network's name, its samples in a batch and for training, and how many trials the others run in a turn."""

    title: str
    batch: int
    samples: int
    turn: int

    @property
    def epochs(self) -> int:
        return STEPS * self.batch // self.samples


KINDS = {
    "mlp": Kind("MLP", 32, 960, 16),
    "cnn": Kind("CNN", 32, 960, 4),
    "transformer": Kind("transformer", 8, 800, 4),
}
ENTRANTS = ("ours", "optuna", "optuna, two processes")


def network(name: str) -> Any:
    """3,466 parameters; the 6,090 of the task digits; 8,970 with a row of pixels for a word."""
    from torch import nn

    from downslope.tasks import digits

    if name == "mlp":
        return nn.Sequential(
            nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10)
        )
    return digits.model() if name == "cnn" else _transformer()


def _transformer() -> Any:
    import torch
    from torch import nn

    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.places = nn.Linear(8, 32), nn.Parameter(torch.zeros(8, 32))
            self.block = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
            self.head = nn.Linear(32, 10)

        def forward(self, x: Any) -> Any:
            return self.head(self.block(self.words(x.squeeze(1)) + self.places).mean(1))

    return Rows()


@cache
def task(name: str) -> Any:
    """The task and its data, made once in a process."""
    from downslope.tasks import digits
    from downslope.training import Task

    (inputs, targets), validation, _ = digits.data()
    size = KINDS[name].samples
    parts = (inputs[:size], targets[:size]), validation
    made = Task(name, lambda: network(name), lambda: parts, digits.loss, digits.metric, batch=KINDS[name].batch)
    return made, made.make_data()


# ---- the entrants


def ours(name: str, rates: list[float], device: str = "cpu") -> list[float]:
    """The validation accuracies of trials that train together, in batches of the size that was found best."""
    from downslope.race.alone import run_alone
    from downslope.race.batched import run_batch
    from downslope.race.common import Common
    from downslope.race.trial import Trial

    made, data = task(name)
    common = Common(KINDS[name].batch, schedule="constant", device=device)
    trials = [Trial("adam", (("lr", rate),), 0, KINDS[name].epochs) for rate in rates]
    size = _size(name, len(trials), device)
    if size == 1:
        records = [run_alone(made, data, common, trial) for trial in trials]
    else:
        batches = [trials[i : i + size] for i in range(0, len(trials), size)]
        records = [record for batch in batches for record in run_batch(made, data, common, batch)]
    return [record["validation_metric"] or 0.0 for record in records]


@cache
def _size(name: str, count: int, device: str) -> int:
    from downslope.race.batched import can_batch
    from downslope.race.common import Common
    from downslope.race.trial import Trial

    made, data = task(name)
    trials = [Trial("adam", (("lr", 1e-3 * (1 + i)),), 0, KINDS[name].epochs) for i in range(count)]
    found = can_batch(made, data, Common(KINDS[name].batch, schedule="constant", device=device), trials)
    parts = math.ceil(count / max(1, found["size"]))
    return math.ceil(count / parts)


def optuna_study(name: str, count: int, threads: int = 1, device: str = "cpu") -> list[float]:
    """The validation accuracies of a study's trials."""
    import optuna
    import torch
    from torch.nn.functional import cross_entropy

    torch.set_num_threads(threads)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kind, (_, data) = KINDS[name], task(name)
    inputs, targets = (t.to(device) for t in data.train.tensors)
    held_out, labels = (t.to(device) for t in data.validation.tensors)

    def objective(trial: Any) -> float:
        torch.manual_seed(0)
        model = network(name).to(device)
        optimizer = torch.optim.Adam(model.parameters(), lr=trial.suggest_float("lr", LOW, HIGH, log=True), fused=True)
        accuracy = 0.0
        for _ in range(kind.epochs):
            model.train()
            total = 0.0
            for rows in torch.randperm(len(inputs)).split(kind.batch):
                optimizer.zero_grad()
                loss = cross_entropy(model(inputs[rows]), targets[rows])
                loss.backward()
                optimizer.step()
                total += loss.item()
                if not math.isfinite(total):
                    return 0.0
            model.eval()
            with torch.no_grad():
                output = model(held_out)
                cross_entropy(output, labels).item()
                accuracy = (output.argmax(1) == labels).double().mean().item()
        return accuracy

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=count)
    return [trial.value for trial in study.trials]


# ---- the clock


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _seconds(run: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def measure(
    rounds: int = ROUNDS, count: int = TRIALS, kinds: tuple[str, ...] = tuple(KINDS), device: str = "cpu"
) -> dict[str, Any]:
    """Trials a minute of each entrant, medians over rounds in which they take turns, and the medians of the ratios of
    ours to the others' in a round. Nothing where Optuna is missing."""
    if find_spec("optuna") is None:
        return {}
    spawn = get_context("spawn")
    with ProcessPoolExecutor(2, spawn, _one_thread) as pair, ProcessPoolExecutor(1, spawn) as lone:
        return {name: _one(name, rounds, _runs(name, rounds, count, device, pair, lone)) for name in kinds}


Runs = dict[str, tuple[int, Callable[[], Any]]]  # of each entrant how many trials, and how they are run


def _runs(
    name: str, rounds: int, count: int, device: str, pair: ProcessPoolExecutor, lone: ProcessPoolExecutor
) -> Runs:
    turn = min(KINDS[name].turn, count)
    rates = [LOW * (HIGH / LOW) ** (i / (count - 1)) for i in range(count)]
    found: Runs = {"optuna": (turn, lambda: lone.submit(optuna_study, name, turn, 1, device).result())}
    if device != "cpu":
        return {"ours": (count, lambda: lone.submit(ours, name, rates, device).result()), **found}
    halves = [rates[0::2], rates[1::2]]
    found["ours"] = count, lambda: list(pair.map(ours, [name] * 2, halves))
    found["optuna, two processes"] = 2 * turn, lambda: list(pair.map(optuna_study, [name] * 2, [turn] * 2))
    if rounds > 1:
        found["two threads"] = turn, lambda: lone.submit(optuna_study, name, turn, 2).result()
    return found


def _one(name: str, rounds: int, runs: Runs) -> dict[str, Any]:
    for _, run in runs.values():  # imports, kernels, the sizes of batches
        run()
    order, shuffle = list(runs), random.Random(0).shuffle
    found: list[dict[str, float]] = []
    for _ in range(rounds):
        shuffle(order)
        found.append({each: 60 * runs[each][0] / _seconds(runs[each][1]) for each in order})
        found[-1]["optuna"] = max(found[-1]["optuna"], found[-1].pop("two threads", 0.0))
    names = [each for each in ENTRANTS if each in runs]
    return {
        "a minute": {each: median(one[each] for one in found) for each in names},
        "ratio": {each: median(one["ours"] / one[each] for one in found) for each in names if each != "ours"},
        "trials": runs["ours"][0],
        "steps": STEPS,
        "rounds": rounds,
    }


def gpu(rounds: int = ROUNDS) -> dict[str, Any]:
    """The same of the MLP on a GPU; nothing where there is none."""
    import torch

    return measure(rounds, kinds=("mlp",), device="cuda") if torch.cuda.is_available() else {}


def main(
    device: str = "cpu",
    kinds: Annotated[str, typer.Option(help=f"Networks: {', '.join(KINDS)}.")] = ",".join(KINDS),
    rounds: Annotated[int, typer.Option(min=1)] = ROUNDS,
    trials: Annotated[int, typer.Option(min=2, help="Of ours at a time.")] = TRIALS,
) -> None:
    """Trials a minute, beside an Optuna study over a plain torch loop."""
    chosen = tuple(kinds.split(","))
    if unknown := [name for name in chosen if name not in KINDS]:
        raise typer.BadParameter(f"--kinds {unknown[0]}: known are {', '.join(KINDS)}")
    import torch

    if device.startswith("cuda") and not torch.cuda.is_available():
        raise typer.BadParameter(f"--device {device}: torch sees no GPU here")
    for name, found in measure(rounds, trials, chosen, device).items():
        a_minute = ", ".join(f"{each} {value:.0f}" for each, value in found["a minute"].items())
        ratios = ", ".join(f"{value:.2f} × {each}" for each, value in found["ratio"].items())
        print(f"{KINDS[name].title}, trials a minute: {a_minute}; ours is {ratios}", flush=True)


if __name__ == "__main__":
    typer.run(main)
