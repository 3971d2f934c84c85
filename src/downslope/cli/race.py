"""`downslope race`: which optimizer, with which settings, within a budget."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

EXAMPLE = "Example: downslope race digits --optimizers adam,sgd,lion --budget 5m --out runs/mine"


def race(
    tasks: Annotated[list[str], typer.Argument(metavar="TASK...", help="What to train: names, or files of your own.")],
    optimizers: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="Who races, or FILE.py:RULE; by default sgd, momentum, nag, adagrad, adadelta, rmsprop, adam.",
            show_default=False,
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(metavar="AMOUNT", help="For the whole race: 10m, 1h30m, '60 trials', '300 epochs'."),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Trials to search with, each optimizer; 11 without a budget.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Fresh seeds that confirm each choice; 5.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of a trial; the task's own by default.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Batch size; the task's own by default.")] = None,
    schedule: Annotated[
        str, typer.Option(metavar="NAME", help="constant, cosine, linear, wsd, one_cycle; several join the search.")
    ] = "cosine",
    warmup: Annotated[float, typer.Option(min=0.0, max=0.99, help="The share of the steps that warm up.")] = 0.05,
    search: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=LOW:HIGH", help="Look for a setting there; or NAME=A,B,C. lr, adam.eps, task.width."
        ),
    ] = None,
    rungs: Annotated[
        bool, typer.Option("--rungs", help="Short trials first; the best third goes on to longer.")
    ] = False,
    search_seeds: Annotated[int, typer.Option(min=1, help="Seeds that each point of the search is tried with.")] = 1,
    race_seed: Annotated[int, typer.Option(min=0, help="Fixes which points are tried.")] = 0,
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the task, for all trials.")
    ] = None,
    monitor: Annotated[str | None, typer.Option(help="metric or loss: what decides.", show_default=False)] = None,
    sampler: Annotated[
        str, typer.Option(metavar="NAME", help="Who proposes the points of the search: halton, tpe, gp.")
    ] = "halton",
    alone: Annotated[bool, typer.Option("--alone", help="Train every trial by itself, none together.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda; by default a GPU if there is one.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Of each worker.")] = 1,
    more_seeds: Annotated[
        int | None, typer.Option(min=1, help="Confirm a finished race on so many seeds more, to settle it.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one per core by default.")] = None,
    engine: Annotated[
        str, typer.Option(metavar="NAME", help="local, here: in this process, or ray: on a cluster.")
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Of the Ray cluster; by default one that runs, or a new one here."),
    ] = None,
    optuna_storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Export to Optuna at the end, as to sqlite:///races.db."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The run folder: a new one, or of the same race, which then goes on."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="As without it; for those who like to say so.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print board.json, and progress to stderr.")] = False,
) -> None:
    """Race optimizers on a task: which one, at which settings, within a budget, and how sure that is.

    Each searches its settings with the same number of trials; the choice of each is confirmed on fresh seeds. Ends with
    a verdict and leaves a folder with records.jsonl, board.json, report.html and its pictures. Ctrl-C keeps
    what is finished; the same command goes on, after that as after a kill.
    """
    from rich.console import Console

    from ..race import Result, to_optuna
    from ..race import race as run
    from ..race.entrants import DEFAULT
    from ..race.export import storage_at
    from ..report.files import write_report
    from ..report.leaderboard import print_leaderboard, print_together
    from ..report.table import LiveTable, say
    from ..training.extras import need

    needed = ["sklearn"] if "digits" in tasks else []
    need(*needed, "scipy", "matplotlib", extra="race", job="downslope race")
    storage = None if optuna_storage is None else storage_at(optuna_storage)  # what is wrong with it is said before
    console = Console(stderr=as_json)
    options: dict[str, Any] = {
        **{"budget": budget, "trials": trials, "seeds": seeds, "epochs": epochs, "batch": batch},
        **{"schedule": schedule, "warmup": warmup, "search": search, "rungs": rungs, "search_seeds": search_seeds},
        **{"race_seed": race_seed, "task_settings": _settings(sets or []), "monitor": monitor, "sampler": sampler},
        **{"batched": not alone, "device": device, "threads": threads, "workers": workers, "engine": engine},
        **{"ray_address": ray_address, "more_seeds": more_seeds},
        **{"out": out, "resume": resume, "watch": LiveTable(console)},
    }
    result = run(tasks[0] if len(tasks) == 1 else tasks, DEFAULT if optimizers is None else optimizers, **options)
    results = [result] if isinstance(result, Result) else result.results
    for one in results if result.interrupted else [result]:
        if not one.interrupted:
            write_report(one)
    if not as_json:
        for one in results:
            print_leaderboard(console, one.board, one.folder)
        if not isinstance(result, Result):
            print_together(console, result)
    for one in results if storage is not None else []:
        to_optuna(one, storage)
    if as_json:
        boards: Any = results[0].board if len(tasks) == 1 else {"boards": [r.board for r in results]}
        print(json.dumps(boards if isinstance(result, Result) else {**boards, "together": result.together}, indent=2))
    if result.interrupted:
        words = [word for word in sys.argv[1:] if word != "--resume"]
        given = any(word == "--out" or word.startswith("--out=") for word in words)
        command = ["downslope", *words, *([] if given else ["--out", str(result.folder)])]
        say(console, f"Interrupted; finished trials are kept. Go on with:\n  {shlex.join(command)}")
        raise typer.Exit(130)


def _settings(sets: list[str]) -> dict[str, Any]:
    """The task's settings that `--set key=value` gives."""
    from ..errors import SettingError
    from ..training.config import read_value

    found = {}
    for word in sets:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise SettingError(f"--set {word}: give a setting of the task and its value, as in --set width=64")
        found[name.removeprefix("task.")] = read_value(text)
    return found
