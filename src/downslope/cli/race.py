"""`downslope race`: which optimizer, and at which learning rate."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = "Example: downslope race digits --optimizers sgd,adam --seeds 5 --out runs/mine"


def race(
    task: Annotated[str, typer.Argument(metavar="TASK", help="What to train: digits.")],
    optimizers: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="Who races; by default sgd, momentum, nag, adagrad, adadelta, rmsprop, adam.",
            show_default=False,
        ),
    ] = None,
    lrs: Annotated[int, typer.Option(min=1, help="Learning rates for each, five decades around its usual one.")] = 11,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds; the same initial weights and data order for all.")] = 3,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of a run; the task's own by default.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Batch size; the task's own by default.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The run folder, new or empty; by default runs/NAME-TIME.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the race in the folder given by --out.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one per core by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print leaderboard.json, and progress to stderr.")] = False,
) -> None:
    """Race optimizers on a task, each over a grid of learning rates and several seeds.

    Ends with a leaderboard and leaves a folder with records.jsonl, leaderboard.json, report.html and race.png.
    Ctrl-C keeps what is finished and prints the command that goes on.
    """
    from rich.console import Console

    from ..race import DEFAULT, make_plan
    from ..race import race as run
    from ..report.files import write_report
    from ..report.table import LiveTable, print_leaderboard, say
    from ..training.extras import need

    need("sklearn", "scipy", "plotly", "matplotlib", extra="race", job="downslope race")
    console = Console(stderr=as_json)
    names = DEFAULT if optimizers is None else optimizers.split(",")
    plan = make_plan(task, names, lrs=lrs, seeds=seeds, epochs=epochs, batch=batch)
    result = run(plan, out=out, resume=resume, workers=workers, watch=LiveTable(console))
    if not result.interrupted:
        write_report(result)
    if as_json:
        print(json.dumps(result.board, indent=2))
    else:
        print_leaderboard(console, result.board, result.folder)
    if result.interrupted:
        options: dict[str, object] = {
            "--optimizers": optimizers,
            "--lrs": lrs,
            "--seeds": seeds,
            "--epochs": epochs,
            "--batch": batch,
            "--workers": workers,
            "--out": result.folder,
        }
        command = ["downslope", "race", task, *_given(options), "--resume", *(["--json"] if as_json else [])]
        say(console, f"Interrupted; finished runs are kept. Go on with:\n  {shlex.join(command)}")
        raise typer.Exit(130)


def _given(options: dict[str, object]) -> list[str]:
    """Those that were not left at their default, as words of a command."""
    return [word for name, value in options.items() if value is not None for word in (name, str(value))]
