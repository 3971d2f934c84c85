"""`downslope textbook`: what courses say about training networks, tried here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = "Example: downslope textbook lr-size"


def textbook(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Claims; by default all.", show_default=False)
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the claims and run none.")] = False,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where figures and pictures go.")] = Path("textbook"),
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes. Default one a core.", show_default=False)
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Run what is finished in the folder too.")] = False,
    gallery: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the gallery as Markdown there as well.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures for a machine to read.")] = False,
) -> None:
    """Try what courses say about training networks: each claim an experiment with a verdict.

    A verdict is made by a rule that is stated above the experiment, of figures over seeds: holds, holds with limits, or
    does not show here. Finished claims are kept in the folder; the same command goes on where it was stopped.
    """
    from dataclasses import asdict

    from rich.console import Console

    from ..report.stages import console as make_console
    from ..report.table import say
    from ..report.textbook_table import print_claim, print_list, print_progress, print_table
    from ..training.extras import need

    need("sklearn", "scipy", "matplotlib", extra="race", job="downslope textbook")
    console = make_console()
    if listed:
        return print_list(console)
    from ..race.workers import default_count
    from ..report.textbook_files import write_textbook
    from ..report.textbook_pages import write_gallery
    from ..textbook import run_all, slugs

    chosen = list(dict.fromkeys(names)) if names else slugs()
    told = Console(stderr=True) if as_json else console
    every = run_all(
        chosen, out, workers=workers or default_count(), again=again,
        tell=lambda finished, new: print_progress(told, finished, new),
    )  # fmt: skip
    paths = write_textbook(every, out)
    if gallery is not None:
        write_gallery(every, gallery)
    if as_json:
        print(json.dumps([asdict(one) for one in every], indent=2))
        return
    if len(every) <= 3:
        for one in every:
            print_claim(console, one)
    else:
        print_table(console, every)
    say(console, f"\n{paths[-1]}")
