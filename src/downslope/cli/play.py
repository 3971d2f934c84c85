"""`downslope play`: the playground, one page with optimizers on test surfaces."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import FormulaError

EXAMPLE = "Example: downslope play my_formulas.py --out playground"


def play(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...", help="Python files of yours; their formulas are added.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write index.html there, for any static host, and do not open it."),
    ] = None,
) -> None:
    """Open a page where optimizers walk on test surfaces: drag the start, move settings, play, compare, share.

    The page is one file that needs no server and no connection; its formulas are made from the same source as the
    compiled optimizers. Your own formulas stand first in its list.
    """
    from ..playground.page import write
    from .show import formulas_of

    own = [formula for file in files or () for formula in formulas_of(file)]
    names = [formula.name for formula in own]
    for name in {name for name in names if names.count(name) > 1}:
        raise FormulaError(f"{name}: is in your files more than once; give one of them another name")
    if out is not None:
        return print(write(out, own))
    import webbrowser
    from tempfile import mkdtemp

    path = write(Path(mkdtemp(prefix="downslope-play-")), own)
    print(path)
    if not webbrowser.open(path.as_uri()):
        print("no browser was found; open the file above in one")
