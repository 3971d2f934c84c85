"""`downslope landscape`: optimizers on a test surface, the loss around a trained network, what its layers do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import SettingError

EXAMPLE = "Example: downslope landscape beale --optimizers sgd,momentum,nag,adagrad,adadelta,rmsprop,adam"
SEVEN = "sgd,momentum,nag,adagrad,adadelta,rmsprop,adam"
OF_SURFACES = ("optimizers", "settings", "steps", "start", "domain", "noise")
OF_NETWORKS = ("slices", "to", "samples", "radius", "batch_norm")


def landscape(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="A surface (beale, rosenbrock, ...), your own as an expression of x and y or my_surfaces.py:bowl, or "
            "a task with --run or --layers.",
        ),
    ],
    optimizers: Annotated[
        str | None,
        typer.Option(metavar="A,B", help=f"Who walks, FILE.py:RULE too. Default {SEVEN}.", show_default=False),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME.KEY=VALUE", help="A setting of an optimizer, as in adam.lr=0.1."),
    ] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", help="Steps. Default the surface's, mostly 200.")] = None,
    start: Annotated[str | None, typer.Option(metavar="X,Y", help="Where they start. Default the surface's.")] = None,
    domain: Annotated[
        str | None, typer.Option(metavar="XLOW,XHIGH,YLOW,YHIGH", help="What is drawn. Default the surface's.")
    ] = None,
    noise: Annotated[
        float | None, typer.Option(metavar="S", help="Standard deviation of the noise added to gradients.")
    ] = None,
    run: Annotated[
        Path | None, typer.Option(metavar="RUN", help="A run of the task: draws its loss around it.")
    ] = None,
    slices: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Of random, trajectory, hessian; connect comes with --to. Default random,trajectory,hessian.",
        ),
    ] = None,
    to: Annotated[Path | None, typer.Option(metavar="RUN", help="A second run: what lies between the two.")] = None,
    samples: Annotated[
        int | None, typer.Option(metavar="N", help="Training samples the loss is of. Default 1000 at most.")
    ] = None,
    radius: Annotated[
        float | None, typer.Option(metavar="R", help="Of random directions: 1 is the length of each filter. Default 1.")
    ] = None,
    batch_norm: Annotated[
        str | None, typer.Option(metavar="HOW", help="Its statistics: checkpoint or recompute. Default checkpoint.")
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Draw what each layer makes of the data (of --run, or trained now).")
    ] = False,
    grid: Annotated[int | None, typer.Option(metavar="N", help="Points a side. Default 51 (surfaces: 121).")] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of random directions and noise.")] = 0,
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Default landscapes/NAME.")] = None,
) -> None:
    """Watch optimizers walk on a test surface, or look at the loss around a network that was trained.

    Writes a picture (PNG), an animation (GIF, and MP4 where ffmpeg is installed) and a page to be turned by hand
    (HTML). A network's slices go on where they were stopped when the same command runs again.
    """
    from ..training.extras import need

    need("matplotlib", extra="plots", job="a landscape")
    given = {k: v for k, v in locals().items() if k in (*OF_SURFACES, *OF_NETWORKS) and v not in (None, [])}
    if grid is not None and not 5 <= grid <= 1001:
        raise SettingError(f"--grid {grid}: give 5 to 1001 points a side")
    network = run is not None or layers
    _refuse(given, OF_SURFACES if network else OF_NETWORKS, network)
    if layers:
        paths = _layers(what, run, out)
    elif run is not None:
        paths = _network(what, run, out, grid or 51, seed, given)
    else:
        paths = _surface(what, out, grid or 121, seed, given)
    for path in paths:
        print(path)


def _refuse(given: dict[str, Any], others: tuple[str, ...], network: bool) -> None:
    for name in others:
        if name in given:
            flag = {"settings": "--set", "batch_norm": "--batch-norm"}.get(name, f"--{name}")
            reason = "is of test surfaces, not of a network" if network else "is of a network; give its --run too"
            raise SettingError(f"{flag}: {reason}")


def _surface(what: str, out: Path | None, grid: int, seed: int, given: dict[str, Any]) -> list[Path]:
    from ..landscape.expression import read
    from ..report.surface_files import write_surface

    at = _numbers("--start", given["start"], 2) if "start" in given else None
    ends = _numbers("--domain", given["domain"], 4) if "domain" in given else None
    box = None if ends is None else ((ends[0], ends[1]), (ends[2], ends[3]))
    surface = read(what, domain=box, start=None if at is None else (at[0], at[1]))
    names = [n.strip() for n in given.get("optimizers", SEVEN).split(",") if n.strip()]
    walkers: dict[str, dict[str, Any]] = {name: {} for name in names}
    _assign(walkers, given.get("settings", []))
    folder = out or Path("landscapes") / _plain(surface.name if surface.name == what else what)
    return write_surface(
        surface, walkers, folder, steps=given.get("steps"), noise=given.get("noise"), seed=seed, grid=grid
    )


def _assign(walkers: dict[str, dict[str, Any]], words: list[str]) -> None:
    from ..training.config import read_value

    for word in words:
        name, equals, text = word.partition("=")
        who, dot, setting = name.rpartition(".")
        who = next((each for each in walkers if each.endswith(f":{who}")), who)  # of FILE.py:RULE the rule is enough
        if not equals or not dot:
            raise SettingError(f"--set {word}: give an optimizer, a setting and its value, as in --set adam.lr=0.1")
        if who not in walkers:
            raise SettingError(f"--set {word}: {who} does not walk; --optimizers are {', '.join(walkers)}")
        walkers[who][setting] = read_value(text)


def _numbers(flag: str, text: str, count: int) -> list[float]:
    try:
        found = [float(word) for word in text.split(",")]
    except ValueError:
        found = []
    if len(found) != count:
        raise SettingError(
            f"{flag} {text}: give {count} numbers with commas between, such as {'-1,2' if count == 2 else '-2,2,-1,3'}"
        )
    return found


def _network(what: str, run: Path, out: Path | None, grid: int, seed: int, given: dict[str, Any]) -> list[Path]:
    from rich.console import Console

    from ..report.landscape_files import SLICES, write_landscape
    from ..report.landscape_progress import Bar

    names = [n.strip() for n in given.get("slices", "connect" if "to" in given else ",".join(SLICES)).split(",")]
    with Bar(Console(stderr=True)) as bar:
        return write_landscape(
            what, run, out or Path("landscapes") / _plain(f"{Path(what).stem}-{run.name}"), slices=names,
            to=given.get("to"), grid=grid, seed=seed, samples=given.get("samples", 1000),
            radius=given.get("radius", 1.0), norms=given.get("batch_norm", "checkpoint"), tell=bar.tell,
        )  # fmt: skip


def _layers(what: str, run: Path | None, out: Path | None) -> list[Path]:
    from ..report.landscape_files import write_layers

    return write_layers(what, run, out or Path("landscapes") / _plain(f"{Path(what).stem}-layers"))


def _plain(name: str) -> str:
    """A name for a folder."""
    kept = "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip("-.")
    return kept[:60] or "own"
