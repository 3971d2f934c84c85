"""`downslope diagnose`: what is wrong with a run, or with the training of a task?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import RunError

EXAMPLE = "Example: downslope diagnose digits --epochs 5"


def diagnose(
    what: Annotated[
        str, typer.Argument(metavar="RUN|TASK", help="The folder of a run; or a task, to train it briefly and judge.")
    ],
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the data, of a task that is trained.")] = 10,
    optimizer: Annotated[str, typer.Option(metavar="NAME", help="What a task is trained by.")] = "adam",
    lr: Annotated[float | None, typer.Option(min=0.0, help="Learning rate; the optimizer's own by default.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Fixes the run.")] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write report.html and findings.json there, too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings for a machine to read.")] = False,
) -> None:
    """Say what is wrong with a run that downslope trained, or train a task briefly and judge that.

    Exit status 1 when a finding is severe: training is broken, or will not arrive.
    """
    folder = Path(what)
    report = _of_run(folder) if folder.is_dir() else _of_task(what, epochs, optimizer, lr, seed)
    page = folder / "report.html" if folder.is_dir() else None
    if out is not None:
        page = report.save(out, folder.stem)
    print(report.to_json() if as_json else report)
    if page is not None and page.is_file() and not as_json:
        print(f"\nWith pictures: {page}")
    if report.exit_code:
        raise typer.Exit(1)


def _of_run(folder: Path) -> Any:
    from ..diagnose.finding import Report

    file = folder / "findings.json"
    if not file.is_file():
        raise RunError(
            f"{folder}: has no findings.json: it is no run, was not watched, or has not ended; train it with --out and "
            "without --watch 0"
        )
    try:
        return Report.from_json(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file}: cannot be read ({error}); train the run anew") from None


def _of_task(task: str, epochs: int, optimizer: str, lr: float | None, seed: int) -> Any:
    import tempfile

    from ..training.run import train

    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "run")
        return train(task, out=out, epochs=epochs, optimizer=optimizer, lr=lr, seed=seed, watch=1.0).report
