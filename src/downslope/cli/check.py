"""`downslope check`: is a task fit to be trained?"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Annotated, Any

import typer

EXAMPLE = "Example: downslope check digits --only first-loss,overfit"


def check(
    task: Annotated[str, typer.Argument(metavar="TASK", help="A bundled task, or a file of yours: my_task.py.")],
    only: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="Some of the checks; by default all.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Fixes the models, samples and runs.")] = 0,
    optimizer: Annotated[str, typer.Option(metavar="NAME", help="Whose learning rate is sought.")] = "adam",
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdicts for a machine to read.")] = False,
) -> None:
    """Check a task before training it: data, initialisation, gradients, and whether it can learn at all.

    Each check says ok, warn, fail or cannot tell, with what was measured and what to do.
    Exit status 1 when one fails.
    """
    from ..check import check as run
    from ..report.stages import console as make_console
    from ..report.verdicts import print_summary, print_verdict

    console = make_console()
    names = None if only is None else [name.strip() for name in only.split(",")]
    verdicts = run(
        task,
        only=names,
        seed=seed,
        optimizer=optimizer,
        watch=lambda verdict: None if as_json else print_verdict(console, verdict),
    )
    if as_json:
        print(json.dumps({"task": task, "seed": seed, "verdicts": [_plain(v) for v in verdicts]}, indent=2))
    else:
        print_summary(console, verdicts)
    if verdicts.failed:
        raise typer.Exit(1)


def _plain(verdict: Any) -> dict[str, Any]:
    return _finite(dataclasses.asdict(verdict))


def _finite(value: Any) -> Any:
    """The same with null for numbers that JSON has no word for."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
