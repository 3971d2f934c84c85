"""`downslope whatif`: what would have come of another learning rate, clipping or optimizer?"""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import SettingError

EXAMPLE = "Example: downslope whatif runs/digits-1 --step 400 --lr 0.3x,3x --optimizer sgd"


def whatif(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run of `downslope train`.")],
    step: Annotated[
        int | None, typer.Option(metavar="N", help="The step to fork at; the last one saved by default.")
    ] = None,
    lr: Annotated[
        str | None,
        typer.Option(
            metavar="A,B", help="Factors such as 0.3x, or rates; 0.1x,0.3x,3x,10x by default.", show_default=False
        ),
    ] = None,
    clip: Annotated[
        str | None, typer.Option(metavar="A,B", help="Norms to clip to, or off.", show_default=False)
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option(metavar="A,B", help="Other optimizers, with their defaults.", show_default=False)
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of the run's optimizer; one fork for each."),
    ] = None,
    steps: Annotated[int, typer.Option(metavar="N", help="Steps of each fork.")] = 50,
    repeats: Annotated[int, typer.Option(metavar="N", help="Repeats on other batches, for the intervals.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcomes for a machine to read.")] = False,
) -> None:
    """Fork a run at a step: short runs on the same batches, each with one thing changed, and what came of each.

    Says which learning rates are safe there and which is best. Nothing in the run's folder is touched.
    """
    from ..training.branch import whatif as fork
    from ..training.config import read_value

    settings: list[dict[str, Any]] = []
    for word in sets or ():
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise SettingError(f"--set {word}: give a setting and its value, as in --set weight_decay=0.01")
        settings.append({name: read_value(text)})
    verdict = fork(
        run,
        step=step,
        lr=None if lr is None else _words(lr),
        clip=_words(clip),
        optimizer=_words(optimizer),
        settings=settings,
        steps=steps,
        repeats=repeats,
    )
    if not as_json:
        return print(verdict)
    outcomes = [
        {
            "change": o.change.name,
            "losses": [loss if math.isfinite(loss) else None for loss in o.losses],
            "against": None if o.against is None else o.against._asdict(),
            "verdict": o.verdict,
        }
        for o in verdict.outcomes
    ]
    shown = {f.name: getattr(verdict, f.name) for f in dataclasses.fields(verdict)} | {"outcomes": outcomes}
    print(json.dumps(shown, indent=2))


def _words(text: str | None) -> list[str]:
    return [] if text is None else [word.strip() for word in text.split(",") if word.strip()]
